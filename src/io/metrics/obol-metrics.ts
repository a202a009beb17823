/** The nine series of x402-buyer, with its names and labels, for existing dashboards. */
import type { ObolCounter, ObolLabels } from '../../core/telemetry/events.ts'
import type { MetricRegistry } from './metric-registry.ts'

/** The current state of an upstream. */
export interface ObolReading extends ObolLabels {
  readonly remaining: number
  readonly spent: number
}

/** Adds one to a counter. */
export function countObol(metrics: MetricRegistry, counter: ObolCounter, labels: ObolLabels): void {
  metrics.count(`obol_x402_buyer_${counter}_total`, labelsOf(labels))
}

/** Sets the gauges of the current upstreams and removes all others. */
export function showObol(metrics: MetricRegistry, readings: readonly ObolReading[]): void {
  metrics.reset('obol_x402_buyer_auth_remaining')
  metrics.reset('obol_x402_buyer_auth_spent')
  metrics.reset('obol_x402_buyer_active_model_mappings')
  for (const reading of readings) {
    const labels = labelsOf(reading)
    metrics.setIfKnown('obol_x402_buyer_auth_remaining', labels, reading.remaining)
    metrics.setIfKnown('obol_x402_buyer_auth_spent', labels, reading.spent)
    metrics.setIfKnown('obol_x402_buyer_active_model_mappings', labels, 1)
  }
}

function labelsOf({ upstream, remoteModel, chain }: ObolLabels): {
  upstream: string
  remote_model: string
  chain: string
} {
  return { upstream, remote_model: remoteModel, chain }
}
