/** What a signed send without an answer means for the money (rules 4 and 5). */
import type { Charge } from '../core/charge/charge.ts'
import { TollwayError } from '../core/errors.ts'
import type { Ledger } from '../io/ledger/ledger.ts'
import { UpstreamError } from '../io/transport/upstream-error.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import { SLOW_SELLER } from './answer/slow-seller.ts'
import { noAnswer } from './send-unpaid.ts'

/** What became of the charge, and the error that the request ends with. */
export interface LostAnswer {
  readonly charge: Charge
  readonly error: TollwayError
}

/**
 * Releases the charge when our own socket proves that not one byte of the signed request was handed to it; otherwise the
 * charge stays counted as uncertain until the chain proves it unspent.
 * @param cause what the transport threw
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function judgeLostAnswer(
  ledger: Pick<Ledger, 'release' | 'uncertain'>,
  charge: Charge,
  request: OutgoingRequest,
  cause: unknown,
): Promise<LostAnswer> {
  const reason = cause instanceof UpstreamError ? cause.reason : 'unknown'
  if (cause instanceof UpstreamError && cause.isUnsent) {
    return { charge: await ledger.release(charge, `unsent_${reason}`), error: noAnswer(request, cause) }
  }
  const error = new TollwayError({
    code: 'payment_uncertain',
    message: `The payment was sent and no answer came back (${reason}). It counts as spent until the chain proves otherwise; do not resend.`,
    advice: reason === 'timeout' ? SLOW_SELLER : [],
    details: { reason },
    cause,
  })
  return { charge: await ledger.uncertain(charge, reason), error }
}
