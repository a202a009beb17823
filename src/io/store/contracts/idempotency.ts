/** Tombstones: which requests reserved a charge in the last 24 hours, so that a repeated request is never paid twice. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { RequestMark } from '../../../core/request/idempotency.ts'

/** A request that reserved a charge in the last 24 hours (docs/idempotency.md). Released charges have no tombstone. */
export interface Tombstone {
  readonly charge: Charge
  /** See {@link RequestMark.body}. */
  readonly body: string
  /** When its answer was lost, milliseconds since the epoch; `undefined` when it was not. */
  readonly undeliveredAt: number | undefined
}

/** A request as its reservation claims it: where no other process pays for the same request, or has. */
export interface RepeatClaim {
  readonly mark: RequestMark
  /** The process that reserves. It knows its own requests better than the store does. */
  readonly instance: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** The tombstones that match a request. */
export interface FoundTombstones {
  /** The tombstone of the request's name. */
  readonly named: Tombstone | undefined
  /** The newest tombstone of the same body. */
  readonly newest: Tombstone | undefined
  /**
   * Those of the same call with another body, which is another model, whose answer no client received or may still not receive;
   * newest first, at most {@link MAX_OTHERS}.
   */
  readonly others: readonly Tombstone[]
}

/** Enough for the models of a fallback chain. */
export const MAX_OTHERS = 16

/** The tombstones of a store. `ChargeStore.reserve` adds them. Every method is one transaction. */
export interface IdempotencyStore {
  /** The key that requests are digested with: 32 secret bytes, created with the store. */
  digestKey(): Promise<Uint8Array>
  /**
   * Finds the tombstones of a request.
   * @param since milliseconds since the epoch; older tombstones are ignored
   */
  tombstones(mark: RequestMark, since: number): Promise<FoundTombstones>
  /** Records that a paid answer did not reach its client. Does nothing for a charge without a tombstone. */
  markUndelivered(charge: string, at: number): Promise<void>
}
