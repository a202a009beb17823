/** Schedules reloads: soon after a change, never two at once, and rarely if a response costs the gateway much. */

/** Changes within this time are shown together, milliseconds. */
const TOGETHER_MS = 250
/** The pause after a response as a multiple of its duration, and its maximum in milliseconds. */
const PAUSE = 10
const MAX_PAUSE_MS = 30_000

/** The reload schedule. */
export class Refresher {
  readonly #work: () => Promise<void>
  #timer: ReturnType<typeof setTimeout> | undefined
  #working = false
  #wanted = false
  /** No request is sent before this time. */
  #notBefore = 0

  /** @param work requests and shows the data; must not reject */
  constructor(work: () => Promise<void>) {
    this.#work = work
  }

  /** Schedules a reload because something may have changed. */
  soon(): void {
    this.#wanted = this.#working
    if (this.#working || this.#timer !== undefined) return
    const pause = Math.max(TOGETHER_MS, this.#notBefore - performance.now())
    this.#timer = setTimeout(() => void this.#run(), pause)
  }

  async #run(): Promise<void> {
    this.#timer = undefined
    this.#working = true
    this.#wanted = false
    const begun = performance.now()
    await this.#work()
    const now = performance.now()
    this.#notBefore = now + Math.min(MAX_PAUSE_MS, PAUSE * (now - begun))
    this.#working = false
    if (this.#wanted) this.soon()
  }
}
