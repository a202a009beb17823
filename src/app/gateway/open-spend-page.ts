/** Assembles the dependencies of the spend page from the opened parts. */
import { KEYED_PAYER } from '../../core/charge/metered.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { RandomBytes } from '../../core/ids.ts'
import { formatUsd } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { LedgerUse } from '../../io/ledger/ledger-use.ts'
import type { WalletReading } from '../../io/metrics/metric-sources.ts'
import type { Approvals } from '../approvals/approvals.ts'
import { AdminKey } from '../admin/admin-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import type { Facets } from '../spend-page/api.ts'
import { explorerLinks } from '../spend-page/explorers.ts'
import { ChargeFeed } from '../spend-page/feed.ts'
import { Refusals } from '../spend-page/refusals.ts'
import type { Funds, WalletFunds } from '../spend-page/funds.ts'
import type { SpendPageOptions } from '../spend-page/spend-page.ts'
import { currentBudgets } from '../wiring/current-budgets.ts'

/** Dependencies of {@link openSpendPage}. */
export interface SpendPageSetup {
  /** The configuration in force. */
  readonly config: () => ResolvedConfig
  readonly ledger: Ledger
  readonly approvals: Approvals
  readonly payers: ReadonlyMap<string, Provider>
  /** The latest balances. */
  readonly wallets: () => readonly WalletReading[]
  readonly clock: Clock
  readonly random: RandomBytes
  /** The page's feed is added to this list. */
  readonly observers: Observer[]
}

/** Builds the options of `spendPage()`. */
export function openSpendPage(setup: SpendPageSetup): SpendPageOptions {
  const { config: current, ledger, approvals, payers, wallets, clock, random, observers } = setup
  const config = current()
  const link = explorerLinks(config.explorers)
  const feed = new ChargeFeed(link)
  const refusals = new Refusals(() => clock.now())
  // Before the feed, which tells pages to read them.
  observers.push(refusals.observe, feed.observe)
  return {
    ledger,
    budgets: () => currentBudgets(current()),
    clock,
    random,
    link,
    feed,
    refusals,
    approvals,
    adminKey: new AdminKey(config.admin.keyDigest),
    auditPath: config.audit.path,
    facets: () => facetsOf(current()),
    funds: async () => ({
      wallets: walletFunds(payers, wallets()),
      pools: await poolFunds(ledger, clock.now()),
    }),
  }
}

function facetsOf({ routes, callers, tags }: ResolvedConfig): Facets {
  // Calls without a payer are charges too, once their model has a price or a budget counts them.
  const paid = routes.map(({ modelName, payer = KEYED_PAYER, apiBase }) => {
    return { modelName, payer, seller: new URL(apiBase).origin }
  })
  return {
    routes: sorted(paid.map(({ modelName }) => modelName)),
    payers: sorted(paid.map(({ payer }) => payer)),
    sellers: sorted(paid.map(({ seller }) => seller)),
    callers: callers.length === 0 ? ['anonymous'] : sorted(callers.map(({ id }) => id)),
    tags: tagNames(tags.declared, tags.open),
  }
}

/** `team` of a declared tag `team:search`, and the open kinds. */
function tagNames(declared: readonly string[], open: readonly string[]): string[] {
  return sorted([...declared.flatMap((tag) => (tag.includes(':') ? tag.split(':', 1) : [])), ...open])
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].toSorted()
}

/** One row per wallet and network, without a balance if no node reports it. */
function walletFunds(
  payers: ReadonlyMap<string, Provider>,
  readings: readonly WalletReading[],
): WalletFunds[] {
  return [...payers].flatMap(([payer, { address, networks }]) =>
    networks.flatMap((network): WalletFunds[] => {
      const own = readings.filter((reading) => reading.payer === payer && reading.network === network)
      if (own.length === 0)
        return address === undefined ? [] : [{ payer, network, address, asset: undefined, usd: undefined }]
      return own.map(({ asset, microUsd }) => {
        return {
          payer,
          network,
          address,
          asset,
          usd: microUsd === undefined ? undefined : formatUsd(microUsd),
        }
      })
    }),
  )
}

async function poolFunds({ store }: LedgerUse<never, 'vouchers'>, at: number): Promise<Funds['pools']> {
  const pools = await store.vouchers.pools({ at })
  return pools.map(({ pool, counts, exposureMicroUsd }) => ({
    payer: pool.payer,
    pool: pool.name,
    seller: new URL(pool.seller).origin,
    vouchers: counts,
    exposureUsd: formatUsd(exposureMicroUsd),
  }))
}
