import type { Timers } from '../core/timers.ts'

interface Pending {
  ms: number
  work: () => void
}

/** Timers that fire when a test says so. */
export class ManualTimers implements Timers {
  readonly #pending = new Set<Pending>()
  #changed = Promise.withResolvers<void>()

  after(ms: number, work: () => void): () => void {
    const entry = { ms, work }
    this.#pending.add(entry)
    this.#change()
    return () => {
      if (this.#pending.delete(entry)) this.#change()
    }
  }

  /** Waits until a timer of this length is set, then lets it fire. */
  async fire(ms: number): Promise<void> {
    for (;;) {
      const entry = [...this.#pending].find((candidate) => candidate.ms === ms)
      if (entry) {
        this.#pending.delete(entry)
        entry.work()
        return
      }
      await this.#changed.promise
    }
  }

  /** Waits until a timer of this length is set. */
  async armed(ms: number): Promise<void> {
    while (![...this.#pending].some((entry) => entry.ms === ms)) await this.#changed.promise
  }

  /** Waits until no timer is set any more. */
  async idle(): Promise<void> {
    while (this.#pending.size > 0) await this.#changed.promise
  }

  get size(): number {
    return this.#pending.size
  }

  #change(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}
