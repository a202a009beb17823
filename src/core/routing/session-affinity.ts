/** Keeps a session on the seller that answered it before: its prompt cache is there. Bounded; forgetting costs a cache miss. */

const MAX_ENTRIES = 10_000

interface Entry {
  readonly place: string
  readonly until: number
}

/** Remembers which route served a session. */
export class SessionAffinity {
  readonly #places = new Map<string, Entry>()
  readonly #lifeMs: number

  /** @param lifeMs how long a session is remembered after its last answer, milliseconds; 0 remembers nothing */
  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs
  }

  /** Where the session was answered last, or `undefined`. */
  recall(session: string, now: number): string | undefined {
    const entry = this.#places.get(session)
    return entry !== undefined && now < entry.until ? entry.place : undefined
  }

  /** The session was answered there. */
  note(session: string, place: string, now: number): void {
    if (this.#lifeMs === 0) return
    // Set anew, so that the map's own order is that of use.
    this.#places.delete(session)
    this.#places.set(session, { place, until: now + this.#lifeMs })
    if (this.#places.size <= MAX_ENTRIES) return
    const oldest = this.#places.keys().next()
    if (!oldest.done) this.#places.delete(oldest.value)
  }

  /** How many are remembered; for tests and memory figures. */
  get size(): number {
    return this.#places.size
  }
}
