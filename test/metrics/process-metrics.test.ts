/** What scrapes see of the event loop: no reading takes anything away from another one. */
import { performance } from 'node:perf_hooks'
import { expect, test } from 'vitest'
import { MetricRegistry } from '../../src/io/metrics/metric-registry.ts'
import { ProcessMetrics } from '../../src/io/metrics/process-metrics.ts'

/** A process whose event loop is held and busy as told. */
function open() {
  const source = { at: 0, active: 0, max: 0, count: 0, isOn: false }
  const delay = {
    enable: () => (source.isOn = true),
    disable: () => !(source.isOn = false),
    reset: () => void Object.assign(source, { max: 0, count: 0 }),
    get max() {
      return source.max
    },
    get count() {
      return source.count
    },
  }
  const utilization: typeof performance.eventLoopUtilization = (now, before) => {
    const current = now ?? { idle: source.at - source.active, active: source.active, utilization: 0 }
    if (!before) return current
    const [idle, active] = [current.idle - before.idle, current.active - before.active]
    return { idle, active, utilization: idle + active === 0 ? 0 : active / (idle + active) }
  }
  const metrics = new MetricRegistry({})
  const shown = new ProcessMetrics({ now: () => source.at, utilization, delay })
  return {
    source,
    shown,
    /** Milliseconds pass, of which the loop is busy for some. */
    pass(ms: number, busy: number): void {
      source.at += ms
      source.active += busy
    },
    /** Something holds the loop. */
    hold(ms: number): void {
      source.max = Math.max(source.max, (ms + 20) * 1e6)
      source.count += 1
    },
    /** One scrape: the longest hold in seconds, and the share of busy time. */
    async scrape(): Promise<[number, number]> {
      shown.show(metrics)
      const { text } = await metrics.write('text')
      const value = (name: string): number => Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])
      return [value('nodejs_eventloop_delay_max_seconds'), value('nodejs_eventloop_utilization_ratio')]
    },
  }
}

test('a hold is seen by every scrape of the next minute, also after one that timed out', async () => {
  const loop = open()
  loop.hold(800)
  for (let second = 0; second < 60; second += 15) {
    loop.pass(15_000, 0)
    expect((await loop.scrape())[0]).toBe(0.8)
  }
  loop.hold(100)
  loop.pass(45_000, 0)
  expect((await loop.scrape())[0]).toBe(0.8)
  loop.pass(15_000, 0)
  expect((await loop.scrape())[0]).toBe(0.1)
  loop.pass(60_000, 0)
  expect((await loop.scrape())[0]).toBe(0)
})

test('scrapes that are further apart than the window see all of the time between them', async () => {
  const loop = open()
  loop.hold(300)
  loop.pass(600_000, 300_000)
  expect(await loop.scrape()).toEqual([0.3, 0.5])
  loop.pass(600_000, 60_000)
  expect((await loop.scrape())[0]).toBe(0)
})

test('the busy share is of the last minute or two, however often it is read', async () => {
  const loop = open()
  loop.pass(30_000, 30_000)
  expect((await loop.scrape())[1]).toBe(1)
  expect((await loop.scrape())[1]).toBe(1)
  loop.pass(30_000, 0)
  expect((await loop.scrape())[1]).toBe(0.5)
  loop.pass(60_000, 0)
  expect((await loop.scrape())[1]).toBe(0)
})

test('the loop is watched from the first reading to the end', () => {
  const { source, shown } = open()
  expect(source.isOn).toBe(true)
  shown.close()
  expect(source.isOn).toBe(false)
})
