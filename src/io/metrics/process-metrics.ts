/** Resource use of the process, under the names that every Prometheus client uses. */
import { performance, type EventLoopUtilization } from 'node:perf_hooks'
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
