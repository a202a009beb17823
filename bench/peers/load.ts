/** So many calls at once, for as long as a round lasts, and what they took. */
import { round } from '../result.ts'
import { quantile } from '../statistics.ts'

/** What one round of one way came to. */
export interface Round {
  /** Median of the calls, milliseconds. */
  readonly p50: number
  readonly perSecond: number
}

/** Makes `calls` calls, `parallel` of them at a time. */
export async function load(calls: number, parallel: number, call: () => Promise<void>): Promise<Round> {
  const samples: number[] = []
  let left = calls
  const work = async (): Promise<void> => {
    while (left > 0) {
      left -= 1
      const since = performance.now()
      await call()
      samples.push(performance.now() - since)
    }
  }
  const since = performance.now()
  await Promise.all(Array.from({ length: parallel }, work))
  const seconds = (performance.now() - since) / 1000
  return { p50: round(quantile(samples, 0.5)), perSecond: round(calls / seconds) }
}
