/** Resource use of the process, under the names that every Prometheus client uses. */
import { monitorEventLoopDelay, performance, type EventLoopUtilization } from 'node:perf_hooks'
import type { MetricRegistry } from './metric-registry.ts'

/** How often the event loop is looked at, milliseconds; a shorter hold is not seen. */
const RESOLUTION_MS = 20

/** What is shown is of this time at least, milliseconds, and of the time between two readings where they are further apart. */
const WINDOW_MS = 60_000

/** What is read of the process; tests replace it. */
export interface ProcessSource {
  /** Milliseconds, from any beginning. */
  readonly now: () => number
  readonly utilization: typeof performance.eventLoopUtilization
  /** Nanoseconds from look to look at the event loop. */
  readonly delay: Pick<
    ReturnType<typeof monitorEventLoopDelay>,
    'enable' | 'disable' | 'reset' | 'max' | 'count'
  >
}

/** This process. */
export function processSource(): ProcessSource {
  return {
    now: () => performance.now(),
    utilization: (...args) => performance.eventLoopUtilization(...args),
    delay: monitorEventLoopDelay({ resolution: RESOLUTION_MS }),
  }
}

/**
 * Reads the process for the metrics, from the first reading on: what nobody asks for is not watched. No reading takes anything
 * away from the next: one that times out loses nothing, and two scrapers see the same.
 */
export class ProcessMetrics {
  readonly #source: ProcessSource
  #windowAt: number
  /** At the beginning of the window, and of the one before. */
  #mark: EventLoopUtilization
  #markBefore: EventLoopUtilization
  /** The longest hold of the window before, milliseconds. */
  #heldBefore = 0

  constructor(source: ProcessSource = processSource()) {
    this.#source = source
    this.#windowAt = source.now()
    this.#mark = source.utilization()
    this.#markBefore = this.#mark
    source.delay.enable()
  }

  /** Shows what is known now. */
  show(metrics: MetricRegistry): void {
    const { user, system } = process.cpuUsage()
    metrics.total('process_cpu_seconds_total', {}, (user + system) / 1e6)
    metrics.set('process_resident_memory_bytes', {}, process.memoryUsage.rss())
    metrics.set('process_start_time_seconds', {}, performance.timeOrigin / 1000)
    const { now, utilization } = this.#source
    const current = utilization()
    if (now() - this.#windowAt >= WINDOW_MS) this.#nextWindow(current)
    metrics.set('nodejs_eventloop_utilization_ratio', {}, utilization(current, this.#markBefore).utilization)
    metrics.set('nodejs_eventloop_delay_max_seconds', {}, Math.max(this.#heldBefore, this.#held()) / 1000)
  }

  /** Ends the watch. */
  close(): void {
    this.#source.delay.disable()
  }

  #nextWindow(current: EventLoopUtilization): void {
    this.#windowAt = this.#source.now()
    this.#markBefore = this.#mark
    this.#mark = current
    this.#heldBefore = this.#held()
    this.#source.delay.reset()
  }

  /** The longest hold of the window, milliseconds. */
  #held(): number {
    const { max, count } = this.#source.delay
    // A look comes at its time at best, never earlier.
    return count === 0 ? 0 : Math.max(0, max / 1e6 - RESOLUTION_MS)
  }
}
