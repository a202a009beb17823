/** What callers have used of their limits: requests and tokens of the current minute, and requests in flight. Per process. */
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { TollwayError } from '../../core/errors.ts'
import type { CallerLimits } from '../../core/request/exchange.ts'

/** A limit of a caller. */
export type QuotaKind = 'requests' | 'tokens' | 'parallel'

/** What a caller has used in the current minute. */
export interface QuotaUsed {
  readonly used: number
  readonly resetSeconds: number
}

/** Who is told what a request finds. */
export interface QuotaListener {
  /** What is used of a limit per minute. */
  tell?(kind: Exclude<QuotaKind, 'parallel'>, most: number, used: QuotaUsed): void
  /** A limit stands in the way. */
  refused?(kind: QuotaKind): void
}

/** The place of a request that was let in. */
export interface QuotaPlace {
  /** The request has ended. Called once. */
  leave(): void
  /** Counts the tokens of its answer, input and output together. */
  count(tokens: number): void
}

const MINUTE_SECONDS = 60

const UNITS: Readonly<Record<QuotaKind, string>> = {
  requests: 'requests a minute',
  tokens: 'tokens a minute',
  parallel: 'requests at once',
}

/** The counters of all callers. A minute begins with the first request in it. */
export class CallerQuota {
  readonly #limiters = new Map<string, RateLimiterMemory>()
  readonly #parallel = new Map<string, number>()

  /**
   * Lets a request in, or refuses it.
   * @throws TollwayError `rate_limit_exceeded`, with Retry-After
   */
  async enter(caller: string, limits: CallerLimits, listener: QuotaListener = {}): Promise<QuotaPlace> {
    const { parallel, tokensPerMinute, requestsPerMinute } = limits
    const refuse = (kind: QuotaKind, most: number, waitSeconds: number): TollwayError => {
      listener.refused?.(kind)
      return exceeded(kind, most, waitSeconds)
    }
    if (parallel !== undefined && (this.#parallel.get(caller) ?? 0) >= parallel) {
      throw refuse('parallel', parallel, 1)
    }
    if (tokensPerMinute !== undefined) {
      const tokens = await this.#look('tokens', tokensPerMinute, caller)
      listener.tell?.('tokens', tokensPerMinute, tokens)
      if (tokens.used >= tokensPerMinute) throw refuse('tokens', tokensPerMinute, tokens.resetSeconds)
    }
    if (requestsPerMinute !== undefined) {
      const taken = await this.#take('requests', requestsPerMinute, caller, 1)
      listener.tell?.('requests', requestsPerMinute, taken)
      if (taken.used > requestsPerMinute) throw refuse('requests', requestsPerMinute, taken.resetSeconds)
    }
    if (parallel !== undefined) this.#parallel.set(caller, (this.#parallel.get(caller) ?? 0) + 1)
    return {
      leave: () => {
        if (parallel === undefined) return
        const left = (this.#parallel.get(caller) ?? 1) - 1
        if (left > 0) this.#parallel.set(caller, left)
        else this.#parallel.delete(caller)
      },
      count: (tokens) => {
        if (tokensPerMinute !== undefined) void this.#take('tokens', tokensPerMinute, caller, tokens)
      },
    }
  }

  /** Counts even past the limit, because the usage has already happened. */
  async #take(kind: QuotaKind, most: number, caller: string, points: number): Promise<QuotaUsed> {
    if (points <= 0) return await this.#look(kind, most, caller)
    return used(await this.#limiter(kind, most).penalty(caller, points))
  }

  async #look(kind: QuotaKind, most: number, caller: string): Promise<QuotaUsed> {
    const known = await this.#limiter(kind, most).get(caller)
    return known === null ? { used: 0, resetSeconds: MINUTE_SECONDS } : used(known)
  }

  /** One limiter per distinct limit. */
  #limiter(kind: QuotaKind, most: number): RateLimiterMemory {
    const name = `${kind} ${most}`
    let limiter = this.#limiters.get(name)
    if (!limiter) {
      limiter = new RateLimiterMemory({ points: most, duration: MINUTE_SECONDS, keyPrefix: kind })
      this.#limiters.set(name, limiter)
    }
    return limiter
  }
}

function used({ consumedPoints, msBeforeNext }: RateLimiterRes): QuotaUsed {
  return { used: consumedPoints, resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)) }
}

function exceeded(limit: QuotaKind, most: number, waitSeconds: number): TollwayError {
  return new TollwayError({
    code: 'rate_limit_exceeded',
    message: `This caller may use ${most} ${UNITS[limit]} and has reached that limit; nothing was sent.`,
    advice: [`Try again in ${waitSeconds} s.`],
    details: { limit },
    headers: { 'retry-after': String(Math.min(MINUTE_SECONDS, waitSeconds)) },
  })
}
