/** How to wait: injected, so that tests let time pass without sleeping. */
export interface Timers {
  /**
   * Calls `work` once after `ms` milliseconds.
   * @returns cancels it; does nothing once `work` has run
   */
  after(ms: number, work: () => void): () => void
}

/** The longest delay `setTimeout` accepts; a longer one would fire immediately. */
const MAX_DELAY_MS = 2 ** 31 - 1

/** The machine's timers. A pending timer does not keep the process alive. */
export const systemTimers: Timers = {
  after(ms, work) {
    const timer = setTimeout(work, Math.min(ms, MAX_DELAY_MS))
    timer.unref()
    return () => clearTimeout(timer)
  },
}
