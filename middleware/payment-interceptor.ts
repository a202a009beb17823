import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { BUILT_IN_ASSETS, type Asset } from '../src/core/assets.ts'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { ConfigError, TollwayError } from '../src/core/errors.ts'
import type { Observer } from '../src/core/events.ts'
import type { Exchange } from '../src/core/exchange.ts'
import type { Provider } from '../src/core/provider.ts'
import type { Candidate } from '../src/core/route.ts'
import type { Ledger } from '../src/io/ledger.ts'
import { UpstreamError, type IncomingReply, type OutgoingRequest, type Upstream } from '../src/io/upstream.ts'
import { exchangeOf } from './exchange.ts'
import { asyncHandler, type Handler } from './handler.ts'
import { outgoingRequest } from './outgoing.ts'
import { ClientLeftError, PaidCall } from './paid-call.ts'
import { functionOption, objectWith, parseOptions } from './options.ts'
import { endpointOf } from './paths.ts'
import { relayedHeaders } from './relay-headers.ts'
import { RunningCalls } from './running-calls.ts'
import { awaited, markReady } from './stopwatch.ts'

/** Limits on what may be signed (rule 6). */
export interface PaymentPolicy {
  /** Ceiling of one payment, micro-USD. */
  readonly maxMicroUsd: bigint
  /** Longest validity window that is signed, seconds. */
  readonly maxValiditySeconds: number
  /** How far a price may rise above the pinned one, millionths (`200_000n` is 20 %); no limit by default. */
  readonly maxPriceChange?: bigint | undefined
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
  /** Counts the paid calls on their way; a shutdown waits for them. */
  readonly running?: RunningCalls | undefined
  readonly clock?: Clock | undefined
  readonly observers?: readonly Observer[] | undefined
}

/** What {@link PaidCall} works with. */
export interface PaymentParts extends Omit<
  PaymentInterceptorOptions,
  'policy' | 'clock' | 'observers' | 'running'
> {
  readonly running: RunningCalls
  readonly clock: Clock
  readonly observers: readonly Observer[]
  readonly policy: PaymentPolicy & {
    readonly payTo: ReadonlyMap<string, readonly string[]>
    readonly assets: readonly Asset[]
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
    maxMicroUsd: z.bigint('give micro-USD as bigint, e.g. 100_000n for $0.10'),
    maxValiditySeconds: z.int().min(10, 'give at least 10 seconds').max(86_400, 'give at most 86400 seconds'),
    maxPriceChange: z.bigint('give millionths as bigint, e.g. 200_000n for 20 %').optional(),
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
  running: z.instanceof(RunningCalls, { error: 'give a RunningCalls' }).default(() => new RunningCalls()),
  clock: objectWith<Clock>(['now'], 'give { now() }').default(systemClock),
  observers: z.array(functionOption<Observer>('an observer is a function of one event')).default([]),
})

/** Answers of an unpaid probe that are about the request and are relayed as they are. */
const RELAYED_PROBE_STATUSES: ReadonlySet<number> = new Set([400, 404, 413, 415, 422])

/**
 * Sends the request to its candidates in turn. An unpaid candidate is relayed byte for byte. A paid one is asked
 * without payment first; its 402 goes through the gate, is reserved, signed, recorded and sent once. Nothing reaches the
 * client before the status of the paid answer is known, so every payment failure keeps a proper HTTP status.
 * @throws ConfigError for a mistake in the options
 */
export function paymentInterceptor(options: PaymentInterceptorOptions): Handler {
  const parts: PaymentParts = parseOptions('paymentInterceptor', SCHEMA, options)
  return asyncHandler('paymentInterceptor', async (req, res, next) => {
    if (endpointOf(req) === undefined || req.method !== 'POST') return next()
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
    let failure: unknown
    for (const candidate of candidates) {
      exchange.route = candidate.route.modelName
      exchange.payer = candidate.route.payer
      try {
        await serve(parts, exchange, candidate, outgoingRequest(req, exchange, candidate), leaving)
      } catch (error) {
        // The first failure is told, as LiteLLM does: it belongs to the candidate the caller meant.
        failure ??= error
        if (error instanceof TollwayError && error.mayTryNext) continue
        failure = error
        break
      }
      markReady(exchange)
      run?.land(exchange)
      return next()
    }
    run?.fail(exchange, failure)
    if (failure instanceof ClientLeftError) return
    throw failure
  })
}

function leavingOf(res: ServerResponse): AbortSignal {
  const leaving = new AbortController()
  // Gone already, while another middleware was busy: its `close` will not come again.
  if (res.closed || res.destroyed) leaving.abort()
  res.once('close', () => leaving.abort())
  return leaving.signal
}

/** @param leaving aborted when the client is gone; nothing is signed for it after that */
async function serve(
  parts: PaymentParts,
  exchange: Exchange,
  candidate: Candidate,
  request: OutgoingRequest,
  leaving: AbortSignal,
): Promise<void> {
  const payerName = candidate.route.payer
  if (payerName === undefined) {
    exchange.reply = { ...(await awaited(exchange, ask(parts, request, leaving))), kind: 'unpaid' }
    exchange.outcome = 'free'
    return
  }
  const payer = parts.payers.get(payerName)
  if (!payer) {
    throw new ConfigError(
      `Route "${candidate.route.modelName}" names the payer "${payerName}", which does not exist.`,
    )
  }
  const startedAt = performance.now()
  const answer = await awaited(exchange, ask(parts, request, leaving))
  if (answer.status !== 402) {
    exchange.reply = { ...withoutSellersHeaders(unpaidAnswer(answer)), kind: 'unpaid' }
    exchange.outcome = 'free'
    return
  }
  const call = new PaidCall(parts, exchange, candidate, payer, request)
  await parts.running.track(call.run(answer, startedAt, leaving))
}

/** Sends a request that carries no payment; it ends when the client leaves. */
async function ask(
  parts: PaymentParts,
  request: OutgoingRequest,
  leaving: AbortSignal,
): Promise<IncomingReply> {
  try {
    return await parts.upstream.send({ ...request, signal: leaving })
  } catch (cause) {
    if (leaving.aborted) throw new ClientLeftError()
    const reason = cause instanceof UpstreamError ? cause.reason : 'unknown'
    if (reason === 'private') throw privateSeller(request.url, cause)
    throw unavailable(`did not answer (${reason})`, cause)
  }
}

/** A seller that answers for free is still a seller: it does not speak in our name, nor to the client's cookies. */
function withoutSellersHeaders(reply: IncomingReply): IncomingReply {
  return { ...reply, headers: Object.fromEntries(relayedHeaders({ headers: reply.headers, kind: 'paid' })) }
}

/** An answer to the unpaid probe that asks for no payment: free answers and errors about the request pass, the rest is an outage. */
function unpaidAnswer(answer: IncomingReply): IncomingReply {
  const { status } = answer
  if ((status >= 200 && status < 300) || RELAYED_PROBE_STATUSES.has(status)) return answer
  answer.body.destroy()
  throw unavailable(`answered the unpaid request with status ${status}`, undefined)
}

function unavailable(what: string, cause: unknown): TollwayError {
  return new TollwayError({
    code: 'seller_unavailable',
    message: `The seller or upstream of this route ${what}; nothing was paid.`,
    cause,
  })
}

function privateSeller(url: string, cause: unknown): TollwayError {
  return new TollwayError({
    code: 'host_not_allowed',
    message: `${new URL(url).host} is not on the public internet, and policy.block_private_networks is on; nothing was sent.`,
    advice: ['Correct api_base, or turn block_private_networks off to pay sellers on your own network.'],
    cause,
  })
}
