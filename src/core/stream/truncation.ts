/** How a paid answer that breaks off is reported. */
import { TollwayError } from '../errors.ts'

/** Values for what the seller never sent. */
export interface TruncationFallback {
  /** Makes up the id of an answer that broke before its first event. */
  readonly requestId: string
  readonly model: string
  /** Milliseconds since the epoch. */
  readonly nowMs: number
}

/** A comment for people who read the raw stream; every SSE client skips it. */
export const TRUNCATED_COMMENT = ": the seller's stream broke off; the answer is truncated\n\n"

/** A paid answer that broke off before its end. */
export function brokenOff(cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'paid_not_delivered',
    message: 'The seller took the payment and its answer broke off.',
    advice: ['Do not resend: it would be paid again.'],
    cause,
  })
}
