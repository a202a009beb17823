/**
 * The rules of repeats that reach another process (rule 5), shared by every store. A request is compared with the ledger when it
 * comes, and again in the transaction that reserves: the seller was asked for its price in between, and the same request may have
 * reserved elsewhere.
 */
import { TERMS_CHANGED } from '../../../core/charge/judge-paid-answer.ts'
import {
  decideRepeat,
  isNeverAnswered,
  requestInProgress,
  type RepeatableRequest,
} from '../../../core/request/idempotency.ts'
import type { FoundTombstones, RepeatClaim, Tombstone } from '../contracts/idempotency.ts'

/**
 * Refuses a reservation for a request that another process pays for, or has. What this process knows of its own requests was
 * compared when the request came, and is more than the store tells.
 * @param wasRetried whether another process reserved for a retry of this body since this request came: then this is the attempt
 * that its client gave up
 * @throws TollwayError `request_in_progress`
 */
export function refuseRepeat(
  { mark, instance, at }: RepeatClaim,
  found: FoundTombstones,
  wasRetried: () => boolean,
): void {
  const { presented, body, earlier, after } = mark
  if (found.named && found.named.charge.id !== after) throw requestInProgress()
  if (!presented || presented.named === 'idempotency-key') return
  const isElsewhere = (tombstone: Tombstone | undefined): tombstone is Tombstone =>
    tombstone !== undefined && tombstone.charge.instance !== instance
  const newest = isElsewhere(found.newest) && found.newest.charge.id !== earlier ? found.newest : undefined
  const isNewWish = newest && !presented.isRetry && wasAskedOtherTerms(newest)
  const decision = decideRepeat(
    presented,
    body,
    undefined,
    newest && !isNewWish ? repeatableOf(newest) : undefined,
    found.others.filter(isElsewhere).map(repeatableOf).find(isNeverAnswered),
    at,
  )
  if (decision.kind === 'same' || (!presented.isRetry && wasRetried())) throw requestInProgress()
}

/** Whether the seller asked for other terms than were signed: the client may want to pay those. */
export function wasAskedOtherTerms({ charge }: Pick<Tombstone, 'charge'>): boolean {
  return charge.state === 'uncertain' && charge.reason === TERMS_CHANGED
}

/** What the ledger tells of a request. */
export function repeatableOf({ charge, body, undeliveredAt }: Tombstone): RepeatableRequest {
  const isOpen = charge.state === 'held' || charge.state === 'authorized'
  const isFailed = charge.state === 'uncertain' || undeliveredAt !== undefined
  return {
    body,
    state: isOpen ? 'running' : isFailed ? 'failed' : 'delivered',
    abandoned: isOpen && undeliveredAt !== undefined,
    startedAt: charge.reservedAt,
    endedAt: isOpen ? undefined : Math.max(charge.updatedAt, undeliveredAt ?? 0),
  }
}
