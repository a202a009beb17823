import type { Run } from '../../src/core/request/exchange.ts'

/** A run of a request that only tells when its answer was lost. */
export function stubRun(onLost: () => void): Run {
  return {
    mark: { name: undefined, body: '' },
    leaving: new AbortController().signal,
    begin: () => undefined,
    complete: () => undefined,
    fail: () => undefined,
    async lost() {
      // Whoever does not wait for it is found out.
      await new Promise(setImmediate)
      onLost()
    },
  }
}
