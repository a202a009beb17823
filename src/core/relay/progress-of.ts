import { AnswerProgress } from '../stream/answer-progress.ts'
import { AnthropicProgress, ResponsesProgress } from '../stream/event-progress.ts'
import type { AnswerKind } from '../stream/stream-json.ts'
import type { StreamProgress } from '../stream/stream-progress.ts'

/**
 * Follows a stream of one protocol.
 * @param tellsUsage whether the client asked for a usage chunk
 */
export function progressOf(shape: AnswerKind | 'other', tellsUsage = false): StreamProgress {
  if (shape === 'responses') return new ResponsesProgress()
  if (shape === 'anthropic') return new AnthropicProgress()
  return new AnswerProgress(shape, tellsUsage)
}
