/** Checks the admin key everywhere. Failures are counted in one place, so that no path allows faster guessing. */
import { timingSafeEqual } from 'node:crypto'
import { RateLimiterMemory } from 'rate-limiter-flexible'
import { TollwayError } from '../../core/errors.ts'
import { hashKey } from '../../io/callers/hash-key.ts'
import type { Request } from '../../../middleware/http/handler.ts'

/** Wrong keys from one address before it has to wait. */
const MAX_FAILURES = 10
/** Wrong keys from all addresses before every one has to wait. */
const MAX_ALL_FAILURES = 1_000
/** How long failures are counted, and how long an address waits then, seconds. */
const WINDOW_SECONDS = 900

/** One per gateway. */
export class AdminKey {
  readonly #digest: string | undefined
  readonly #failures = new RateLimiterMemory({ points: MAX_FAILURES, duration: WINDOW_SECONDS })
  /** Bounds the memory of the one above, and what many addresses together can try. */
  readonly #allFailures = new RateLimiterMemory({ points: MAX_ALL_FAILURES, duration: WINDOW_SECONDS })
  #attempts: Promise<void> = Promise.resolve()

  /** @param digest SHA-256 of the key, lower-case hex; `undefined` when none is configured */
  constructor(digest: string | undefined) {
    this.#digest = digest
  }

  /** Whether there is a key to know. */
  get isSet(): boolean {
    return this.#digest !== undefined
  }

  /**
   * Compares. Wrong keys are counted one after another: those that come at once must not all pass before the first one counts.
   * @param wrong makes the error for a client with a wrong key
   * @throws TollwayError what `wrong` makes, or `too_many_attempts`
   */
  async compare(req: Request, key: string, wrong: () => TollwayError): Promise<void> {
    // The right key is never counted against its owner, whatever others sent before.
    if (this.#digest !== undefined && sameDigest(hashKey(key), this.#digest)) return
    const attempt = this.#attempts.then(() => this.#refuse(req, wrong))
    this.#attempts = attempt.catch(() => undefined)
    await attempt
  }

  async #refuse(req: Request, wrong: () => TollwayError): Promise<void> {
    // Behind a proxy all clients share its address; what a client claims about its own cannot be trusted.
    const counters = [
      { counter: this.#failures, name: req.socket.remoteAddress ?? 'unknown', most: MAX_FAILURES },
      { counter: this.#allFailures, name: 'all', most: MAX_ALL_FAILURES },
    ]
    for (const { counter, name, most } of counters) {
      const failed = await counter.get(name)
      if (failed && failed.consumedPoints >= most) throw tooMany(failed.msBeforeNext)
    }
    for (const { counter, name } of counters) await counter.penalty(name)
    throw wrong()
  }
}

function sameDigest(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}

function tooMany(ms: number): TollwayError {
  return new TollwayError({
    code: 'too_many_attempts',
    message: 'Too many attempts with a wrong admin key.',
    advice: ['Wait, then send the right one.'],
    headers: { 'retry-after': String(Math.ceil(ms / 1000)) },
  })
}
