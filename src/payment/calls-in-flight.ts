/** Counts the paid calls on their way: a shutdown waits for them, also for those whose client has left. */
export class CallsInFlight {
  #count = 0
  #waiting: (() => void)[] = []

  /** Counts a call in until its promise settles. */
  async track<T>(call: Promise<T>): Promise<T> {
    this.#count += 1
    try {
      return await call
    } finally {
      this.#count -= 1
      if (this.#count === 0) for (const tell of this.#waiting.splice(0)) tell()
    }
  }

  /** Resolves when no call is on its way. */
  async idle(): Promise<void> {
    if (this.#count > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}
