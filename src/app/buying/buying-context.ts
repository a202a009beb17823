/** The dependencies of buying. A command opens its own; a gateway that refills its pools shares its own with it. */
import { randomBytes } from 'node:crypto'
import { systemClock, type Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { Provider } from '../../core/payer/provider.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import type { VoucherLimits } from '../../core/vouchers/voucher.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import { createUpstream, type Upstream } from '../../io/transport/upstream.ts'
import { VoucherBook } from '../../io/vouchers/voucher-book.ts'
import type { BeforeSign } from '../../payment/payment-context.ts'
import { openCommandLedger } from '../operations/command-ledger.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { openPayers } from '../wiring/open-payers.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

/** The part of a configuration that buying uses. */
export type BuyingConfig = Pick<
  ResolvedConfig,
  | 'store'
  | 'audit'
  | 'payers'
  | 'userAgents'
  | 'chains'
  | 'assets'
  | 'policy'
  | 'budgets'
  | 'timeouts'
  | 'blockPrivateNetworks'
  | 'approval'
>

/** The dependencies of buying. */
export interface BuyingContext {
  readonly config: BuyingConfig
  readonly ledger: Ledger
  readonly upstream: Upstream
  readonly clock: Clock
  readonly timers: Timers
  readonly observers: readonly Observer[]
  /** Asks the hooks of the application around, where a gateway refills in the background. */
  readonly beforeSign?: BeforeSign | undefined
  /**
   * The payer with this name. It is opened at first use, so that a command only touches the keys it needs.
   * @throws ConfigError, TollwayError `signer_unavailable`
   */
  payer(name: string): Promise<Provider>
  /** The vouchers that a payer spends, under its limits. */
  book(payer: string): VoucherBook
}

/** Limits for a payer without its own: its vouchers are signed only for export. */
const DEFAULT_LIMITS: VoucherLimits = {
  maxCount: 10_000,
  maxMicroUsd: undefined,
  maxAgeMs: 365 * 86_400_000,
}

/** The limits on a payer's stored vouchers. */
function limitsOf(config: Pick<ResolvedConfig, 'payers'>, payer: string): VoucherLimits {
  const found = config.payers.get(payer)
  return found?.kind === 'obol' && found.mode === 'pool' ? found.limits : DEFAULT_LIMITS
}

/** The default of `policy.max_usd_per_request`, micro-USD. */
const DEFAULT_CEILING = 100_000n

/** The most that one signature may be worth, micro-USD. A signer always has a ceiling, even if a gateway needs none. */
export function signingCeiling({ policy }: Pick<BuyingConfig, 'policy'>): bigint {
  const { maxMicroUsd } = policy
  return typeof maxMicroUsd === 'bigint' ? maxMicroUsd : DEFAULT_CEILING
}

/** The vouchers of payers on one ledger. */
function voucherBooks(
  config: Pick<ResolvedConfig, 'payers'>,
  ledger: Ledger,
  clock: Clock,
): (payer: string) => VoucherBook {
  return (payer) => new VoucherBook({ ledger, clock, limits: limitsOf(config, payer) })
}

/**
 * The buying context of a gateway, with payers that are already open.
 * @param configNow the configuration in force: policy and routes may change while the gateway runs
 */
export function buyingContextOf(
  context: Pick<BuyingContext, 'ledger' | 'upstream' | 'clock' | 'timers' | 'observers' | 'beforeSign'>,
  configNow: () => BuyingConfig,
  payers: ReadonlyMap<string, Provider>,
): BuyingContext {
  return {
    ...context,
    get config() {
      return configNow()
    },
    payer(name) {
      const payer = payers.get(name)
      return payer
        ? Promise.resolve(payer)
        : Promise.reject(new ConfigError(unknownName('payer', name, [...payers.keys()])))
    },
    book: voucherBooks(configNow(), context.ledger, context.clock),
  }
}

/** Dependencies that tests replace. */
export interface BuyingOverrides {
  readonly clock?: Clock | undefined
  readonly random?: RandomBytes | undefined
  readonly timers?: Timers | undefined
}

/**
 * Opens the buying context for one command, and closes it afterwards.
 * @throws ConfigError for a store that other programs cannot read
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function withBuying<T>(
  config: BuyingConfig,
  use: (context: BuyingContext) => Promise<T>,
  overrides: BuyingOverrides = {},
): Promise<T> {
  const { clock = systemClock, random = randomBytes, timers = systemTimers } = overrides
  const ledger = await openCommandLedger(config, clock, random)
  const upstream = createUpstream(config.timeouts, { publicSellers: config.blockPrivateNetworks })
  const opened: { close(): Promise<void> }[] = []
  const payers = new Map<string, Promise<Provider>>()
  try {
    return await use({
      config,
      ledger,
      upstream,
      clock,
      timers,
      observers: [],
      payer(name) {
        const known = payers.get(name) ?? openOne(config, name, opened)
        payers.set(name, known)
        return known
      },
      book: voucherBooks(config, ledger, clock),
    })
  } finally {
    await upstream.close()
    await Promise.allSettled(opened.map((part) => part.close()))
    await ledger.close()
  }
}

async function openOne(
  config: BuyingConfig,
  name: string,
  opened: { close(): Promise<void> }[],
): Promise<Provider> {
  const entry = config.payers.get(name)
  const provider =
    entry &&
    (await openPayers({ payers: new Map([[name, entry]]), chains: config.chains }, { opened })).get(name)
  if (provider) return provider
  throw new ConfigError(
    entry
      ? `payers.${name} pays with vouchers that were signed in advance. Choose a payer that has its own key.`
      : unknownName('payer', name, [...config.payers.keys()]),
  )
}
