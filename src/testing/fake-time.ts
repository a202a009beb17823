import type { Clock } from '../core/clock.ts'
import type { Timers } from '../core/timers.ts'

/** A clock and timers that move only when a test says so. */
export interface FakeTime {
  readonly clock: Clock
  readonly timers: Timers
  /** Lets time pass: timers that are due fire in their order, each at its own instant. */
  readonly advance: (ms: number) => void
}

/** @param at where the clock starts, milliseconds since the epoch */
export function fakeTime(at = 1_800_000_000_000): FakeTime {
  let now = at
  const pending = new Set<{ readonly due: number; readonly work: () => void }>()
  const next = (until: number): { readonly due: number; readonly work: () => void } | undefined =>
    [...pending].filter(({ due }) => due <= until).toSorted((a, b) => a.due - b.due)[0]
  return {
    clock: { now: () => now },
    timers: {
      after(ms, work) {
        const entry = { due: now + ms, work }
        pending.add(entry)
        return () => void pending.delete(entry)
      },
    },
    advance(ms) {
      const until = now + ms
      for (let entry = next(until); entry; entry = next(until)) {
        pending.delete(entry)
        now = Math.max(now, entry.due)
        entry.work()
      }
      now = until
    },
  }
}
