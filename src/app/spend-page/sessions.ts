/**
 * Sessions of clients that presented the admin key. Browsers get a cookie, so that the key itself is sent once and
 * not kept.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import type { RandomBytes } from '../../core/ids.ts'

/** How long a session lasts, milliseconds. */
export const SESSION_MS = 12 * 3_600_000

/** Maximum number of sessions; the oldest ends when another one begins. */
const MAX_SESSIONS = 100

/** The sessions of one gateway. They end when it stops. */
export class Sessions {
  readonly #clock: Clock
  readonly #random: RandomBytes
  /** Maps a token's digest to the session's end, oldest first: digests read from memory are useless for signing in. */
  readonly #ends = new Map<string, number>()

  constructor(clock: Clock, random: RandomBytes) {
    this.#clock = clock
    this.#random = random
  }

  /** Starts a session. @returns its token, 256 random bits in base64url */
  begin(): string {
    const token = Buffer.from(this.#random(32)).toString('base64url')
    const [oldest] = this.#ends.keys()
    if (this.#ends.size >= MAX_SESSIONS && oldest !== undefined) this.#ends.delete(oldest)
    this.#ends.set(digest(token), this.#clock.now() + SESSION_MS)
    return token
  }

  /**
   * Whether a token belongs to a valid session. Looked up by digest, so the time taken reveals nothing about the
   * token.
   */
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
