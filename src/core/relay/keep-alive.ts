/** A timer that fires after a period of silence. */
import type { Timers } from '../timers.ts'

/** Calls `speak` whenever `ms` milliseconds have passed since the last {@link KeepAlive.heard}. */
export class KeepAlive {
  readonly #ms: number | undefined
  readonly #timers: Timers
  readonly #speak: () => void
  #cancel: (() => void) | undefined

  /** @param ms `undefined` for never */
  constructor(ms: number | undefined, timers: Timers, speak: () => void) {
    this.#ms = ms
    this.#timers = timers
    this.#speak = speak
  }

  /** Something was sent: the wait starts again. */
  heard(): void {
    this.stop()
    if (this.#ms === undefined) return
    this.#cancel = this.#timers.after(this.#ms, () => {
      this.#speak()
      this.heard()
    })
  }

  /** Stops the timer. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
