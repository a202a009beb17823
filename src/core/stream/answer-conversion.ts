/** Converts JSON responses to event streams and back, for every protocol that has both. */
import { anthropicEvents, AnthropicCollector } from './anthropic-stream.ts'
import { CHAT_CHOICES, chatEvents } from './chat-stream.ts'
import { ChoicesCollector } from './choices-collector.ts'
import { responsesEvents, ResponsesCollector } from './responses-stream.ts'
import {
  eventText,
  parseJson,
  type AnswerCollector,
  type AnswerKind,
  type Json,
  type StreamEvent,
} from './stream-json.ts'
import { TEXT_CHOICES, textEvents } from './text-stream.ts'

const EVENTS: Readonly<Record<AnswerKind, (answer: Json) => StreamEvent[] | undefined>> = {
  chat: chatEvents,
  text: textEvents,
  responses: responsesEvents,
  anthropic: anthropicEvents,
}

/**
 * The event stream that corresponds to a JSON response.
 * @returns `undefined` when the text is not a response of this kind
 */
export function streamOfJson(kind: AnswerKind, text: string): Buffer | undefined {
  const steps = streamInSteps(kind, text)
  for (let step = steps.next(); ; step = steps.next()) if (step.done === true) return step.value
}

/** Characters of events that are written between two steps. */
const STEP_LENGTH = 65_536

/** {@link streamOfJson} in steps, with turns for everything else in between. The text itself is parsed in one. */
export function* streamInSteps(
  kind: AnswerKind,
  text: string,
): Generator<void, Buffer | undefined, undefined> {
  const answer = parseJson(text)
  yield
  const events = answer && EVENTS[kind](answer)
  if (!events) return undefined
  yield
  const written: Buffer[] = []
  let length = 0
  for (const event of events) {
    const piece = Buffer.from(eventText(event))
    written.push(piece)
    length += piece.length
    if (length < STEP_LENGTH) continue
    length = 0
    yield
  }
  return Buffer.concat(written)
}

/** A collector of the kind's events. */
export function collectorOf(kind: AnswerKind): AnswerCollector {
  switch (kind) {
    case 'chat':
      return new ChoicesCollector(CHAT_CHOICES)
    case 'text':
      return new ChoicesCollector(TEXT_CHOICES)
    case 'responses':
      return new ResponsesCollector()
    case 'anthropic':
      return new AnthropicCollector()
    default:
      return kind satisfies never
  }
}
