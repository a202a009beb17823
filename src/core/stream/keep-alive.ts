/** Says something when nothing was said for a while. */
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

  /** Something was said: the wait begins again. */
  heard(): void {
    this.stop()
    if (this.#ms === undefined) return
    this.#cancel = this.#timers.after(this.#ms, () => {
      this.#speak()
      this.heard()
    })
  }

  /** Ends the waiting. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
  }
}
