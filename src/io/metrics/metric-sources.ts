/** Gauges are read when they are scraped: from the ledger, and from sources that refresh in the background. */
import {
  ALL_SUBJECTS,
  counted,
  type AlertSeverity,
  type BudgetAsset,
  type Totals,
} from '../../core/budget/budget.ts'
import { formatUnits } from '../../core/money/money.ts'
import { CHARGE_FLAGS, type ChargeFlag } from '../../core/charge/reconcile.ts'
import type { MetricRegistry } from './metric-registry.ts'
import { showObol, type ObolReading } from './obol-metrics.ts'
import { showRouteStates, type RouteStateReading } from './routing-metrics.ts'

/** The current window of a budget in the ledger. Amounts are in micro-USD, or in smallest units of the asset. */
export interface BudgetReading {
  readonly budget: string
  /** The caller, model, payer, seller or tag; `*` for a global budget. */
  readonly subject: string
  readonly limit: bigint
  readonly totals: Totals
  readonly asset?: BudgetAsset | undefined
  /** `false`: it refuses nothing, and raises no alert. */
  readonly enforce?: boolean | undefined
  /** How serious it is when it is used up; default critical, or a warning for one subject of many. */
  readonly severity?: AlertSeverity | undefined
}

/** Where the gauges are read from at every scrape. Gauges without a source are absent. */
export interface MetricSources {
  /** Every budget's current window, from the ledger. */
  readonly budgets?: (() => Promise<readonly BudgetReading[]>) | undefined
  /** Number and micro-USD of the uncertain charges, from the ledger. */
  readonly uncertain?: (() => Promise<{ readonly count: number; readonly microUsd: bigint }>) | undefined
  /** The number of charges with each flag, from the ledger. */
  readonly flagged?:
    | (() => Promise<readonly { readonly flag: ChargeFlag; readonly count: number }[]>)
    | undefined
  /** Sequence number of the latest audit record. */
  readonly auditSequence?: (() => number) | undefined
  /** Amounts settled since the start of the day and the month, from the ledger; `undefined` while it cannot be read. */
  readonly spent?: (() => readonly SpentReading[] | undefined) | undefined
  /** The number of vouchers in each state, from the store. */
  readonly vouchers?: (() => Promise<readonly VoucherReading[]>) | undefined
  /** Age and next expiry of the pools that have usable vouchers. */
  readonly voucherTimes?: (() => Promise<readonly VoucherTimes[]>) | undefined
  /** Micro-USD that unspent vouchers could pay. */
  readonly voucherExposure?: (() => Promise<bigint>) | undefined
  /** The upstreams of pools loaded from x402-buyer's files. */
  readonly obol?: (() => Promise<readonly ObolReading[]>) | undefined
  /** The latest known balances of the payers. */
  readonly wallets?: (() => readonly WalletReading[]) | undefined
  /** The number of open live streams of the spend page. */
  readonly pageStreams?: (() => number) | undefined
  /** How many requests are remembered for their repeats, and the bytes of their answers. */
  readonly remembered?: (() => { readonly count: number; readonly bytes: number }) | undefined
  /** Free bytes of the disks of audit file and ledger. */
  readonly diskSpace?:
    | (() => readonly { readonly name: string; readonly bytes: number | undefined }[])
    | undefined
  /** Free bytes below which paid routes refuse. */
  readonly minFreeBytes?: (() => number) | undefined
  /** The health of every route used so far. */
  readonly routes?: (() => readonly RouteStateReading[]) | undefined
  /** The configuration in force. */
  readonly config?: (() => ConfigReading) | undefined
  /** Routes without a payer and without a price, while a budget in USD is enforced. */
  readonly unpricedRoutes?: (() => readonly string[]) | undefined
  /** The number of calls that wait for a person's approval. */
  readonly approvalsWaiting?: (() => number) | undefined
  /** The differences between independent totals, micro-USD; `undefined` for a pair that could not be compared. */
  readonly mismatches?: (() => readonly MismatchReading[]) | undefined
}

/** A configuration and its last reload. */
export interface ConfigReading {
  /** Of the configuration in force, lower-case hex. */
  readonly hash: string
  /** Whether the last attempt to read the configuration again succeeded. */
  readonly isLastDone: boolean
  /** When a configuration last came into force or was confirmed, milliseconds since the epoch. */
  readonly doneAt: number
}

/** The amount settled in one window for one combination of labels. */
export interface SpentReading {
  readonly window: 'day' | 'month'
  readonly route: string
  readonly model: string
  readonly payer: string
  readonly seller: string
  readonly caller: string
  readonly microUsd: bigint
}

/** Vouchers of one payer and seller in one state. */
export interface VoucherReading {
  readonly payer: string
  readonly seller: string
  readonly state: string
  readonly count: number
}

/** The usable vouchers of one payer and seller in time. */
export interface VoucherTimes {
  readonly payer: string
  readonly seller: string
  /** When the oldest was added, seconds since the epoch. */
  readonly oldest: number
  /** When the first expires, seconds since the epoch. */
  readonly nextExpiry: number
}

/** The balance of a payer. */
export interface WalletReading {
  readonly payer: string
  /** The paying address, because two gateways may each have a payer of the same name. */
  readonly address: string
  /** CAIP-2. */
  readonly network: string
  /** The asset's symbol. */
  readonly asset: string
  /** `undefined` when the chain gave no usable answer. */
  readonly microUsd: bigint | undefined
}

/** The difference between two totals. */
export interface MismatchReading {
  /** Both names, e.g. `ledger_audit`. */
  readonly pair: string
  readonly microUsd: bigint | undefined
}

/** Enough of a hash to tell two configurations apart. */
const HASH_LENGTH = 12

const BUDGET_GAUGES = [
  'tollway_budget_limit_usd',
  'tollway_budget_spent_usd',
  'tollway_budget_held_usd',
  'tollway_budget_uncertain_usd',
  'tollway_budget_remaining_usd',
] as const

/** Reads every source into its gauges. What cannot be read is omitted or NaN, never stale. */
export async function readSources(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  await Promise.all([
    readBudgets(metrics, sources),
    readUncertain(metrics, sources),
    readFlagged(metrics, sources),
    readVouchers(metrics, sources),
  ])
  readSpent(metrics, sources)
  readWallets(metrics, sources)
  readMismatches(metrics, sources)
  if (sources.routes) showRouteStates(metrics, sources.routes())
  if (sources.config) showConfig(metrics, sources.config())
  if (sources.approvalsWaiting) metrics.set('tollway_approvals_waiting', {}, sources.approvalsWaiting())
  if (sources.unpricedRoutes) {
    metrics.reset('tollway_unpriced_routes')
    for (const route of sources.unpricedRoutes()) metrics.set('tollway_unpriced_routes', { route }, 1)
  }
  if (sources.pageStreams) metrics.set('tollway_spend_page_streams', {}, sources.pageStreams())
  if (sources.remembered) {
    const { count, bytes } = sources.remembered()
    metrics.set('tollway_remembered_requests', {}, count)
    metrics.set('tollway_remembered_bytes', {}, bytes)
  }
  for (const { name, bytes } of sources.diskSpace?.() ?? []) {
    metrics.set('tollway_disk_free_bytes', { file: name }, bytes ?? Number.NaN)
  }
  if (sources.minFreeBytes) metrics.set('tollway_disk_min_free_bytes', {}, sources.minFreeBytes())
  if (sources.auditSequence) metrics.set('tollway_audit_sequence', {}, sources.auditSequence())
}

function showConfig(metrics: MetricRegistry, { hash, isLastDone, doneAt }: ConfigReading): void {
  metrics.setOnly('tollway_config_info', { hash: hash.slice(0, HASH_LENGTH) }, 1)
  metrics.set('tollway_config_last_reload_successful', {}, isLastDone ? 1 : 0)
  metrics.set('tollway_config_last_reload_success_timestamp_seconds', {}, doneAt / 1000)
}

async function readBudgets(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  if (!sources.budgets) return
  const readings = await sources.budgets().catch(() => [])
  for (const name of BUDGET_GAUGES) metrics.reset(name)
  metrics.reset('tollway_budget_asset_units')
  metrics.reset('tollway_budget_info')
  for (const { budget, subject, enforce = true, severity } of readings) {
    const whole = subject === ALL_SUBJECTS ? 'critical' : 'warning'
    const labels = { budget, enforce: String(enforce), severity: severity ?? whole }
    metrics.setIfKnown('tollway_budget_info', labels, 1)
  }
  for (const { budget, subject, limit, totals, asset } of readings) {
    const left = limit - counted(totals)
    const amounts = {
      limit,
      spent: totals.spent,
      held: totals.held + totals.authorized,
      uncertain: totals.uncertain,
      remaining: left > 0n ? left : 0n,
    }
    if (asset !== undefined) {
      for (const [kind, amount] of Object.entries(amounts)) {
        const labels = { budget, subject, asset: asset.symbol, kind }
        metrics.setIfKnown('tollway_budget_asset_units', labels, Number(formatUnits(amount, asset.decimals)))
      }
      continue
    }
    const labels = { budget, subject }
    metrics.setIfKnown('tollway_budget_limit_usd', labels, usdNumber(amounts.limit))
    metrics.setIfKnown('tollway_budget_spent_usd', labels, usdNumber(amounts.spent))
    metrics.setIfKnown('tollway_budget_held_usd', labels, usdNumber(amounts.held))
    metrics.setIfKnown('tollway_budget_uncertain_usd', labels, usdNumber(amounts.uncertain))
    metrics.setIfKnown('tollway_budget_remaining_usd', labels, usdNumber(amounts.remaining))
  }
}

async function readUncertain(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  if (!sources.uncertain) return
  const reading = await sources.uncertain().catch(() => undefined)
  const { count, microUsd } = reading ?? { count: Number.NaN, microUsd: 0n }
  metrics.set('tollway_uncertain_payments', {}, count)
  metrics.set('tollway_uncertain_usd', {}, reading ? usdNumber(microUsd) : Number.NaN)
}

async function readFlagged(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  if (!sources.flagged) return
  const counts = await sources.flagged().catch(() => undefined)
  metrics.reset('tollway_charges_flagged')
  for (const flag of CHARGE_FLAGS) {
    const count = counts?.find((entry) => entry.flag === flag)?.count ?? 0
    metrics.set('tollway_charges_flagged', { flag }, counts ? count : Number.NaN)
  }
}

function readSpent(metrics: MetricRegistry, sources: MetricSources): void {
  if (!sources.spent) return
  metrics.reset('tollway_spent_usd')
  // Added, not set, so that everything under `other` is summed.
  for (const { microUsd, ...labels } of sources.spent() ?? []) {
    metrics.add('tollway_spent_usd', labels, usdNumber(microUsd))
  }
}

async function readVouchers(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  if (sources.vouchers) {
    const readings = await sources.vouchers().catch(() => [])
    metrics.reset('tollway_vouchers')
    for (const { count, ...labels } of readings) metrics.add('tollway_vouchers', labels, count)
  }
  if (sources.voucherTimes) {
    const readings = await sources.voucherTimes().catch(() => [])
    showVoucherTimes(metrics, readings)
  }
  if (sources.obol) showObol(metrics, await sources.obol().catch(() => []))
  if (sources.voucherExposure) {
    const exposure = await sources.voucherExposure().catch(() => undefined)
    metrics.set('tollway_voucher_exposure_usd', {}, exposure === undefined ? Number.NaN : usdNumber(exposure))
  }
}

/** Of several pools with the same labels, the oldest voucher and the first expiry are shown. */
function showVoucherTimes(metrics: MetricRegistry, readings: readonly VoucherTimes[]): void {
  metrics.reset('tollway_voucher_oldest_timestamp_seconds')
  metrics.reset('tollway_voucher_next_expiry_timestamp_seconds')
  for (const group of Map.groupBy(readings, ({ payer, seller }) => `${payer}\n${seller}`).values()) {
    const [first] = group
    if (!first) continue
    const labels = { payer: first.payer, seller: first.seller }
    const oldest = Math.min(...group.map((reading) => reading.oldest))
    const nextExpiry = Math.min(...group.map((reading) => reading.nextExpiry))
    metrics.setIfKnown('tollway_voucher_oldest_timestamp_seconds', labels, oldest)
    metrics.setIfKnown('tollway_voucher_next_expiry_timestamp_seconds', labels, nextExpiry)
  }
}

function readWallets(metrics: MetricRegistry, sources: MetricSources): void {
  if (!sources.wallets) return
  metrics.reset('tollway_wallet_balance_usd')
  for (const { microUsd, ...labels } of sources.wallets()) {
    metrics.setIfKnown(
      'tollway_wallet_balance_usd',
      labels,
      microUsd === undefined ? Number.NaN : usdNumber(microUsd),
    )
  }
}

function readMismatches(metrics: MetricRegistry, sources: MetricSources): void {
  if (!sources.mismatches) return
  metrics.reset('tollway_ledger_mismatch_usd')
  for (const { pair, microUsd } of sources.mismatches()) {
    metrics.setIfKnown(
      'tollway_ledger_mismatch_usd',
      { pair },
      microUsd === undefined ? Number.NaN : usdNumber(microUsd),
    )
  }
}

/** Converts micro-USD to USD for display only: amounts and limits are kept and compared as bigint. */
export function usdNumber(microUsd: bigint): number {
  return Number(microUsd) / 1e6
}
