/** Bounds how often one fault is logged: a fault that every request meets would fill the disk that the log is kept on. */
import type { Clock } from './clock.ts'

/** One line a minute is as informative as a thousand. */
const INTERVAL_MS = 60_000
const MAX_KINDS = 100

/** Lets one message of each kind through per interval, with the number of those held back since. */
export class LogLimit {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #kinds = new Map<string, { at: number; held: number }>()

  /** @param intervalMs milliseconds; default one minute */
  constructor(clock: Clock, intervalMs = INTERVAL_MS) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  /**
   * Calls `log` unless it was called for this kind within the interval.
   * @param kind such as the error's name and message
   * @param log gets the fields to add: how many messages were held back before this one
   */
  pass(kind: string, log: (more: { readonly held_back?: number }) => void): void {
    const now = this.#clock.now()
    const last = this.#kinds.get(kind)
    if (last && Math.abs(now - last.at) < this.#intervalMs) {
      last.held += 1
      return
    }
    this.#kinds.delete(kind)
    this.#kinds.set(kind, { at: now, held: 0 })
    const oldest = this.#kinds.keys().next()
    if (this.#kinds.size > MAX_KINDS && oldest.done !== true) this.#kinds.delete(oldest.value)
    log(last && last.held > 0 ? { held_back: last.held } : {})
  }
}
