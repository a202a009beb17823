/** Identifies the caller and the models that it may use. */
import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { ConfigError, TollwayError } from '../src/core/errors.ts'
import { isCallerBudget, type CallerBudget } from '../src/core/budget/caller-budgets.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { CallerLimits } from '../src/core/request/exchange.ts'
import { hashKey } from '../src/io/callers/hash-key.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { named, type Handler, type Request } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { objectWith } from './http/options.ts'

/** A client that may use the gateway. */
export interface Caller {
  /** A name for budgets, metrics and the audit record: `[A-Za-z0-9._-]{1,64}`. */
  readonly id: string
  /** SHA-256 of the key, lower-case hex (`hashKey(key)`). */
  readonly keyDigest: string
  /** Model names, or patterns with one `*`. Default `['*']`. */
  readonly models?: readonly string[] | undefined
  /** When the key expires, milliseconds since the epoch. */
  readonly expiresAt?: number | undefined
  /** For `callerLimits()`; none by default. */
  readonly limits?: CallerLimits | undefined
  /** The team it belongs to, for budgets per team: `[A-Za-z0-9._-]{1,64}`. */
  readonly team?: string | undefined
  /** For `budgetGuard()`: what it may spend, beside the budgets given there. */
  readonly budgets?: readonly CallerBudget[] | undefined
}

/** Callers that may change while the gateway runs. */
export interface CallerSource {
  /** Called for every request; returns the same list object as long as nothing changed. */
  callers(): readonly Caller[]
}

/** Options of {@link caller}. */
export interface CallerOptions {
  /** None or an empty list: everyone who reaches the listener is `anonymous` and may use every model. */
  readonly callers?: readonly Caller[] | undefined
  /** Additional callers. With a source every request needs a key, even while the source is empty. */
  readonly source?: CallerSource | undefined
  readonly clock?: Clock | undefined
}

const SCHEMA = z.strictObject({
  callers: z
    .array(
      z.strictObject({
        id: z
          .string()
          .regex(/^[A-Za-z0-9._-]{1,64}$/, 'use 1 to 64 letters, digits, dots, dashes or underscores'),
        keyDigest: z
          .string()
          .regex(
            /^[0-9a-f]{64}$/,
            'give the SHA-256 of the key in lower-case hex: hashKey(key), never the key itself',
          ),
        models: z
          .array(
            z
              .string()
              .regex(/^[^*]*\*?[^*]*$/, 'a pattern holds at most one *')
              .min(1, 'name a model'),
          )
          .default(['*']),
        expiresAt: z.number().optional(),
        limits: z.custom<CallerLimits>((value) => typeof value === 'object', 'give limits').optional(),
        team: z
          .string()
          .regex(/^[A-Za-z0-9._-]{1,64}$/, 'use 1 to 64 letters, digits, dots, dashes or underscores')
          .optional(),
        budgets: z
          .array(z.custom<CallerBudget>(isCallerBudget, 'give what parseCallerBudget("5/day") makes'))
          .optional(),
      }),
    )
    .default([]),
  source: objectWith<CallerSource>(['callers'], 'a source is an object with callers()').optional(),
  clock: objectWith<Clock>(['now'], 'a clock is an object with now()').default(systemClock),
})

/**
 * Finds the caller by `Authorization: Bearer` or Anthropic's `x-api-key`: 401 `invalid_api_key` when neither holds
 * a known key. Fills `exchange.caller` and `exchange.allowedModels`.
 * @throws ConfigError for a mistake in the options, or for two callers with one id or one key
 */
export function caller(options: CallerOptions = {}): Handler {
  const { callers, source, clock } = parseOptions('caller', SCHEMA, options)
  assertDistinct(callers)
  const fixed = callers.map(withDigest)
  let read: readonly Caller[] | undefined
  let known = fixed
  const current = (): readonly KnownCaller[] => {
    const more = source?.callers()
    if (more !== read) {
      read = more
      known = [...fixed, ...(more ?? []).map(withDigest)]
    }
    return known
  }

  return named<Handler>('caller', (req, _res, next) => {
    const all = current()
    if (all.length === 0 && !source) return next()
    const keys = presentedKeys(req)
    const digests = keys.map((key) => Buffer.from(hashKey(key), 'hex'))
    let found: KnownCaller | undefined
    // Every entry is compared, found or not, so the time taken reveals nothing about the list.
    for (const entry of all) {
      for (const digest of digests) {
        if (timingSafeEqual(entry.digest, digest)) found ??= entry
      }
    }
    if (!found) return next(refuse(keys.length === 0))
    if (found.expiresAt !== undefined && found.expiresAt <= clock.now()) return next(expired())
    const exchange = exchangeOf(req)
    exchange.caller.id = found.id
    exchange.caller.allowedModels = found.models ?? ['*']
    exchange.caller.limits = found.limits
    exchange.caller.team = found.team
    exchange.caller.budgets = found.budgets
    next()
  })
}

interface KnownCaller extends Caller {
  readonly digest: Buffer
}

function withDigest(entry: Caller): KnownCaller {
  return { ...entry, digest: Buffer.from(entry.keyDigest, 'hex') }
}

function presentedKeys(req: Request): string[] {
  const bearer = /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1]
  const apiKey = req.headers['x-api-key']
  return [bearer, typeof apiKey === 'string' && apiKey !== '' ? apiKey : undefined].filter(
    (key) => key !== undefined,
  )
}

function refuse(missing: boolean): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'The caller key is missing or unknown.',
    advice: [
      missing
        ? 'Send it as "Authorization: Bearer <key>" or as "x-api-key: <key>".'
        : 'Compare it with the keys this gateway was set up with.',
    ],
    headers: { 'www-authenticate': 'Bearer realm="tollway"' },
  })
}

/** Reported only to a client that holds the key itself. */
function expired(): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'This caller key has expired.',
    advice: ['Ask for a new one.'],
    headers: { 'www-authenticate': 'Bearer realm="tollway"' },
  })
}

function assertDistinct(callers: readonly { readonly id: string; readonly keyDigest: string }[]): void {
  for (const [index, entry] of callers.entries()) {
    const earlier = callers.slice(0, index)
    if (earlier.some(({ id }) => id === entry.id)) {
      throw new ConfigError(`caller(): two callers have the id "${entry.id}". Give each its own.`)
    }
    const twin = earlier.find(({ keyDigest }) => keyDigest === entry.keyDigest)
    if (twin) {
      throw new ConfigError(`caller(): "${twin.id}" and "${entry.id}" have the same key. Give each its own.`)
    }
  }
}
