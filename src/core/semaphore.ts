/** A counting semaphore: a fixed number of permits, handed out first come, first served. */
export class Semaphore {
  readonly #waiting = new Set<() => void>()
  #free: number

  /** @param count at least 1 */
  constructor(count: number) {
    this.#free = count
  }

  /**
   * Waits for a permit.
   * @returns releases it; calls after the first do nothing
   * @throws the signal's reason when it is aborted first
   */
  async take(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    if (this.#free > 0) {
      this.#free -= 1
      return this.#once()
    }
    return await new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(enter)
        // The caller may abort with any value.
        const reason: unknown = signal.reason
        reject(reason instanceof Error ? reason : new Error('left', { cause: reason }))
      }
      const enter = (): void => {
        signal.removeEventListener('abort', leave)
        resolve(this.#once())
      }
      this.#waiting.add(enter)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  #once(): () => void {
    let isGiven = true
    return () => {
      if (!isGiven) return
      isGiven = false
      const next = this.#waiting.values().next()
      if (next.done === true) {
        this.#free += 1
        return
      }
      this.#waiting.delete(next.value)
      next.value()
    }
  }
}
