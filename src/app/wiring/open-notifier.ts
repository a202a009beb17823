/** The messages of a gateway to the webhook of `notify`. */
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { budgetNotifier } from '../notify/budget-notifier.ts'
import { Notifier } from '../notify/notifier.ts'

/** What {@link openNotifier} works with. */
export interface NotifierSetup {
  /** In force. */
  readonly settings: () => Pick<ResolvedConfig, 'notify'>
  readonly ledger: Ledger
  readonly observers: readonly Observer[]
  readonly clock: Clock
  readonly timers?: Timers | undefined
  readonly log: Log
}

/** Opens the messages. @returns what to give to the ledger too */
export function openNotifier({
  settings,
  ledger,
  observers,
  clock,
  timers = systemTimers,
  log,
}: NotifierSetup): {
  readonly notifier: Notifier
  readonly observe: Observer
} {
  const notifier = new Notifier({ target: () => settings().notify, ledger, observers, clock, timers, log })
  const observe = budgetNotifier({
    notifier,
    store: ledger.store,
    levels: () => levelsOf(settings()),
    clock,
    failed: (err) =>
      log.error({ err }, 'a message about a budget could not be made; it is with the next call'),
  })
  return { notifier, observe }
}

/** Shares of a limit at which messages are sent, millionths. */
export function levelsOf({ notify }: Pick<ResolvedConfig, 'notify'>): readonly bigint[] {
  return notify?.levels ?? []
}
