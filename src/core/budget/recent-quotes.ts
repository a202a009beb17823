/** Remembers the lowest recent quote per seller and model, so that an exhausted budget refuses without asking the seller. */

interface Entry {
  microUsd: bigint
  readonly since: number
}

/** How long a price is trusted. After that the seller is asked again, so that a lower price is noticed. */
const MEMORY_MS = 10 * 60_000

/** The most prices kept; the oldest is dropped first. */
const MAX_ENTRIES = 10_000

/** Keeps the lowest recent price because sellers may price each request: only requests that fit at no known price are refused. */
export class RecentQuotes {
  readonly #prices = new Map<string, Entry>()

  /** Records a quote. */
  note(key: string, microUsd: bigint, now: number): void {
    const known = this.#prices.get(key)
    if (known && now - known.since < MEMORY_MS) {
      if (microUsd < known.microUsd) known.microUsd = microUsd
      return
    }
    this.#prices.delete(key)
    this.#prices.set(key, { microUsd, since: now })
    if (this.#prices.size > MAX_ENTRIES) {
      const oldest = this.#prices.keys().next()
      if (!oldest.done) this.#prices.delete(oldest.value)
    }
  }

  /** The lowest quote of the last ten minutes, micro-USD, or `undefined`. */
  recall(key: string, now: number): bigint | undefined {
    const known = this.#prices.get(key)
    return known && now - known.since < MEMORY_MS ? known.microUsd : undefined
  }
}
