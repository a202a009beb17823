/** The metrics of routes and callers' limits. */
import type { TollwayEvent } from '../../core/telemetry/events.ts'
import type { HealthState } from '../../core/routing/route-health.ts'
import type { MetricRegistry } from './metric-registry.ts'

type RoutingEvent = Extract<
  TollwayEvent,
  {
    readonly type:
      | 'retried'
      | 'fell_back'
      | 'cooled'
      | 'rate_limited'
      | 'catalogue'
      | 'tokens_reduced'
      | 'terms'
  }
>

/** A route's health as reported by the router. */
export interface RouteStateReading {
  readonly route: string
  readonly seller: string
  readonly state: HealthState
}

const STATES: Readonly<Record<HealthState, number>> = { healthy: 0, probing: 1, cooling: 2 }

/** Counts the events of the router and of the callers' limits. */
export function recordRouting(metrics: MetricRegistry, event: RoutingEvent): void {
  switch (event.type) {
    case 'retried':
      metrics.count('tollway_retries_total', {
        route: event.route,
        seller: event.seller,
        reason: event.reason,
      })
      return
    case 'fell_back':
      metrics.count('tollway_fallbacks_total', { route: event.route, to: event.to, reason: event.reason })
      return
    case 'cooled':
      metrics.count('tollway_cooldowns_total', {
        route: event.route,
        seller: event.seller,
        reason: event.reason,
      })
      return
    case 'rate_limited':
      metrics.count('tollway_rate_limited_total', { caller: event.caller, limit: event.limit })
      return
    case 'catalogue':
      metrics.count('tollway_catalogue_reads_total', {
        seller: event.seller,
        result: event.ok ? 'ok' : 'failed',
      })
      if (event.ok) {
        const labels = { seller: event.seller }
        metrics.set('tollway_catalogue_read_timestamp_seconds', labels, Date.now() / 1000)
      }
      metrics.set('tollway_catalogue_models', { seller: event.seller }, event.models)
      return
    case 'tokens_reduced':
      metrics.count('tollway_reduced_requests_total', { route: event.route, seller: event.seller })
      return
    case 'terms':
      metrics.count('tollway_remembered_terms_total', {
        route: event.route,
        seller: event.seller,
        result: event.result,
      })
      return
    default:
      event satisfies never
  }
}

/** Sets the state of every route; of two routes with the same labels the worse state is shown. */
export function showRouteStates(metrics: MetricRegistry, readings: readonly RouteStateReading[]): void {
  metrics.reset('tollway_route_state')
  const worst = new Map<string, RouteStateReading>()
  for (const reading of readings) {
    const key = `${reading.route}\n${reading.seller}`
    const known = worst.get(key)
    if (!known || STATES[reading.state] > STATES[known.state]) worst.set(key, reading)
  }
  for (const { route, seller, state } of worst.values()) {
    metrics.set('tollway_route_state', { route, seller }, STATES[state])
  }
}
