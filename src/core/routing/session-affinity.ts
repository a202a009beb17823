/** Keeps a session on the seller that answered it before, where its prompt cache is. Bounded: an evicted session costs a cache miss. */

const MAX_ENTRIES = 10_000

interface Entry {
  readonly place: string
  readonly until: number
}

/** Remembers which seller answered a session. */
export class SessionAffinity {
  readonly #places = new Map<string, Entry>()
  readonly #lifeMs: number

  /** @param lifeMs how long a session is remembered after its last answer, milliseconds; 0 turns it off */
  constructor(lifeMs: number) {
    this.#lifeMs = lifeMs
  }

  /** The seller of the session's last answer, or `undefined`. */
  recall(session: string, now: number): string | undefined {
    const entry = this.#places.get(session)
    return entry !== undefined && now < entry.until ? entry.place : undefined
  }

  /** Records that the session was answered there. */
  note(session: string, place: string, now: number): void {
    if (this.#lifeMs === 0) return
    // Deleted first, so that the map's order is the order of use.
    this.#places.delete(session)
    this.#places.set(session, { place, until: now + this.#lifeMs })
    if (this.#places.size <= MAX_ENTRIES) return
    const oldest = this.#places.keys().next()
    if (!oldest.done) this.#places.delete(oldest.value)
  }

  /** The number of sessions remembered; for tests. */
  get size(): number {
    return this.#places.size
  }
}
