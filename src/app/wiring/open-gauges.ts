/** Refreshes the gauges that are too slow to read during a scrape. */
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import type { Provider } from '../../core/payer/provider.ts'
import { systemTimers } from '../../core/timers.ts'
import type { WalletReading } from '../../io/metrics/metric-sources.ts'
import type { Metrics } from '../../io/metrics/metrics.ts'
import { watchSpending } from '../../io/metrics/spending.ts'
import type { Store } from '../../io/store/store.ts'
import { watchWalletBalances } from '../../io/metrics/wallet-balances.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** Dependencies of {@link openGauges}. */
export interface GaugesSetup {
  readonly config: Pick<ResolvedConfig, 'assets' | 'chains'>
  readonly store: Store
  readonly metrics: Metrics
  readonly payers: ReadonlyMap<string, Provider>
  readonly clock: Clock
  readonly log: Log
}

/** The refreshed values. */
export interface Gauges {
  /** The latest known balances. */
  readonly wallets: () => readonly WalletReading[]
  /** Reads spending and balances again. Rejects if the ledger cannot be read. */
  readonly refresh: () => Promise<void>
  readonly close: () => void
}

/** Starts to read spending, and the balances of payers with a known address and node. */
export function openGauges(setup: GaugesSetup): Gauges {
  const { config, store, metrics, payers, clock, log } = setup
  const spending = watchSpending({
    store,
    clock,
    timers: systemTimers,
    onFailure: (err) => log.warn({ err }, 'could not read spending for the metrics'),
  })
  const wallets = watchWalletBalances({
    wallets: [...payers].flatMap(([payer, { address, networks }]) =>
      address === undefined ? [] : [{ payer, address, networks }],
    ),
    assets: config.assets,
    nodes: new Map([...config.chains].map(([network, { rpc }]) => [network, rpc] as const)),
    timers: systemTimers,
  })
  metrics.watch({ spent: spending.newest, wallets: wallets.newest })
  return {
    wallets: wallets.newest,
    async refresh() {
      await Promise.all([spending.refresh(), wallets.refresh()])
    },
    close() {
      spending.close()
      wallets.close()
    },
  }
}
