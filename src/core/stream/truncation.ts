/** How a truncated paid response is reported. */
import { TollwayError } from '../errors.ts'

/** Supplies values that the seller never sent. */
export interface TruncationFallback {
  /** Generates the id of a response that broke off before its first event. */
  readonly requestId: string
  readonly model: string
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

/** How a stream ended for the client. */
export interface SseEnd {
  /** The last bytes to send. */
  readonly bytes: Buffer
  readonly truncated: boolean
  /** The stream cannot be ended well: the connection is to be cut. */
  readonly cut: boolean
}

/** A comment for readers of the raw stream; every SSE client ignores it. */
export const TRUNCATED_COMMENT = ": the seller's stream broke off; the answer is truncated\n\n"

/** A paid response that broke off before its end. */
export function brokenOff(cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'paid_not_delivered',
    message: 'The seller took the payment and its answer broke off.',
    advice: ['Do not resend: it would be paid again.'],
    cause,
  })
}
