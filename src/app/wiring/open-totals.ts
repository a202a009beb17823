/** Compares the totals of ledger, audit file and metrics, and reports when they differ. */
import type { Log } from '../../core/log.ts'
import { systemClock, type Clock } from '../../core/clock.ts'
import { isSolanaNetwork } from '../../core/money/address.ts'
import { formatUsd } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { openChain } from '../../io/chain/chain.ts'
import { watchOutflow } from '../../io/consistency/chain-outflow.ts'
import type { Instance } from '../../io/store/contracts/instances.ts'
import type { Store } from '../../io/store/store.ts'
import type { MetricName } from '../../io/metrics/metric-table.ts'
import type { Metrics } from '../../io/metrics/metrics.ts'
import { watchTotals, type TotalsCheck, type TotalsSources } from '../../io/consistency/totals-check.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import type { AuditTotals, MoveWatch } from '../../io/consistency/independent-totals.ts'
import { LedgerTotals } from '../../io/consistency/ledger-totals.ts'

/** Lets the event loop run: a store on a local disk answers without ever yielding to it. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** What {@link openTotals} compares. */
export interface TotalsContext {
  readonly store: Store
  readonly instance: Instance
  readonly audit: AuditTotals
  readonly moves: MoveWatch
  readonly metrics: Metrics
  readonly log: Log
  readonly timers?: Timers | undefined
  readonly clock?: Clock | undefined
  readonly chain?: ChainOutflow | undefined
}

/** The chain's total, and the function that stops its requests. */
export interface ChainOutflow {
  readonly read: NonNullable<TotalsSources['chain']>
  readonly close: () => void
}

/**
 * The amount that left the payers' wallets in excess of the ledger, read from the configured nodes; `undefined`
 * without a node or without a payer that has an address.
 */
export function chainOutflow(
  config: Pick<ResolvedConfig, 'chains' | 'assets' | 'reconcile'>,
  payers: Iterable<Pick<Provider, 'address'>>,
  store: Store,
  clock: Clock,
): ChainOutflow | undefined {
  const addresses = [...payers].flatMap(({ address }) =>
    address?.startsWith('0x') ? address.toLowerCase() : [],
  )
  const nodes = [...config.chains].filter(([network]) => !isSolanaNetwork(network))
  if (addresses.length === 0 || nodes.length === 0) return undefined
  const chains = nodes.map(([network, { rpc, finality }]) => openChain({ network, rpc, finality }))
  const read = watchOutflow({
    store,
    chains,
    assets: config.assets,
    payers: [...new Set(addresses)],
    clock,
    intervalMs: config.reconcile.intervalMs,
    breathe,
  })
  return {
    read,
    close() {
      for (const reader of chains) reader.close()
    },
  }
}

/** What most often makes the chain differ, and is no fault of the ledger. */
const SHARED_WALLET =
  '. For ledger_chain, see first whether another program pays from the same wallet: its payments are on the chain and not in this ledger. Give Tollway a wallet of its own'

/** Starts the comparison, and exports the differences as `tollway_ledger_mismatch_usd`. */
export function openTotals(context: TotalsContext): TotalsCheck {
  const {
    store,
    instance,
    audit,
    moves,
    metrics,
    log,
    timers = systemTimers,
    clock = systemClock,
    chain,
  } = context
  const { id, startedAt } = instance
  const ledger = new LedgerTotals({ store, instance: id, startedAt, clock, breathe })
  const check = watchTotals({
    sources: {
      ledger: () => ledger.read(),
      audit: () => audit.sums,
      metrics: async () => (await counted(metrics)) - moves.ofOthers,
      foreign: () => moves.foreign,
      lookForForeign: async () => {
        await moves.lookForForeign(store)
        ledger.reset()
      },
      chain: chain?.read,
    },
    timers,
    onChange(differing, sums) {
      const usd = Object.fromEntries(
        differing.map(({ pair, microUsd = 0n }) => [pair, formatUsd(microUsd)] as const),
      )
      if (differing.length > 0)
        log.error(
          { difference_usd: usd, sums_micro_usd: sums },
          `the totals of ledger, audit file and metrics differ${differing.some(({ pair }) => pair === 'ledger_chain') ? SHARED_WALLET : ''}`,
        )
      else log.warn({ sums_micro_usd: sums }, 'the totals of ledger, audit file and metrics agree again')
    },
    onFailure: (err) => log.error({ err }, 'could not compare the totals of ledger, audit file and metrics'),
  })
  metrics.watch({ mismatches: check.newest })
  return {
    ...check,
    close() {
      check.close()
      chain?.close()
    },
  }
}

/** Allowed rounding error of a summed double, as a divisor of the sum; ten million payments stay below it. */
const DRIFT = 100_000_000n

/**
 * Spending minus corrections according to the counters, micro-USD. The counters are doubles: if they match the
 * exact number within their precision, the exact number is used.
 */
async function counted(metrics: Metrics): Promise<bigint> {
  const [shown, exact] = [await shownByCounters(metrics), metrics.spentMicroUsd()]
  const off = shown > exact ? shown - exact : exact - shown
  return off <= 1n + shown / DRIFT ? exact : shown
}

async function shownByCounters(metrics: Metrics): Promise<bigint> {
  const [spent, corrected] = await Promise.all([
    total(metrics, 'tollway_spend_usd_total'),
    total(metrics, 'tollway_spend_corrections_usd_total'),
  ])
  return spent - corrected
}

async function total(metrics: Metrics, name: MetricName): Promise<bigint> {
  const counter = metrics.registry.getSingleMetric(name)
  const { values } = (await counter?.get()) ?? { values: [] }
  return values.reduce((sum, { value }) => sum + BigInt(Math.round(value * 1e6)), 0n)
}
