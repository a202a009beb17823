/** What was spent today and this month, kept fresh beside the requests: a scrape must not read a month of charges. */
import type { Clock } from '../core/clock.ts'
import type { Timers } from '../core/timers.ts'
import { windowAt } from '../core/window.ts'
import type { SpentReading } from './metric-sources.ts'
import type { Store } from './store/store.ts'

/** Options of {@link watchSpending}. */
export interface SpendingOptions {
  readonly store: Pick<Store, 'spentBy'>
  readonly clock: Clock
  readonly timers: Timers
  /** Told when the ledger could not be read. */
  readonly onFailure: (error: unknown) => void
}

/** See the file's head. */
export interface Spending {
  /** The newest sums; `undefined` before the first reading and while the ledger cannot be read. */
  readonly newest: () => readonly SpentReading[] | undefined
  /** Reads now. */
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

const REFRESH_MS = 10_000
/** A long month takes long to add up: at most this share of the time is spent on it. */
const SHARE = 1 / 100

/** Reads at once, and again every ten seconds or more. Days and months are those of UTC. */
export function watchSpending({ store, clock, timers, onFailure }: SpendingOptions): Spending {
  let readings: readonly SpentReading[] | undefined
  let closed = false
  let cancel = (): void => {}
  const refresh = async (): Promise<void> => {
    try {
      const windows = ['day', 'month'] as const
      const sums = await Promise.all(
        windows.map(async (window) => {
          const since = windowAt(window, 'UTC', clock.now()).start
          return (await store.spentBy(since)).map(({ route, payer, seller, caller, microUsd }) => ({
            window,
            route,
            payer,
            seller,
            caller,
            microUsd,
          }))
        }),
      )
      readings = sums.flat()
    } catch (error) {
      readings = undefined
      throw error
    }
  }
  const run = async (): Promise<void> => {
    const since = performance.now()
    await refresh().catch((error: unknown) => closed || onFailure(error))
    if (closed) return
    const took = performance.now() - since
    cancel = timers.after(Math.max(REFRESH_MS, took / SHARE), () => void run())
  }
  void run()
  return {
    newest: () => readings,
    refresh,
    close() {
      closed = true
      cancel()
    },
  }
}
