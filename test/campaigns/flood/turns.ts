/** Measures the turns of this thread's event loop by the CPU time that each takes: load from elsewhere does not count. */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** The turns of a measured time. */
export interface Turns {
  readonly count: number
  /** CPU time of the longest, milliseconds. */
  readonly longestMs: number
  /** How many took more than the limit. */
  readonly tooLong: number
}

/** Measures until `done` is settled. */
export async function measureTurns(done: Promise<unknown>, limitMs: number): Promise<Turns> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  done.then(end, end)
  let [count, longestMs, tooLong] = [0, 0, 0]
  let before = usedMs()
  while (!ended.signal.aborted) {
    await nextTurn()
    const now = usedMs()
    const turn = now - before
    before = now
    count += 1
    longestMs = Math.max(longestMs, turn)
    if (turn > limitMs) tooLong += 1
  }
  return { count, longestMs, tooLong }
}

function usedMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
