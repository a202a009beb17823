import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { BUILT_IN_ASSETS, type Asset } from '../src/core/money/assets.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { ConfigError } from '../src/core/errors.ts'
import type { Observer } from '../src/core/telemetry/events.ts'
import type { Provider } from '../src/core/payer/provider.ts'
import type { OfferOrder } from '../src/core/policy/gate.ts'
import { answerKind } from '../src/core/stream/stream-json.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import type { Ledger } from '../src/io/ledger/ledger.ts'
import type { Upstream } from '../src/io/transport/upstream.ts'
import { tryCandidates } from '../src/payment/try-candidates.ts'
import { waitAloud } from './http/early-stream.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import type { ModelCatalogue } from './http/listed-models.ts'
import { ClientLeftError } from '../src/payment/paid-call.ts'
import { functionOption, objectWith, parseOptions } from './http/options.ts'
import { isRouted } from './http/paths.ts'
import { RunningCalls } from '../src/payment/calls-in-flight.ts'
import { markReady } from '../src/payment/timing.ts'

/** Limits on what may be signed (rule 6). */
export interface PaymentPolicy {
  /** Ceiling of one payment, micro-USD; `none` only where all that pays is vouchers with a price of their own. */
  readonly maxMicroUsd: bigint | 'none'
  /** Longest validity window that is signed, seconds. */
  readonly maxValiditySeconds: number
  /** How far a price may rise above the pinned one, millionths (`200_000n` is 20 %); no limit by default. */
  readonly maxPriceChange?: bigint | undefined
  /** Which of several acceptable offers is paid; default the cheapest in USD. */
  readonly offerOrder?: OfferOrder | undefined
  /** Configured payees per seller origin, lower case; other sellers are pinned on first use. */
  readonly payTo?: ReadonlyMap<string, readonly string[]> | undefined
  /** Assets that may be spent; default USDC on the built-in networks. */
  readonly assets?: readonly Asset[] | undefined
}

/** Options of {@link paymentInterceptor}. */
export interface PaymentInterceptorOptions {
  readonly ledger: Ledger
  readonly upstream: Upstream
  /** Payers by the name the routes use. */
  readonly payers: ReadonlyMap<string, Provider>
  /** Origins that may be paid: those of the paid routes. */
  readonly origins: ReadonlySet<string>
  readonly policy: PaymentPolicy
  /** What sellers list: their price of a token tells how far to lower a limit (`reduceMaxTokens`). */
  readonly catalogue?: Pick<ModelCatalogue, 'find'> | undefined
  /** Counts the paid calls on their way; a shutdown waits for them. */
  readonly running?: RunningCalls | undefined
  readonly clock?: Clock | undefined
  /** Waits between repeats of unpaid sends. */
  readonly timers?: Timers | undefined
  /** Longest silence of a paid stream that routes with `earlyKeepalive` bear, milliseconds; default 15,000. */
  readonly keepaliveMs?: number | undefined
  readonly observers?: readonly Observer[] | undefined
}

/** What {@link PaidCall} works with. */
export interface PaymentParts extends Omit<
  PaymentInterceptorOptions,
  'policy' | 'clock' | 'timers' | 'observers' | 'running' | 'keepaliveMs'
> {
  readonly running: RunningCalls
  readonly clock: Clock
  readonly timers: Timers
  readonly keepaliveMs: number
  readonly observers: readonly Observer[]
  readonly policy: PaymentPolicy & {
    readonly payTo: ReadonlyMap<string, readonly string[]>
    readonly assets: readonly Asset[]
    /** See `GatePolicy.lifeSeconds`: for those who sign ahead. */
    readonly lifeSeconds?: number | undefined
  }
}

const SCHEMA = z.strictObject({
  ledger: objectWith<Ledger>(
    ['authorize', 'settle', 'uncertain', 'release'],
    'give the ledger that openParts() opens',
  ),
  upstream: objectWith<Upstream>(['send'], 'give what createUpstream() makes'),
  payers: z.custom<ReadonlyMap<string, Provider>>(
    (value) => value instanceof Map,
    'give a Map of payers by name',
  ),
  origins: z.custom<ReadonlySet<string>>(
    (value) => value instanceof Set,
    'give a Set of origins that may be paid',
  ),
  policy: z.strictObject({
    maxMicroUsd: z.union(
      [z.bigint(), z.literal('none')],
      'give micro-USD as bigint, e.g. 100_000n for $0.10',
    ),
    maxValiditySeconds: z.int().min(10, 'give at least 10 seconds').max(86_400, 'give at most 86400 seconds'),
    maxPriceChange: z.bigint('give millionths as bigint, e.g. 200_000n for 20 %').optional(),
    offerOrder: z.enum(['cheapest', 'seller'], "give 'cheapest' or 'seller'").optional(),
    payTo: z
      .custom<ReadonlyMap<string, readonly string[]>>(
        (value) => value instanceof Map,
        'give a Map of payees by origin',
      )
      .default(() => new Map<string, readonly string[]>()),
    assets: z
      .custom<readonly Asset[]>((value) => Array.isArray(value), 'give a list of assets')
      .default(() => BUILT_IN_ASSETS),
  }),
  catalogue: objectWith<Pick<ModelCatalogue, 'find'>>(
    ['find'],
    'give the catalogues that openParts() opens',
  ).optional(),
  running: z.instanceof(RunningCalls, { error: 'give a RunningCalls' }).default(() => new RunningCalls()),
  clock: objectWith<Clock>(['now'], 'give { now() }').default(systemClock),
  timers: objectWith<Timers>(['after'], 'give { after(ms, work) }').default(systemTimers),
  keepaliveMs: z
    .int()
    .min(1, 'give at least 1 millisecond')
    .max(2 ** 31 - 1)
    .default(15_000),
  observers: z.array(functionOption<Observer>('an observer is a function of one event')).default([]),
})

/**
 * Sends the request to its candidates in turn. An unpaid candidate is relayed byte for byte. A paid one is asked
 * without payment first; its 402 goes through the gate, is reserved, signed, recorded and sent once. Nothing reaches the
 * client before the status of the paid answer is known, so every payment failure keeps a proper HTTP status.
 * @throws ConfigError for a mistake in the options
 */
export function paymentInterceptor(options: PaymentInterceptorOptions): Handler {
  const parts: PaymentParts = parseOptions('paymentInterceptor', SCHEMA, options)
  return asyncHandler('paymentInterceptor', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    // A repeat has the answer of the request it repeats.
    if (exchange.reply) return next()
    const { candidates, guard, run } = exchange
    if (!candidates)
      throw new ConfigError('paymentInterceptor() found no route: mount modelRouter() before it.')
    if (!guard)
      throw new ConfigError('paymentInterceptor() found no budget guard: mount budgetGuard() before it.')
    const leaving = run?.leaving ?? leavingOf(res)
    run?.begin()
    if (exchange.stream && answerKind(exchange.endpoint) !== undefined) {
      exchange.waitAloud = () => waitAloud(res, exchange, parts.keepaliveMs, parts.timers)
    }
    try {
      await tryCandidates(parts, req, exchange, leaving)
    } catch (error) {
      run?.fail(exchange, error)
      if (error instanceof ClientLeftError) return
      throw error
    }
    markReady(exchange)
    run?.land(exchange)
    next()
  })
}

function leavingOf(res: ServerResponse): AbortSignal {
  const leaving = new AbortController()
  // Gone already, while another middleware was busy: its `close` will not come again.
  if (res.closed || res.destroyed) leaving.abort()
  res.once('close', () => leaving.abort())
  return leaving.signal
}
