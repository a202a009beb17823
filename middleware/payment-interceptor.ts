import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { BUILT_IN_ASSETS, type Asset } from '../src/core/money/assets.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { ConfigError } from '../src/core/errors.ts'
import type { Observer } from '../src/core/telemetry/events.ts'
import type { Provider } from '../src/core/payer/provider.ts'
import { answerKind } from '../src/core/stream/stream-json.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import type { Ledger } from '../src/io/ledger/ledger.ts'
import type { Upstream } from '../src/io/transport/upstream.ts'
import { tryCandidates } from '../src/payment/try-candidates.ts'
import { sendKeepAlives } from './http/early-stream.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import type { ModelCatalogue } from '../src/core/routing/catalogue.ts'
import {
  ClientLeftError,
  type PaymentInterceptorOptions,
  type PaymentContext,
} from '../src/payment/payment-context.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { functionOption, objectWith } from './http/options.ts'
import { isRouted } from './http/paths.ts'
import { CallsInFlight } from '../src/payment/calls-in-flight.ts'
import { markReady } from '../src/payment/timing.ts'

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
  running: z.instanceof(CallsInFlight, { error: 'give a RunningCalls' }).default(() => new CallsInFlight()),
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
 * Sends the request to its candidates in turn. An unpaid candidate is relayed byte for byte. A paid one is first
 * sent without payment. Its 402 goes through the policy checks; then the payment is reserved, signed, recorded and
 * sent once. Nothing reaches the client before the status of the paid answer is known, so every payment failure
 * keeps a proper HTTP status.
 * @throws ConfigError for a mistake in the options
 */
export function paymentInterceptor(options: PaymentInterceptorOptions): Handler {
  const parts: PaymentContext = parseOptions('paymentInterceptor', SCHEMA, options)
  return asyncHandler('paymentInterceptor', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    // A repeat already has the answer of the request it repeats.
    if (exchange.relay.reply) return next()
    const { candidates } = exchange.routing
    const { guard, run } = exchange.payment
    if (!candidates)
      throw new ConfigError('paymentInterceptor() found no route: mount modelRouter() before it.')
    if (!guard)
      throw new ConfigError('paymentInterceptor() found no budget guard: mount budgetGuard() before it.')
    const leaving = run?.leaving ?? leavingOf(res)
    run?.begin()
    if (exchange.request.stream && answerKind(exchange.endpoint) !== undefined) {
      exchange.payment.sendKeepAlives = () => sendKeepAlives(res, exchange, parts.keepaliveMs, parts.timers)
    }
    try {
      await tryCandidates(parts, req, exchange, leaving)
    } catch (error) {
      run?.fail(exchange, error)
      if (error instanceof ClientLeftError) return
      throw error
    }
    markReady(exchange)
    run?.complete(exchange)
    next()
  })
}

function leavingOf(res: ServerResponse): AbortSignal {
  const leaving = new AbortController()
  // The client already left while another middleware was busy: `close` will not fire again.
  if (res.closed || res.destroyed) leaving.abort()
  res.once('close', () => leaving.abort())
  return leaving.signal
}
