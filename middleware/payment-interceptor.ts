import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import type { Approval } from '../src/core/approval/approval.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { property } from '../src/core/property.ts'
import type { Observer } from '../src/core/telemetry/events.ts'
import { HookRunner } from '../src/core/hooks/hook-runner.ts'
import type { Hooks } from '../src/core/hooks/hooks.ts'
import type { Provider } from '../src/core/payer/provider.ts'
import { answerKind } from '../src/core/stream/stream-json.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import type { Ledger } from '../src/io/ledger/ledger.ts'
import { createUpstream, type Upstream } from '../src/io/transport/upstream.ts'
import { tryCandidates } from '../src/payment/try-candidates.ts'
import { sendKeepAlives } from './http/early-stream.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import type { ModelCatalogue } from '../src/core/routing/catalogue.ts'
import { RememberedTerms } from '../src/core/x402/remembered-terms.ts'
import { ClientLeftError, type PaymentContext } from '../src/payment/payment-context.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { functionOption, objectWith } from './http/options.ts'
import { isRouted } from './http/paths.ts'
import { CallsInFlight } from '../src/payment/calls-in-flight.ts'
import { markReady } from '../src/payment/timing.ts'
import { refuseBrokenChain } from './http/chain/asserted.ts'
import { closable, type ClosableHandler } from './http/closable.ts'
import { ledgerOption, LedgerSource } from './http/chain/ledger-source.ts'
import { beforeSignOf, joinHooks, runnerOf, watchCharges } from './http/chain/request-hooks.ts'
import { mayBePaid } from './http/chain/may-be-paid.ts'
import { hooksSchema } from './http/options/hooks-option.ts'
import { policyOption, type PolicyOptions } from './http/options/policy-option.ts'
import { setupError } from './http/setup-error.ts'
import { sharedContext, type SharedLedger } from './http/chain/shared-context.ts'

/** Options of {@link paymentInterceptor}. */
export interface PaymentInterceptorOptions {
  /** Payers by the name that the routes use, e.g. `{ base: await direct({ … }) }`. */
  readonly payers: Readonly<Record<string, Provider>> | ReadonlyMap<string, Provider>
  /** What may be signed; default at most $0.10 a request, valid for 600 seconds, in USDC. */
  readonly policy?: PolicyOptions | undefined
  /** Only with a budget guard of your own; default: the ledger of `budgetGuard()`. */
  readonly ledger?: Ledger | undefined
  /** The transport to sellers and upstreams; default one of its own, which `close()` closes. */
  readonly upstream?: Upstream | undefined
  /** Origins that may be paid; default those that the routes lead to. */
  readonly origins?: ReadonlySet<string> | undefined
  /** What sellers list: their price of a token tells how far to lower a limit (`reduceMaxTokens`). */
  readonly catalogue?: Pick<ModelCatalogue, 'find'> | undefined
  /** Counts the paid calls on their way; a shutdown waits for them. */
  readonly running?: CallsInFlight | undefined
  readonly clock?: Clock | undefined
  /** Waits between repeats of unpaid sends. */
  readonly timers?: Timers | undefined
  /** Longest silence of a paid stream that routes with `earlyKeepalive` bear, milliseconds; default 15,000. */
  readonly keepaliveMs?: number | undefined
  readonly observers?: readonly Observer[] | undefined
  /** Functions of yours: `beforeSign` may refuse a payment, the others are told what happened. */
  readonly hooks?: Hooks | undefined
  /** Hooks that `openParts()` opened, instead of {@link hooks}. */
  readonly hookRunner?: HookRunner | undefined
  /** Asks a person about calls that may cost too much; default nobody. */
  readonly approval?: Approval | undefined
}

const SCHEMA = z.strictObject({
  payers: z.unknown().transform(payersOf),
  policy: policyOption.prefault({}),
  ledger: ledgerOption.optional(),
  upstream: objectWith<Upstream>(['send'], 'give what createUpstream() makes').optional(),
  origins: z
    .custom<ReadonlySet<string>>((value) => value instanceof Set, 'give a Set of origins that may be paid')
    .optional(),
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
  hooks: hooksSchema.optional(),
  approval: objectWith<Approval>(
    ['isNeeded', 'ask'],
    'give { isNeeded(microUsd), ask(call, signal) }',
  ).optional(),
  hookRunner: z.instanceof(HookRunner, { error: 'give the hooks that openParts() opens' }).optional(),
})

/** The gateway's own defaults. */
const TIMEOUTS = { connectMs: 10_000, firstByteMs: 300_000, totalMs: 3_600_000 }

/**
 * Sends the request to its candidates in turn. An unpaid candidate is relayed byte for byte. A paid one is first
 * sent without payment. Its 402 goes through the policy checks; then the payment is reserved, signed, recorded and
 * sent once. Nothing reaches the client before the status of the paid answer is known, so every payment failure
 * keeps a proper HTTP status.
 *
 * With its first request it looks at what is mounted around it, and refuses with `setup_error` before anything is
 * signed where the chain cannot work; `assertOrder()` reports the same at start.
 * @throws ConfigError for a mistake in the options
 */
export function paymentInterceptor(options: PaymentInterceptorOptions): ClosableHandler {
  const { ledger: own, ...parsed } = parseOptions('paymentInterceptor', SCHEMA, options)
  const upstream = parsed.upstream ?? createUpstream(TIMEOUTS)
  const terms = new RememberedTerms()
  const settings = { ...parsed, upstream, terms }
  const runner = parsed.hookRunner ?? runnerOf(parsed.hooks, parsed)
  const source = own && new LedgerSource('paymentInterceptor', { ledger: own, clock: settings.clock })
  const handler: Handler = asyncHandler('paymentInterceptor', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    joinHooks(runner, { req, res, exchange }, () => settings.clock.now())
    // A repeat already has the answer of the request it repeats.
    if (exchange.relay.reply) return next()
    const { candidates } = exchange.routing
    const { guard, run } = exchange.payment
    if (!candidates) {
      throw setupError(
        'paymentInterceptor() found no route for the request. Nothing was paid.',
        'Mount readBody() and modelRouter() before paymentInterceptor().',
      )
    }
    // No route claims it: it is for the handlers behind.
    if (candidates.length === 0) return next()
    if (!guard) {
      throw setupError(
        'paymentInterceptor() found no budget guard. Nothing was paid.',
        'Mount budgetGuard() before paymentInterceptor(): nothing may be paid without a budget.',
      )
    }
    if (res.headersSent || res.writableEnded) throw alreadyAnswered()
    refuseBrokenChain(req, handler)
    const shared = source ? await source.of(exchange) : sharedContext(exchange).ledger
    if (!shared) throw withoutLedger()
    if (shared.isDefault && mayBePaid(candidates, exchange.routing.attempts)) throw onlyInMemory(shared)
    watchCharges(shared.ledger, exchange)
    const leaving = run?.leaving ?? leavingOf(res)
    run?.begin()
    if (exchange.request.stream && answerKind(exchange.endpoint) !== undefined) {
      exchange.payment.sendKeepAlives = () =>
        sendKeepAlives(res, exchange, settings.keepaliveMs, settings.timers)
    }
    const observers = [...new Set([...settings.observers, ...sharedContext(exchange).observers])]
    const beforeSign = beforeSignOf(exchange)
    const context: PaymentContext = { ...settings, ledger: shared.ledger, observers, beforeSign }
    try {
      await tryCandidates(context, req, exchange, leaving)
    } catch (error) {
      run?.fail(exchange, error)
      if (error instanceof ClientLeftError) return
      throw error
    }
    markReady(exchange)
    run?.complete(exchange)
    next()
  })
  return closable(handler, async () => {
    await settings.running.idle()
    terms.close()
    if (!parsed.upstream) await upstream.close()
  })
}

function payersOf(value: unknown, context: z.RefinementCtx): ReadonlyMap<string, Provider> {
  const entries: [string, unknown][] = value instanceof Map ? [...value] : Object.entries(value ?? {})
  if (typeof value !== 'object' || value === null) {
    context.addIssue('give the payers by the name that the routes use, e.g. { base: await direct({ … }) }')
  }
  const payers = new Map<string, Provider>()
  for (const [name, payer] of entries) {
    if (isProvider(payer)) payers.set(name, payer)
    else if (payer instanceof Promise) context.addIssue(`${name} is still a promise: await the payer`)
    else
      context.addIssue(
        `${name} is not a payer: give what direct() and its kin return, or an object of the Provider type`,
      )
  }
  return payers
}

function isProvider(value: unknown): value is Provider {
  return (
    ['supports', 'authorize', 'closed', 'close'].every(
      (method) => typeof property(value, method) === 'function',
    ) && Array.isArray(property(value, 'networks'))
  )
}

function alreadyAnswered(): Error {
  return setupError(
    'A handler before paymentInterceptor() has begun to answer and called next() as well. Nothing was paid.',
    'Let it do one of the two.',
  )
}

function withoutLedger(): Error {
  return setupError(
    'paymentInterceptor() has no ledger: the budget guard before it is not budgetGuard(). Nothing was paid.',
    'Give paymentInterceptor() the ledger that your guard reserves in, from openLedger().',
  )
}

function onlyInMemory({ from }: SharedLedger): Error {
  return setupError(
    'The charges are kept in memory only: after a crash there is no record of what was paid. Nothing was paid.',
    `Give ${from}() a store on disk: store: 'sqlite:./tollway.db'. To pay without one anyway, write store: 'memory'.`,
  )
}

/** One for all: the error that Node would make for each has a stack trace, which costs more than the rest of it. */
const CLOSED = new ClientLeftError()

function leavingOf(res: ServerResponse): AbortSignal {
  const leaving = new AbortController()
  // The client already left while another middleware was busy: `close` will not fire again.
  if (res.closed || res.destroyed) leaving.abort(CLOSED)
  res.once('close', () => leaving.abort(CLOSED))
  return leaving.signal
}
