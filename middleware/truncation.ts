/** What a paid stream that breaks ends with, so that stock clients take it as a truncated answer and do not send the request again. */
import { TollwayError } from '../src/core/errors.ts'
import type { AnswerProgress } from './answer-progress.ts'

/** The streams whose end Tollway can write: chat completions, text completions; `other` ones are cut. */
export type StreamShape = 'chat' | 'text' | 'other'

/** The shape of an endpoint's stream. */
export function streamShape(endpoint: string): StreamShape {
  if (endpoint === '/chat/completions') return 'chat'
  return endpoint === '/completions' ? 'text' : 'other'
}

/** What stands in for what the seller never told. */
export interface TruncationFallback {
  /** Makes up the chunk id of a stream that broke before its first chunk. */
  readonly requestId: string
  readonly model: string
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

export const DONE_EVENT = 'data: [DONE]\n\n'

/** A comment for people who read the raw stream; every SSE client skips it. */
const COMMENT = ": the seller's stream broke off; the answer is truncated\n\n"

/** A chunk with `finish_reason: "length"` for each choice that has not finished, then `[DONE]`. */
export function truncatedEnd(
  shape: 'chat' | 'text',
  progress: AnswerProgress,
  fallback: TruncationFallback,
): string {
  const { id, model, created } = progress.identity
  const open = progress.openChoices()
  const rest = shape === 'chat' ? { delta: {} } : { text: '', logprobs: null }
  const chunk = {
    id: id ?? `${shape === 'chat' ? 'chatcmpl' : 'cmpl'}-${fallback.requestId}`,
    object: shape === 'chat' ? 'chat.completion.chunk' : 'text_completion',
    created: created ?? Math.floor(fallback.nowMs / 1000),
    model: model ?? fallback.model,
    choices: (open.length === 0 ? [0] : open).map((index) => ({ index, ...rest, finish_reason: 'length' })),
  }
  return `${COMMENT}data: ${JSON.stringify(chunk)}\n\n${DONE_EVENT}`
}

/** The in-stream error of `on_truncated: error`; no `[DONE]` follows it, as OpenAI does. */
export function errorEnd(): string {
  return `data: ${JSON.stringify(brokenOff().toBody())}\n\n`
}

/** A paid answer that broke off before its end. */
export function brokenOff(cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'paid_not_delivered',
    message: 'The seller took the payment and its answer broke off.',
    advice: ['Do not resend: it would be paid again.'],
    cause,
  })
}
