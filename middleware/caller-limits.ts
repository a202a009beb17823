/** Rate limits of a caller: requests and tokens per minute, and requests in flight. */
import type { ServerResponse } from 'node:http'
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible'
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import type { Observer } from '../src/core/telemetry/events.ts'
import type { Exchange } from '../src/core/request/exchange.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { functionOption } from './http/options.ts'
import { isRouted } from './http/paths.ts'

/** Options of {@link callerLimits}. */
export interface CallerLimitsOptions {
  readonly observers?: readonly Observer[] | undefined
}

const SCHEMA = z.strictObject({
  observers: z.array(functionOption<Observer>('an observer is a function of one event')).default([]),
})

const MINUTE_SECONDS = 60

type Kind = 'requests' | 'tokens' | 'parallel'

/**
 * Enforces the limits that `caller()` found for each caller, before the body is read: 429 `rate_limit_exceeded`
 * with Retry-After. Clients retry on it, which is safe because nothing was sent or paid. A minute begins with the
 * first request in it. Counted per process.
 * @throws ConfigError for a mistake in the options
 */
export function callerLimits(options: CallerLimitsOptions = {}): Handler {
  const { observers } = parseOptions('callerLimits', SCHEMA, options)
  const minutes = new Minutes()
  const parallel = new Map<string, number>()

  const refuse = (exchange: Exchange, limit: Kind, most: number, waitSeconds: number): TollwayError => {
    for (const observer of observers) observer({ type: 'rate_limited', caller: exchange.caller.id, limit })
    return exceeded(limit, most, waitSeconds)
  }

  return asyncHandler('callerLimits', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    const { id: caller, limits } = exchange.caller
    if (!limits) return next()
    const running = parallel.get(caller) ?? 0
    if (limits.parallel !== undefined && running >= limits.parallel) {
      throw refuse(exchange, 'parallel', limits.parallel, 1)
    }
    if (limits.tokensPerMinute !== undefined) {
      const tokens = await minutes.look('tokens', limits.tokensPerMinute, caller)
      tell(res, 'tokens', limits.tokensPerMinute, tokens)
      if (tokens.used >= limits.tokensPerMinute) {
        throw refuse(exchange, 'tokens', limits.tokensPerMinute, tokens.resetSeconds)
      }
    }
    if (limits.requestsPerMinute !== undefined) {
      const taken = await minutes.take('requests', limits.requestsPerMinute, caller, 1)
      tell(res, 'requests', limits.requestsPerMinute, taken)
      if (taken.used > limits.requestsPerMinute) {
        throw refuse(exchange, 'requests', limits.requestsPerMinute, taken.resetSeconds)
      }
    }
    if (limits.parallel !== undefined) parallel.set(caller, (parallel.get(caller) ?? 0) + 1)
    res.once('close', () => {
      if (limits.parallel !== undefined) leave(parallel, caller)
      const { tokensPerMinute: most } = limits
      if (most === undefined) return
      const count = (): void => {
        const { inputTokens, outputTokens } = exchange.relay.usage ?? { inputTokens: 0, outputTokens: 0 }
        void minutes.take('tokens', most, caller, inputTokens + outputTokens)
      }
      const { usageToCome } = exchange.relay
      if (usageToCome) void usageToCome.then(count)
      else count()
    })
    next()
  })
}

/** What a caller has used in the current minute. */
interface Used {
  readonly used: number
  readonly resetSeconds: number
}

/** Counters of the current minute: one limiter per distinct limit. */
class Minutes {
  readonly #limiters = new Map<string, RateLimiterMemory>()

  /** Counts even past the limit, because the usage has already happened. */
  async take(kind: Kind, most: number, caller: string, points: number): Promise<Used> {
    if (points <= 0) return await this.look(kind, most, caller)
    return used(await this.#limiter(kind, most).penalty(caller, points))
  }

  async look(kind: Kind, most: number, caller: string): Promise<Used> {
    const known = await this.#limiter(kind, most).get(caller)
    return known === null ? { used: 0, resetSeconds: MINUTE_SECONDS } : used(known)
  }

  #limiter(kind: Kind, most: number): RateLimiterMemory {
    const name = `${kind} ${most}`
    let limiter = this.#limiters.get(name)
    if (!limiter) {
      limiter = new RateLimiterMemory({ points: most, duration: MINUTE_SECONDS, keyPrefix: kind })
      this.#limiters.set(name, limiter)
    }
    return limiter
  }
}

function used({ consumedPoints, msBeforeNext }: RateLimiterRes): Used {
  return { used: consumedPoints, resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)) }
}

function leave(parallel: Map<string, number>, caller: string): void {
  const left = (parallel.get(caller) ?? 1) - 1
  if (left > 0) parallel.set(caller, left)
  else parallel.delete(caller)
}

/** Sets OpenAI's rate-limit headers, with durations in OpenAI's format. */
function tell(
  res: ServerResponse,
  kind: 'requests' | 'tokens',
  most: number,
  { used: count, resetSeconds }: Used,
): void {
  res.setHeader(`x-ratelimit-limit-${kind}`, String(most))
  res.setHeader(`x-ratelimit-remaining-${kind}`, String(Math.max(0, most - count)))
  res.setHeader(`x-ratelimit-reset-${kind}`, `${resetSeconds}s`)
}

const UNITS: Readonly<Record<Kind, string>> = {
  requests: 'requests a minute',
  tokens: 'tokens a minute',
  parallel: 'requests at once',
}

function exceeded(limit: Kind, most: number, waitSeconds: number): TollwayError {
  return new TollwayError({
    code: 'rate_limit_exceeded',
    message: `This caller may use ${most} ${UNITS[limit]} and has reached that limit; nothing was sent.`,
    advice: [`Try again in ${waitSeconds} s.`],
    details: { limit },
    headers: { 'retry-after': String(Math.min(MINUTE_SECONDS, waitSeconds)) },
  })
}
