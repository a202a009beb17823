/** Rate limits of a caller: requests and tokens per minute, and requests in flight. */
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Observer } from '../src/core/telemetry/events.ts'
import { CallerQuota, type QuotaUsed } from '../src/io/callers/caller-quota.ts'
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

/**
 * Enforces the limits that `caller()` found for each caller, before the body is read: 429 `rate_limit_exceeded`
 * with Retry-After. Clients retry on it, which is safe because nothing was sent or paid. A minute begins with the
 * first request in it. Counted per process.
 * @throws ConfigError for a mistake in the options
 */
export function callerLimits(options: CallerLimitsOptions = {}): Handler {
  const { observers } = parseOptions('callerLimits', SCHEMA, options)
  const quota = new CallerQuota()

  return asyncHandler('callerLimits', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    const { id: caller, limits } = exchange.caller
    if (!limits) return next()
    const place = await quota.enter(caller, limits, {
      tell: (kind, most, used) => tell(res, kind, most, used),
      refused(limit) {
        for (const observer of observers) observer({ type: 'rate_limited', caller, limit })
      },
    })
    res.once('close', () => {
      place.leave()
      const count = (): void => {
        const { inputTokens, outputTokens } = exchange.relay.usage ?? { inputTokens: 0, outputTokens: 0 }
        place.count(inputTokens + outputTokens)
      }
      const { usageToCome } = exchange.relay
      if (usageToCome) void usageToCome.then(count)
      else count()
    })
    next()
  })
}

/** Sets OpenAI's rate-limit headers, with durations in OpenAI's format. */
function tell(
  res: ServerResponse,
  kind: 'requests' | 'tokens',
  most: number,
  { used: count, resetSeconds }: QuotaUsed,
): void {
  res.setHeader(`x-ratelimit-limit-${kind}`, String(most))
  res.setHeader(`x-ratelimit-remaining-${kind}`, String(Math.max(0, most - count)))
  res.setHeader(`x-ratelimit-reset-${kind}`, `${resetSeconds}s`)
}
