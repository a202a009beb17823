/** The metrics of one gateway: told by events, and read from the ledger when they are scraped. */
import type { Registry } from 'prom-client'
import { counted, type BudgetAsset, type Totals } from '../core/budget.ts'
import type { Charge, ChargeState } from '../core/charge.ts'
import type { Observer, RequestSummary, TollwayEvent } from '../core/events.ts'
import { CHARGE_FLAGS, type ChargeFlag } from '../core/reconcile.ts'
import { formatUnits } from '../core/money.ts'
import { MetricRegistry } from './metric-registry.ts'

/** A budget's current window, as the ledger tells it. Money is in micro-USD, or in smallest units where there is an asset. */
export interface BudgetReading {
  readonly budget: string
  /** Whose share: `*` for a global budget. */
  readonly subject: string
  readonly limit: bigint
  readonly totals: Totals
  readonly asset?: BudgetAsset | undefined
}

/** Where the gauges are read from at every scrape. What is not given stays absent. */
export interface MetricSources {
  /** Every budget's current window, from the ledger. */
  readonly budgets?: (() => Promise<readonly BudgetReading[]>) | undefined
  /** Number and micro-USD of the uncertain charges, from the ledger. */
  readonly uncertain?: (() => Promise<{ readonly count: number; readonly microUsd: bigint }>) | undefined
  /** How many charges have each flag, from the ledger. */
  readonly flagged?:
    | (() => Promise<readonly { readonly flag: ChargeFlag; readonly count: number }[]>)
    | undefined
  /** Sequence number of the newest audit record. */
  readonly auditSequence?: (() => number) | undefined
}

/** Options of {@link createMetrics}. */
export interface MetricsSettings {
  /** Distinct values per label before the rest becomes `other`. Default 200. */
  readonly labelCap?: number | undefined
}

/** What {@link createMetrics} makes. */
export interface Metrics {
  readonly registry: Registry
  /** Content type of {@link Metrics.text}. */
  readonly contentType: string
  /** Give it to every part that takes observers. */
  readonly observe: Observer
  /** Sets where gauges are read from; given again, it replaces the sources it names. */
  watch(sources: MetricSources): void
  /** Reads the sources and writes the Prometheus text format. What cannot be read is left out or NaN, never stale. */
  text(): Promise<string>
}

/** The metrics of one gateway; gateways in one process never share a registry. */
export function createMetrics(settings: MetricsSettings = {}): Metrics {
  const metrics = new MetricRegistry(settings.labelCap)
  let sources: MetricSources = {}
  return {
    registry: metrics.registry,
    contentType: metrics.registry.contentType,
    observe: (event) => record(metrics, event),
    watch(added) {
      sources = { ...sources, ...added }
    },
    async text() {
      await Promise.all([
        readBudgets(metrics, sources),
        readUncertain(metrics, sources),
        readFlagged(metrics, sources),
      ])
      if (sources.auditSequence) metrics.set('tollway_audit_sequence', {}, sources.auditSequence())
      return metrics.registry.metrics()
    },
  }
}

function record(metrics: MetricRegistry, event: TollwayEvent): void {
  switch (event.type) {
    case 'charge':
      recordCharge(metrics, event.charge, event.from)
      return
    case 'budget_refused':
      metrics.count('tollway_budget_refusals_total', {
        budget: event.claim.budget,
        early: String(event.early),
      })
      return
    case 'budget_soft_limit':
      metrics.count('tollway_budget_soft_limits_total', { budget: event.claim.budget })
      return
    case 'budget_would_refuse':
      metrics.count('tollway_budget_would_refuse_total', { budget: event.claim.budget })
      return
    case 'quoted':
      metrics.set('tollway_quote_usd', { seller: event.seller, route: event.route }, usd(event.microUsd))
      return
    case 'price_moved':
      metrics.count('tollway_quote_drift_total', {
        seller: event.seller,
        route: event.route,
        direction: event.direction,
      })
      return
    case 'phase':
      metrics.observe('tollway_payment_phase_seconds', { phase: event.phase }, event.seconds)
      return
    case 'flagged':
      // Read from the ledger when scraped: flags outlive the process.
      return
    case 'chain':
      metrics.set('tollway_reconcile_rpc_up', { network: event.network }, event.ok ? 1 : 0)
      return
    case 'reconciled':
      metrics.count('tollway_reconcile_runs_total', { result: event.result })
      return
    case 'request':
      recordRequest(metrics, event.summary)
      return
    case 'audit_failed':
      metrics.count('tollway_audit_failures_total', {})
      return
    default:
      event satisfies never
  }
}

function recordCharge(metrics: MetricRegistry, charge: Charge, from: ChargeState | undefined): void {
  // A stronger proof for the same state is no new payment.
  if (from === charge.state) return
  const { payer, seller, network, state, route, caller } = charge
  metrics.count('tollway_payments_total', { payer, seller, network, state, reason: charge.reason ?? '' })
  if (state !== 'settled') return
  const labels = { route, payer, seller, asset: charge.symbol, caller }
  metrics.count('tollway_spend_atomic_total', labels, Number(charge.amount))
  if (charge.microUsd !== undefined) metrics.count('tollway_spend_usd_total', labels, usd(charge.microUsd))
}

function recordRequest(metrics: MetricRegistry, summary: RequestSummary): void {
  const { route, payer, outcome, seconds, firstByteSeconds, usage } = summary
  metrics.count('tollway_requests_total', { route, payer, outcome })
  metrics.observe('tollway_request_duration_seconds', { route, outcome }, seconds)
  if (firstByteSeconds !== undefined) {
    metrics.observe('tollway_request_time_to_first_byte_seconds', { route }, firstByteSeconds)
  }
  // Without a route no model was asked. The route's name stands for the model: the client's text never is a label.
  if (route === 'none') return
  const labels = {
    gen_ai_operation_name: operationOf(summary.endpoint),
    gen_ai_provider_name: payer,
    gen_ai_request_model: route,
  }
  metrics.observe(
    'gen_ai_client_operation_duration_seconds',
    { ...labels, error_type: errorType(summary) },
    seconds,
  )
  if (!usage) return
  metrics.observe('gen_ai_client_token_usage', { ...labels, gen_ai_token_type: 'input' }, usage.inputTokens)
  metrics.observe('gen_ai_client_token_usage', { ...labels, gen_ai_token_type: 'output' }, usage.outputTokens)
}

/** OpenTelemetry's `gen_ai.operation.name`, and our path's first part where it has no name. */
function operationOf(endpoint: string): string {
  switch (endpoint) {
    case '/chat/completions':
    case '/responses':
    case '/messages':
      return 'chat'
    case '/completions':
      return 'text_completion'
    case '/embeddings':
      return 'embeddings'
    default:
      return endpoint.split('/')[1] ?? endpoint
  }
}

function errorType(summary: RequestSummary): string {
  if (summary.code !== undefined) return summary.code
  return summary.status >= 400 ? String(summary.status) : ''
}

const BUDGET_GAUGES = [
  'tollway_budget_limit_usd',
  'tollway_budget_spent_usd',
  'tollway_budget_held_usd',
  'tollway_budget_uncertain_usd',
  'tollway_budget_remaining_usd',
] as const

async function readBudgets(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  if (!sources.budgets) return
  const readings = await sources.budgets().catch(() => [])
  for (const name of BUDGET_GAUGES) metrics.reset(name)
  metrics.reset('tollway_budget_asset_units')
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
    metrics.setIfKnown('tollway_budget_limit_usd', labels, usd(amounts.limit))
    metrics.setIfKnown('tollway_budget_spent_usd', labels, usd(amounts.spent))
    metrics.setIfKnown('tollway_budget_held_usd', labels, usd(amounts.held))
    metrics.setIfKnown('tollway_budget_uncertain_usd', labels, usd(amounts.uncertain))
    metrics.setIfKnown('tollway_budget_remaining_usd', labels, usd(amounts.remaining))
  }
}

async function readUncertain(metrics: MetricRegistry, sources: MetricSources): Promise<void> {
  if (!sources.uncertain) return
  const reading = await sources.uncertain().catch(() => undefined)
  const { count, microUsd } = reading ?? { count: Number.NaN, microUsd: 0n }
  metrics.set('tollway_uncertain_payments', {}, count)
  metrics.set('tollway_uncertain_usd', {}, reading ? usd(microUsd) : Number.NaN)
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

/** For display only: sums and limits are kept and compared as bigint. */
function usd(microUsd: bigint): number {
  return Number(microUsd) / 1e6
}
