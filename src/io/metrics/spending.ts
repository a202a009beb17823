/** Spend of today and this month, refreshed in the background: a scrape must not read a month of charges. */
import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../../core/clock.ts'
import type { Timers } from '../../core/timers.ts'
import { windowAt } from '../../core/budget/window.ts'
import { OVERFLOW } from './label-guard.ts'
import type { SpentReading } from './metric-sources.ts'
import type { SpendingStore, SpentBy } from '../store/contracts/spending.ts'

/** Options of {@link watchSpending}. */
export interface SpendingOptions {
  readonly store: Pick<SpendingStore, 'spentBy'>
  readonly clock: Clock
  readonly timers: Timers
  /** A monotonic clock in milliseconds, to measure how long a reading took; default the machine's. */
  readonly stopwatch?: (() => number) | undefined
  /** Called when the ledger could not be read. */
  readonly onFailure: (error: unknown) => void
}

/** Spend of the current day and month. */
export interface Spending {
  /** The latest sums; `undefined` before the first reading and while the ledger cannot be read. */
  readonly newest: () => readonly SpentReading[] | undefined
  /** Reads now. */
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

const REFRESH_MS = 10_000
const DAY_MS = 86_400_000
/** The largest share of time spent on reading: a busy month takes long to add up. */
const SHARE = 1 / 100

/** The most models whose spend is kept apart; the metrics show fewer still. */
const MAX_MODELS = 1000

/** Reads immediately, and again every ten seconds or less often. Days and months are in UTC. */
export function watchSpending(options: SpendingOptions): Spending {
  const { store, clock, timers, onFailure, stopwatch = () => performance.now() } = options
  let readings: readonly SpentReading[] | undefined
  let closed = false
  let cancel = (): void => {}
  const refresh = async (): Promise<void> => {
    try {
      readings = await readSpending(store, clock.now())
    } catch (error) {
      readings = undefined
      throw error
    }
  }
  const run = async (): Promise<void> => {
    const since = stopwatch()
    await refresh().catch((error: unknown) => closed || onFailure(error))
    if (closed) return
    const took = stopwatch() - since
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

/** Reads day by day and yields in between, because the ledger is read on the thread that serves requests. */
async function readSpending(store: SpendingOptions['store'], now: number): Promise<SpentReading[]> {
  const [day, month] = [new SpentSums('day'), new SpentSums('month')]
  const midnight = windowAt('day', 'UTC', now).start
  for (let from = windowAt('month', 'UTC', now).start; from <= now; from += DAY_MS) {
    const to = from + DAY_MS
    // The last day is open-ended: another machine's clock may run ahead.
    for (const row of await store.spentBy(from, to > now ? undefined : to)) {
      month.add(row)
      if (from >= midnight) day.add(row)
    }
    await setImmediate()
  }
  return [...day.readings(), ...month.readings()]
}

class SpentSums {
  readonly #window: SpentReading['window']
  readonly #sums = new Map<string, SpentReading>()
  readonly #models = new Set<string>()

  constructor(window: SpentReading['window']) {
    this.#window = window
  }

  add({ route, payer, seller, caller, microUsd, ...rest }: SpentBy): void {
    const model = this.#model(rest.model)
    const key = JSON.stringify([route, model, payer, seller, caller])
    const sum = this.#sums.get(key)?.microUsd ?? 0n
    this.#sums.set(key, {
      window: this.#window,
      route,
      model,
      payer,
      seller,
      caller,
      microUsd: sum + microUsd,
    })
  }

  /** Clients name models under a wildcard: a month of invented names must not fill the memory. */
  #model(model: string): string {
    if (this.#models.size < MAX_MODELS) this.#models.add(model)
    return this.#models.has(model) ? model : OVERFLOW
  }

  readings(): Iterable<SpentReading> {
    return this.#sums.values()
  }
}
