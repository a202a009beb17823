/** Compares the totals again and again. Payments continue meanwhile, so only a lasting difference counts. */
import type { Timers } from '../../core/timers.ts'
import type { Totals } from './totals.ts'

/** Two totals and their difference. */
export interface TotalsPair {
  readonly pair: 'ledger_audit' | 'ledger_metrics' | 'audit_metrics' | 'ledger_chain'
  /** Their difference, micro-USD, never negative; `undefined` while one of them cannot be read. */
  readonly microUsd: bigint | undefined
}

/** Where the totals come from. */
export interface TotalsSources {
  /** From the rows of the ledger. */
  readonly ledger: () => Promise<Totals>
  /** From the records of the audit file. */
  readonly audit: () => Totals
  /** From the counters of the metrics, for this process's charges; micro-USD. */
  readonly metrics: () => Promise<bigint>
  /** What other processes settled of this process's charges, micro-USD; may be negative. */
  readonly foreign: () => bigint
  /** Looks for such moves. Called when totals differ. */
  readonly lookForForeign: () => Promise<void>
  /**
   * How much more left the wallets on the chain than the ledger counts, micro-USD; `undefined` while no node answers. Left out
   * when no node is configured.
   */
  readonly chain?: (() => Promise<bigint | undefined>) | undefined
}

/** Options of {@link watchTotals}. */
export interface TotalsCheckOptions {
  readonly sources: TotalsSources
  readonly timers: Timers
  /** Milliseconds between two checks; default 15 000. */
  readonly intervalMs?: number | undefined
  /** Called when totals start or stop differing. */
  readonly onChange: (differing: readonly TotalsPair[], sums: Readonly<Record<string, string>>) => void
  /** Called when a total could not be read. */
  readonly onFailure: (error: unknown) => void
}

/** A running comparison of the totals. */
export interface TotalsCheck {
  /** The pairs of the last check. */
  readonly newest: () => readonly TotalsPair[]
  /** Checks now. */
  readonly run: () => Promise<readonly TotalsPair[]>
  readonly close: () => void
}

const INTERVAL_MS = 15_000
/** The largest share of time spent on checks: a ledger with many charges takes long to add up. */
const SHARE = 1 / 100
/** How many checks in a row a difference must last. */
const CHECKS = 3

type Name = TotalsPair['pair']

/** Compares the totals every 15 seconds, or less often when a check takes long. */
export function watchTotals(options: TotalsCheckOptions): TotalsCheck {
  const { sources, timers, intervalMs = INTERVAL_MS, onChange, onFailure } = options
  const pairs: readonly Name[] = [
    'ledger_audit',
    'ledger_metrics',
    'audit_metrics',
    ...(sources.chain ? (['ledger_chain'] as const) : []),
  ]
  const lasting = new Map(pairs.map((pair) => [pair, new Lasting(CHECKS)] as const))
  let newest: readonly TotalsPair[] = []
  let reported = ''
  let closed = false
  let cancel = (): void => undefined

  const run = async (): Promise<readonly TotalsPair[]> => {
    try {
      let check = await checkOnce(sources)
      if (check.differences.get('ledger_audit') !== 0n || check.differences.get('ledger_metrics') !== 0n) {
        await sources.lookForForeign()
        check = await checkOnce(sources)
      }
      newest = pairs.map((pair) => ({ pair, microUsd: lasting.get(pair)?.next(check.differences.get(pair)) }))
      const differing = newest.filter(({ microUsd }) => microUsd !== undefined && microUsd > 0n)
      const state = differing.map(({ pair }) => pair).join()
      if (state !== reported) onChange(differing, check.sums)
      reported = state
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

/** The signed differences of one check; 0 where a payment that moved meanwhile can explain them. */
async function checkOnce(sources: TotalsSources): Promise<{
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
    // Appended and counted in the same turn, except for records that wait for the disk.
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

/** The lasting part of a difference: its smallest size over the last checks, as long as it keeps its sign. */
class Lasting {
  readonly #checks: number
  #seen: bigint[] = []

  constructor(checks: number) {
    this.#checks = checks
  }

  next(difference: bigint | undefined): bigint | undefined {
    if (difference === undefined) return undefined
    this.#seen = [...this.#seen, difference].slice(-this.#checks)
    if (this.#seen.length < this.#checks) return 0n
    if (!this.#seen.every((one) => one > 0n) && !this.#seen.every((one) => one < 0n)) return 0n
    return this.#seen.map(size).reduce((least, one) => (one < least ? one : least))
  }
}
