/** What a ledger works with, and the terms of a reservation. */
import type { ChargeTerms } from '../../core/charge/charge.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { AuditSink } from '../audit/audit-queue.ts'
import type { Instance } from '../store/contracts/instances.ts'
import type { Store } from '../store/store.ts'

/** What a `Ledger` works with. */
export interface LedgerContext {
  readonly store: Store
  readonly audit: AuditSink
  readonly clock: Clock
  readonly random: RandomBytes
  readonly instance: Instance
  readonly observers: readonly Observer[]
  /** Shares of budgets' limits, millionths, at which observers are told (`budget_level`); read for every reservation. */
  readonly levels?: (() => readonly bigint[]) | undefined
  /** Throws while nothing may be paid although the last write worked, because the disk is nearly full. */
  readonly refuse?: (() => void) | undefined
  /** Called when the last record is durable and the store is still open. Its failure is ignored. */
  readonly onClosing?: (() => Promise<void>) | undefined
}

/**
 * The same, dated by the store's clock where it has one: processes on several machines then count in the same budget windows, and
 * judge each other's heartbeats, whatever their own clocks say.
 */
export function dated(context: LedgerContext): LedgerContext {
  const { store, clock, instance } = context
  const { clockAheadMs } = store
  if (!clockAheadMs) return context
  const ahead = clockAheadMs()
  return {
    ...context,
    clock: { now: () => clock.now() + clockAheadMs() },
    instance: {
      ...instance,
      startedAt: instance.startedAt + ahead,
      heartbeatAt: instance.heartbeatAt + ahead,
    },
  }
}

/** What a reservation is for; the ledger adds id, instance and times. */
export interface ReserveTerms extends Omit<ChargeTerms, 'id' | 'instance' | 'reservedAt' | 'leaseUntil'> {
  /** The caller's team. Not stored with the charge, as is {@link publicModel}. */
  readonly team?: string | undefined
  /** See `Spend.publicModel`. */
  readonly publicModel?: string | undefined
  /** See `Spend.tokens`. */
  readonly tokens?: bigint | undefined
}
