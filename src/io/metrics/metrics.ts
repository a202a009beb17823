/** The metrics of one gateway: fed by events, and read from the ledger when they are scraped. */
import { Registry } from 'prom-client'
import { askedModel, takenOf, type Charge, type ChargeState } from '../../core/charge/charge.ts'
import { isMetered } from '../../core/charge/metered.ts'
import { operationOf } from '../../core/telemetry/gen-ai.ts'
import type { Observer, RequestSummary, TollwayEvent } from '../../core/telemetry/events.ts'
import { CaptureRatio } from './capture-ratio.ts'
import { ModelLabels } from './model-labels.ts'
import { LABEL_CAP, MetricRegistry, type Exposition, type MetricRegistrySettings } from './metric-registry.ts'
import { readSources, usdNumber, type MetricSources } from './metric-sources.ts'
import { countObol } from './obol-metrics.ts'
import { ProcessMetrics } from './process-metrics.ts'
import { recordRouting } from './routing-metrics.ts'

/** The route of models that no configured route claims: their names are clients' text. */
const UPSTREAM_ROUTE = 'upstream'

/** Options of {@link createMetrics}. */
export type MetricsSettings = MetricRegistrySettings

/** The metrics of a gateway. */
export interface Metrics {
  readonly registry: Registry
  /** Content type of {@link Metrics.text}. */
  readonly contentType: string
  /** Pass it to every part that takes observers. */
  readonly observe: Observer
  /** Adds sources that gauges are read from; a source given again replaces the earlier one. */
  watch(sources: MetricSources): void
  /** Reads the sources and writes the Prometheus text format. What cannot be read is omitted or NaN, never stale. */
  text(): Promise<string>
  /**
   * `tollway_spend_usd_total` minus `tollway_spend_corrections_usd_total`, exact in micro-USD. The counters themselves are doubles
   * and drift by a micro-USD over some hundred thousand payments.
   */
  spentMicroUsd(): bigint
  /** Removes the metrics from their registry. */
  remove(): void
  /** As {@link Metrics.text}, in OpenMetrics: with exemplars that name the request. */
  openMetrics(): Promise<Exposition>
}

/** Creates the metrics of one gateway; gateways in one process never share a registry. */
export function createMetrics(settings: MetricsSettings = {}): Metrics {
  const metrics = new MetricRegistry(settings)
  let sources: MetricSources = {}
  let ownProcess: ProcessMetrics | undefined
  let spent = 0n
  const models = new ModelLabels(settings.labelCap ?? LABEL_CAP)
  const captured = new CaptureRatio()
  const read = async (): Promise<void> => {
    await readSources(metrics, sources)
    metrics.set('tollway_capture_ratio', {}, captured.value())
    ownProcess ??= new ProcessMetrics()
    ownProcess.show(metrics)
  }
  return {
    registry: metrics.registry,
    contentType: Registry.PROMETHEUS_CONTENT_TYPE,
    observe(event) {
      if (event.type === 'charge') {
        spent += recordCharge(metrics, models, event.charge, event.from)
      } else if (event.type === 'request') {
        captured.add(event.summary)
        recordRequest(metrics, models, event.summary)
      } else {
        record(metrics, event)
      }
    },
    spentMicroUsd: () => spent,
    watch(added) {
      sources = { ...sources, ...added }
    },
    remove() {
      ownProcess?.close()
      metrics.remove()
    },
    async text() {
      await read()
      return (await metrics.write('text')).text
    },
    async openMetrics() {
      await read()
      return await metrics.write('openmetrics')
    },
  }
}

function record(metrics: MetricRegistry, event: Exclude<TollwayEvent, { type: 'charge' | 'request' }>): void {
  switch (event.type) {
    case 'budget_refused':
      metrics.count('tollway_budget_refusals_total', {
        budget: event.claim.budget,
        subject: event.claim.subject,
        early: String(event.early),
      })
      return
    case 'budget_soft_limit':
      metrics.count('tollway_budget_soft_limits_total', {
        budget: event.claim.budget,
        subject: event.claim.subject,
      })
      return
    case 'budget_would_refuse':
      metrics.count('tollway_budget_would_refuse_total', {
        budget: event.claim.budget,
        subject: event.claim.subject,
      })
      return
    case 'config_reloaded':
      metrics.count('tollway_config_reloads_total', { result: event.result })
      return
    case 'quoted':
      metrics.set(
        'tollway_quote_usd',
        { seller: event.seller, route: event.route },
        usdNumber(event.microUsd),
      )
      return
    case 'price_moved':
      metrics.count('tollway_quote_drift_total', {
        seller: event.seller,
        route: event.route,
        direction: event.direction,
      })
      return
    case 'sign_in':
      metrics.count('tollway_sign_ins_total', { seller: event.seller, result: event.result })
      return
    case 'hook':
      metrics.count('tollway_hook_calls_total', { hook: event.hook, result: event.result })
      if (event.reason !== undefined) metrics.count('tollway_hook_refusals_total', { reason: event.reason })
      return
    case 'clock_skew':
      metrics.set('tollway_clock_skew_seconds', { source: event.source }, event.seconds)
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
    case 'offer':
      metrics.count('tollway_payments_total', {
        payer: event.payer,
        seller: event.seller,
        network: event.network,
        state: event.state,
        reason: event.reason,
      })
      return
    case 'audit_failed':
      metrics.count('tollway_audit_failures_total', {})
      return
    case 'retried':
    case 'fell_back':
    case 'cooled':
    case 'rate_limited':
    case 'catalogue':
    case 'tokens_reduced':
    case 'terms':
      recordRouting(metrics, event)
      return
    case 'obol_buyer':
      countObol(metrics, event.counter, event)
      return
    case 'refilled':
      metrics.count('tollway_voucher_refills_total', { payer: event.payer, result: event.result })
      return
    case 'obol_state_failed':
    case 'budget_level':
      return
    case 'approval':
      if (event.result !== 'waiting') metrics.count('tollway_approvals_total', { result: event.result })
      return
    case 'notified':
      metrics.count('tollway_notifications_total', { kind: event.kind, result: event.result })
      return
    default:
      event satisfies never
  }
}

/** @returns what was counted as spent, minus corrections, micro-USD */
function recordCharge(
  metrics: MetricRegistry,
  models: ModelLabels,
  charge: Charge,
  from: ChargeState | undefined,
): bigint {
  if (isMetered(charge)) return recordMetered(metrics, models, charge, from)
  const { payer, seller, network, state, route, caller } = charge
  // A stronger proof of the same state is not a new payment.
  if (from !== state) {
    metrics.count('tollway_payments_total', { payer, seller, network, state, reason: charge.reason ?? '' })
  }
  // Only what settled, or did before, has series of spend.
  const model = models.of(askedModel(charge), state === 'settled' || from === 'settled')
  const labels = { route, model, payer, seller, asset: charge.symbol, caller }
  const taken = state === 'settled' ? takenOf(charge) : { amount: 0n, microUsd: 0n }
  if (from === 'settled') {
    // The full signed amount was counted then. Counters never decrease, so the difference goes to a counter of corrections.
    const { amount, microUsd = 0n } = charge
    if (taken.amount === amount) return 0n
    metrics.count('tollway_spend_corrections_atomic_total', labels, Number(amount - taken.amount))
    const tooMuch = microUsd - (taken.microUsd ?? 0n)
    metrics.count('tollway_spend_corrections_usd_total', labels, usdNumber(tooMuch))
    return -tooMuch
  }
  if (state !== 'settled') return 0n
  metrics.count('tollway_spend_atomic_total', labels, Number(taken.amount))
  if (taken.microUsd === undefined) return 0n
  metrics.count('tollway_spend_usd_total', labels, usdNumber(taken.microUsd))
  return taken.microUsd
}

/** A call that nobody paid for by a signature: it has series of its own, and counts as spent like the others. */
function recordMetered(
  metrics: MetricRegistry,
  models: ModelLabels,
  charge: Charge,
  from: ChargeState | undefined,
): bigint {
  const { route, seller, caller, state } = charge
  const model = models.of(askedModel(charge), state === 'settled')
  if (from !== state) {
    metrics.count('tollway_metered_requests_total', { route, model, state, reason: charge.reason ?? '' })
  }
  const { microUsd = 0n } = takenOf(charge)
  if (state !== 'settled' || from === 'settled') return 0n
  metrics.count('tollway_metered_usd_total', { route, model, seller, caller }, usdNumber(microUsd))
  return microUsd
}

function recordRequest(metrics: MetricRegistry, models: ModelLabels, summary: RequestSummary): void {
  const { requestId, route, payer, outcome, seconds, firstByteSeconds, overheadSeconds, code, usage } =
    summary
  const model = modelLabel(models, summary)
  metrics.count('tollway_requests_total', { route, model, payer, outcome }, 1, requestId)
  // How long a page stays open says nothing about response times.
  if (summary.endpoint !== '/api/events') {
    metrics.observe('tollway_request_duration_seconds', { route, outcome }, seconds, requestId)
  }
  if (code !== undefined) metrics.count('tollway_errors_total', { route, code }, 1, requestId)
  if (firstByteSeconds !== undefined) {
    const name = 'tollway_request_time_to_first_byte_seconds'
    metrics.observe(name, { route }, firstByteSeconds, requestId)
  }
  if (overheadSeconds !== undefined) {
    metrics.observe('tollway_request_overhead_seconds', { route }, overheadSeconds, requestId)
  }
  const { conversion } = summary
  if (conversion !== undefined) {
    metrics.count('tollway_stream_conversions_total', { route, kind: conversion }, 1, requestId)
  }
  // Without a route no model was called.
  if (route === 'none') return
  const labels = {
    gen_ai_operation_name: operationOf(summary.endpoint),
    gen_ai_provider_name: summary.provider ?? 'none',
    gen_ai_request_model: model,
  }
  const failed = { ...labels, error_type: errorType(summary) }
  metrics.observe('gen_ai_client_operation_duration_seconds', failed, seconds, requestId)
  if (summary.stream && firstByteSeconds !== undefined && summary.status < 400) {
    const name = 'gen_ai_client_operation_time_to_first_chunk_seconds'
    metrics.observe(name, labels, firstByteSeconds, requestId)
    metrics.count('tollway_streams_total', { route, ended: summary.truncated ? 'truncated' : 'whole' })
  }
  if (!usage) return
  metrics.observe('gen_ai_client_token_usage', { ...labels, gen_ai_token_type: 'input' }, usage.inputTokens)
  metrics.observe('gen_ai_client_token_usage', { ...labels, gen_ai_token_type: 'output' }, usage.outputTokens)
  const pace = secondsPerToken(summary, usage.outputTokens)
  if (pace !== undefined)
    metrics.observe('gen_ai_server_time_per_output_token_seconds', labels, pace, requestId)
}

/** The time between two tokens of a streamed answer that came whole; `undefined` for every other. */
function secondsPerToken(
  { stream, truncated, status, seconds, firstByteSeconds }: RequestSummary,
  tokens: number,
) {
  if (!stream || truncated || status >= 400 || firstByteSeconds === undefined || tokens < 2) return undefined
  return Math.max(0, seconds - firstByteSeconds) / (tokens - 1)
}

/** A client's text becomes a label only when a model of that name answered: see {@link ModelLabels}. */
function modelLabel(models: ModelLabels, { route, remoteModel, outcome, status }: RequestSummary): string {
  if (route === 'none' || remoteModel === undefined || remoteModel === '') return 'none'
  const isExact = !route.includes('*') && route !== UPSTREAM_ROUTE
  const isAnswer = outcome === 'paid' || (outcome === 'free' && status < 400) || outcome === 'uncertain'
  return models.of(remoteModel, isExact || isAnswer)
}

function errorType(summary: RequestSummary): string {
  if (summary.code !== undefined) return summary.code
  return summary.status >= 400 ? String(summary.status) : ''
}
