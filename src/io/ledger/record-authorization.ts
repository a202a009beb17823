/** Records what was signed before it may be sent, with words for what the store refuses. */
import type { AuthorizationRecord, Charge } from '../../core/charge/charge.ts'
import { TollwayError } from '../../core/errors.ts'
import type { AuthorizeRefusal, TakenOver } from '../store/contracts/charges.ts'
import type { Store } from '../store/store.ts'

/** What was recorded, and what was taken over with it. */
export interface Recorded {
  readonly charge: Charge
  readonly handOver: TakenOver['handOver'] | undefined
}

/** What {@link recordAuthorization} records. */
export interface ToRecord {
  readonly charge: Charge
  readonly record: AuthorizationRecord
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Rejects when the audit file could not tell it: taking a hand-over over is then left undone. */
  readonly checkAudit: () => Promise<void>
}

/**
 * Records it in the store. One that was handed over to another process, and comes back from a payer that stands there, counts
 * from now on as this charge's.
 * @throws TollwayError `signer_unavailable` for a payment that was recorded before (rule 5), `reservation_lost`,
 * `store_unavailable`, `audit_unavailable`
 */
export async function recordAuthorization(store: Store, work: ToRecord): Promise<Recorded> {
  const { charge, record, at, checkAudit } = work
  const result = await store.authorize(charge.id, record, at)
  if (typeof result !== 'string') return { charge: result, handOver: undefined }
  if (result !== 'nonce_used') throw refusal(result)
  await checkAudit()
  const taken = await store.takeOver(charge.id, record, at)
  if (typeof taken === 'string') throw refusal(taken)
  return taken
}

const WORDS: Readonly<Record<AuthorizeRefusal, string>> = {
  nonce_used: 'The payer offered a payment that was recorded before; nothing was sent.',
  lease_expired: 'Signing took longer than the reservation lasts; nothing was sent.',
  not_held:
    'The reservation was given up before the payment was recorded, by a process that took this one for dead; nothing was sent.',
}

/** `signer_unavailable`: the payer offered a payment that was recorded before. It may have been sent then (rule 5). */
export class NonceUsedError extends TollwayError {}

function refusal(why: AuthorizeRefusal): TollwayError {
  const Refusal = why === 'nonce_used' ? NonceUsedError : TollwayError
  return new Refusal({
    code: why === 'nonce_used' ? 'signer_unavailable' : 'reservation_lost',
    message: WORDS[why],
    details: { refusal: why },
  })
}
