/** Holds the sums against each other, over and over. Payments go on meanwhile: only a difference that stays is one. */
import type { Timers } from '../../core/timers.ts'
import type { Totals } from './independent-totals.ts'

/** Two sums and how far they are apart. */
export interface TotalsPair {
  readonly pair: 'ledger_audit' | 'ledger_metrics' | 'audit_metrics' | 'ledger_chain'
  /** Micro-USD, never negative; `undefined` while one of them cannot be read. */
  readonly microUsd: bigint | undefined
}

/** Where the sums are read. */
export interface TotalsSources {
  /** From the rows of the ledger. */
  readonly ledger: () => Promise<Totals>
  /** From the records that were appended. */
  readonly audit: () => Totals
  /** From the counters, of the own charges, micro-USD. */
  readonly metrics: () => Promise<bigint>
  /** What other processes booked of the own charges. */
  readonly foreign: () => bigint
  /** Looks for such bookings; asked when sums differ. */
  readonly lookForForeign: () => Promise<void>
  /**
   * How much more left the wallets on the chain than the ledger counts, micro-USD; `undefined` when no chain can be read.
   * Left out where no node is configured.
   */
  readonly chain?: (() => Promise<bigint | undefined>) | undefined
}

/** Options of {@link watchTotals}. */
export interface TotalsCheckOptions {
  readonly sources: TotalsSources
  readonly timers: Timers
  /** Between two looks, milliseconds; default 15 s. */
  readonly intervalMs?: number | undefined
  /** Told when sums begin or cease to differ. */
  readonly onChange: (differing: readonly TotalsPair[], sums: Readonly<Record<string, string>>) => void
  /** Told when a sum could not be read. */
  readonly onFailure: (error: unknown) => void
}

/** See the file's head. */
export interface TotalsCheck {
  /** The pairs as they were found last. */
  readonly newest: () => readonly TotalsPair[]
  /** Looks now. */
  readonly run: () => Promise<readonly TotalsPair[]>
  readonly close: () => void
}

const INTERVAL_MS = 15_000
/** A ledger with many charges takes long to add up: at most this share of the time is spent on it. */
const SHARE = 1 / 100
/** How many looks in a row a difference must last. */
const LOOKS = 3

type Name = TotalsPair['pair']

/** Looks every 15 seconds or more. */
export function watchTotals(options: TotalsCheckOptions): TotalsCheck {
  const { sources, timers, intervalMs = INTERVAL_MS, onChange, onFailure } = options
  const pairs: readonly Name[] = [
    'ledger_audit',
    'ledger_metrics',
    'audit_metrics',
    ...(sources.chain ? (['ledger_chain'] as const) : []),
  ]
  const lasting = new Map(pairs.map((pair) => [pair, new Lasting(LOOKS)] as const))
  let newest: readonly TotalsPair[] = []
  let told = ''
  let closed = false
  let cancel = (): void => undefined

  const run = async (): Promise<readonly TotalsPair[]> => {
    try {
      let look = await lookOnce(sources)
      if (look.differences.get('ledger_audit') !== 0n || look.differences.get('ledger_metrics') !== 0n) {
        await sources.lookForForeign()
        look = await lookOnce(sources)
      }
      newest = pairs.map((pair) => ({ pair, microUsd: lasting.get(pair)?.next(look.differences.get(pair)) }))
      const differing = newest.filter(({ microUsd }) => microUsd !== undefined && microUsd > 0n)
      const state = differing.map(({ pair }) => pair).join()
      if (state !== told) onChange(differing, look.sums)
      told = state
    } catch (error) {
      newest = pairs.map((pair) => ({ pair, microUsd: undefined }))
      throw error
    }
    return newest
  }
  const loop = (wait: number): void => {
    cancel = timers.after(wait, () => {
      const since = performance.now()
      void run()
        .catch((error: unknown) => closed || onFailure(error))
        .then(() => closed || loop(Math.max(intervalMs, (performance.now() - since) / SHARE)))
    })
  }
  loop(intervalMs)
  return {
    newest: () => newest,
    run,
    close() {
      closed = true
      cancel()
    },
  }
}

/** Signed differences of one look; 0 where a payment that moved meanwhile can explain them. */
async function lookOnce(sources: TotalsSources): Promise<{
  readonly differences: ReadonlyMap<Name, bigint | undefined>
  readonly sums: Readonly<Record<string, string>>
}> {
  const before = { audit: sources.audit(), metrics: await sources.metrics() }
  const ledger = await sources.ledger()
  const after = { audit: sources.audit(), metrics: await sources.metrics() }
  const foreign = sources.foreign()
  const chain = await sources.chain?.()
  const own = ledger.settled - foreign
  const settled = outside(own, before.audit.settled, after.audit.settled)
  const authorized = outside(ledger.authorized, before.audit.authorized, after.audit.authorized)
  const counters = outside(own, before.metrics, after.metrics)
  const differences = new Map<Name, bigint | undefined>([
    ['ledger_audit', size(settled) >= size(authorized) ? settled : authorized],
    ['ledger_metrics', counters],
    // Appended and counted in the same turn, but for what the disk keeps waiting.
    ['audit_metrics', after.audit.settled - after.metrics],
    ['ledger_chain', chain],
  ])
  const sums = {
    ledger_settled: own.toString(),
    ledger_authorized: ledger.authorized.toString(),
    audit_settled: after.audit.settled.toString(),
    audit_authorized: after.audit.authorized.toString(),
    metrics_settled: after.metrics.toString(),
  }
  return { differences, sums }
}

/** How far a value lies outside two others. */
function outside(value: bigint, one: bigint, other: bigint): bigint {
  const [low, high] = one < other ? [one, other] : [other, one]
  if (value < low) return value - low
  return value > high ? value - high : 0n
}

function size(value: bigint): bigint {
  return value < 0n ? -value : value
}

/** What stays of a difference that is looked at again and again: the least of it, as long as it keeps its sign. */
class Lasting {
  readonly #looks: number
  #seen: bigint[] = []

  constructor(looks: number) {
    this.#looks = looks
  }

  next(difference: bigint | undefined): bigint | undefined {
    if (difference === undefined) return undefined
    this.#seen = [...this.#seen, difference].slice(-this.#looks)
    if (this.#seen.length < this.#looks) return 0n
    if (!this.#seen.every((one) => one > 0n) && !this.#seen.every((one) => one < 0n)) return 0n
    return this.#seen.map(size).reduce((least, one) => (one < least ? one : least))
  }
}
