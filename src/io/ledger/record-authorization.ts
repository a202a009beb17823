/** Records an authorization before it may be sent (rule 3), and explains the store's refusals. */
import type { AuthorizationRecord, Charge } from '../../core/charge/charge.ts'
import { TollwayError } from '../../core/errors.ts'
import type { AuthorizeRefusal, ChargeStore, TakenOver } from '../store/contracts/charges.ts'

/** A recorded authorization, and the hand-over it was taken from, if any. */
export interface Recorded {
  readonly charge: Charge
  readonly handOver: TakenOver['handOver'] | undefined
}

/** What {@link recordAuthorization} needs. */
export interface ToRecord {
  readonly charge: Charge
  readonly record: AuthorizationRecord
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Rejects when the audit file cannot be written. A hand-over is then not taken over. */
  readonly checkAudit: () => Promise<void>
}

/**
 * Records an authorization in the store. A voucher that was handed over to another process and comes back from that process as
 * the payer counts for this charge from now on.
 * @throws TollwayError `signer_unavailable` for an authorization that was recorded before (rule 5), `reservation_lost`,
 * `store_unavailable`, `audit_unavailable`
 */
export async function recordAuthorization(
  store: Pick<ChargeStore, 'authorize' | 'takeOver'>,
  work: ToRecord,
): Promise<Recorded> {
  const { charge, record, at, checkAudit } = work
  const result = await store.authorize(charge.id, record, at)
  if (typeof result !== 'string') return { charge: result, handOver: undefined }
  if (result !== 'nonce_used') throw refusal(result)
  await checkAudit()
  const taken = await store.takeOver(charge.id, record, at)
  if (typeof taken === 'string') throw refusal(taken)
  return taken
}

const MESSAGES: Readonly<Record<AuthorizeRefusal, string>> = {
  nonce_used: 'The payer returned an authorization that was already recorded. Nothing was sent.',
  lease_expired: 'Signing took longer than the reservation lasts. Nothing was sent.',
  not_held:
    'The reservation was released before the payment was recorded: another process took over because this one appeared dead. Nothing was sent.',
}

/** `signer_unavailable`: the payer offered a payment that was recorded before. It may have been sent then (rule 5). */
export class NonceUsedError extends TollwayError {}

function refusal(why: AuthorizeRefusal): TollwayError {
  const Refusal = why === 'nonce_used' ? NonceUsedError : TollwayError
  return new Refusal({
    code: why === 'nonce_used' ? 'signer_unavailable' : 'reservation_lost',
    message: MESSAGES[why],
    details: { refusal: why },
  })
}
