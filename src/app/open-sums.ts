/** Puts the sums of ledger, audit file and metrics side by side, and tells when they part. */
import type { Log } from '../../middleware/log.ts'
import { formatUsd } from '../core/money.ts'
import { systemTimers, type Timers } from '../core/timers.ts'
import type { Instance, Store } from '../io/store/store.ts'
import type { Metrics } from '../io/metrics.ts'
import { watchSums, type SumCheck, type SumSources } from '../io/sum-check.ts'
import { ledgerSums, type AuditSums, type MoveWatch } from '../io/three-sums.ts'

/** What {@link openSums} compares. */
export interface SumParts {
  readonly store: Store
  readonly instance: Instance
  readonly audit: AuditSums
  readonly moves: MoveWatch
  readonly metrics: Metrics
  readonly log: Log
  readonly timers?: Timers | undefined
  readonly chain?: SumSources['chain']
}

/** Starts comparing, and shows the differences as `tollway_ledger_mismatch_usd`. */
export function openSums(parts: SumParts): SumCheck {
  const { store, instance, audit, moves, metrics, log, timers = systemTimers, chain } = parts
  const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const check = watchSums({
    sources: {
      ledger: () => ledgerSums(store, instance.id, instance.startedAt, breathe),
      audit: () => audit.sums,
      metrics: async () => (await counted(metrics)) - moves.overcounted,
      foreign: () => moves.foreign,
      lookForForeign: () => moves.lookForForeign(store),
      chain,
    },
    timers,
    onChange(differing, sums) {
      const usd = Object.fromEntries(
        differing.map(({ pair, microUsd = 0n }) => [pair, formatUsd(microUsd)] as const),
      )
      if (differing.length > 0)
        log.error({ difference_usd: usd, sums_micro_usd: sums }, 'sums of money differ')
      else log.warn({ sums_micro_usd: sums }, 'sums of money agree again')
    },
    onFailure: (err) => log.error({ err }, 'the sums of money could not be compared'),
  })
  metrics.watch({ mismatches: check.newest })
  return check
}

/** What the counters say was spent, micro-USD: they count in USD, each move exact to the micro-USD. */
async function counted(metrics: Metrics): Promise<bigint> {
  const counter = metrics.registry.getSingleMetric('tollway_spend_usd_total')
  const { values } = (await counter?.get()) ?? { values: [] }
  return values.reduce((sum, { value }) => sum + BigInt(Math.round(value * 1e6)), 0n)
}
