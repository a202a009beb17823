/** Who showed the admin key: browsers get a cookie for it, so that the key itself is sent once and kept nowhere. */
import { createHash } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { RandomBytes } from '../../core/ids.ts'

/** How long a session lasts, milliseconds. */
export const SESSION_MS = 12 * 3_600_000

/** Sessions at once; the oldest goes for one more. */
const MAX_SESSIONS = 100

/** The sessions of one gateway. They end with it. */
export class Sessions {
  readonly #clock: Clock
  readonly #random: RandomBytes
  /** Digest of the token to the end of the session, oldest first: what could be read from memory opens nothing. */
  readonly #ends = new Map<string, number>()

  constructor(clock: Clock, random: RandomBytes) {
    this.#clock = clock
    this.#random = random
  }

  /** Begins a session. @returns its token, 256 random bits in base64url */
  begin(): string {
    const token = Buffer.from(this.#random(32)).toString('base64url')
    const [oldest] = this.#ends.keys()
    if (this.#ends.size >= MAX_SESSIONS && oldest !== undefined) this.#ends.delete(oldest)
    this.#ends.set(digest(token), this.#clock.now() + SESSION_MS)
    return token
  }

  /** Whether a token belongs to a session that lasts. Looked up by digest: the time it takes tells nothing of the token. */
  has(token: string): boolean {
    const end = this.#ends.get(digest(token))
    return end !== undefined && end > this.#clock.now()
  }

  /** Ends a session. */
  end(token: string): void {
    this.#ends.delete(digest(token))
  }
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
