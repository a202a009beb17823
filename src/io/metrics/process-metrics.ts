/** Resource use of the process, under the names that every Prometheus client uses. */
import { monitorEventLoopDelay, performance, type EventLoopUtilization } from 'node:perf_hooks'
import type { MetricRegistry } from './metric-registry.ts'

/** Reads the process metrics for a scrape. @param last the previous result, for the share since then */
export function readProcess(metrics: MetricRegistry, last?: EventLoopUtilization): EventLoopUtilization {
  const { user, system } = process.cpuUsage()
  metrics.total('process_cpu_seconds_total', {}, (user + system) / 1e6)
  metrics.set('process_resident_memory_bytes', {}, process.memoryUsage.rss())
  metrics.set('process_start_time_seconds', {}, performance.timeOrigin / 1000)
  const now = performance.eventLoopUtilization()
  const { utilization } = last === undefined ? now : performance.eventLoopUtilization(now, last)
  metrics.set('nodejs_eventloop_utilization_ratio', {}, utilization)
  return now
}

/** How often the event loop is looked at, milliseconds; a shorter hold is not seen. */
const RESOLUTION_MS = 20

/** Watches for how long something holds the event loop, on which every request waits. */
export class EventLoopHolds {
  readonly #delay: ReturnType<typeof monitorEventLoopDelay>

  constructor() {
    this.#delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
    this.#delay.enable()
  }

  /** Shows the longest hold since it was shown last. */
  show(metrics: MetricRegistry): void {
    // A look comes at its time at best, never earlier.
    const ms = Math.max(0, this.#delay.max / 1e6 - RESOLUTION_MS)
    metrics.set('nodejs_eventloop_delay_max_seconds', {}, this.#delay.count === 0 ? 0 : ms / 1000)
    this.#delay.reset()
  }

  /** Ends the watch. */
  close(): void {
    this.#delay.disable()
  }
}
