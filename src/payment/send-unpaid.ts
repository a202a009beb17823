/** Sends that carry no payment: they end when the client leaves, and may be repeated. */
import { classifyAnswer, isTemporary } from '../core/routing/answer-class.ts'
import { TollwayError, type TollwayErrorParameters } from '../core/errors.ts'
import { readRetryAfter } from '../core/routing/retry.ts'
import type { Candidate } from '../core/routing/route.ts'
import type { Timers } from '../core/timers.ts'
import { type IncomingReply, type OutgoingRequest, type Upstream } from '../io/transport/upstream.ts'
import { UpstreamError } from '../io/transport/upstream-error.ts'
import { ClientLeftError } from './payment-context.ts'
import type { CandidateCall, PaymentContext } from './payment-context.ts'
import { awaited } from './timing.ts'

/** The part of the context that {@link sendUnpaid} needs. */
export type SendContext = Pick<PaymentContext, 'upstream' | 'clock' | 'timers'>

/** A call of which nothing is paid yet. */
export type UnpaidCall = Pick<CandidateCall, 'exchange' | 'candidate' | 'leaving'> & {
  readonly context: SendContext
}

/**
 * Sends a request that carries no payment, and again where the route allows retries and the other side could not serve.
 * A timeout is not repeated: the client has waited long enough, and the upstream may still be working on the first send.
 * @param isBilled one send is reserved for: after a lost answer the upstream may bill it, and a second one would be billed too
 * @throws ClientLeftError
 * @throws SellerUnavailableError when no answer came
 * @throws TollwayError `host_not_allowed` for a private address where policy blocks those
 */
export async function sendUnpaid(
  call: UnpaidCall,
  request: OutgoingRequest,
  isBilled = false,
): Promise<IncomingReply> {
  const { context, exchange, candidate, leaving } = call
  const { attempts } = exchange.routing
  const most = attempts?.retries(candidate) ?? 0
  for (let attempt = 1; ; attempt++) {
    const sending = attempt === 1 ? sendQuestion(call, request) : sendOnce(call, request)
    const result = await awaited(exchange, sending).catch((error: unknown) => {
      if (error instanceof SellerUnavailableError && error.reason !== 'timeout') return error
      throw error
    })
    const failed = result instanceof SellerUnavailableError
    if (!failed && !isTemporary(result.status)) return result
    if (failed && isBilled && result.reason !== 'connect') throw result
    const asked = failed ? undefined : askedPause(result, context.clock.now())
    const pause = attempt <= most ? attempts?.retryDelay(attempt, asked) : undefined
    if (pause === undefined) {
      if (failed) throw result
      return result
    }
    if (!failed) result.body.destroy()
    attempts?.repeated(candidate, failed ? result.reason : `status_${result.status}`)
    // The seller asked for this pause, or needs it: it does not count as Tollway's own time.
    await awaited(exchange, wait(context.timers, pause, leaving))
  }
}

/**
 * The question to a paid seller that was cut off before an answer is repeated once, on a fresh connection: a kept one may be one
 * that the seller is closing. Nothing was paid. An upstream with our key may have begun to work, and is not asked again.
 */
async function sendQuestion(call: UnpaidCall, request: OutgoingRequest): Promise<IncomingReply> {
  const { exchange, candidate } = call
  try {
    return await sendOnce(call, request)
  } catch (error) {
    const isCut = error instanceof SellerUnavailableError && error.reason === 'reset'
    if (!isCut || candidate.route.payer === undefined) throw error
    exchange.routing.attempts?.repeated(candidate, error.reason)
    return await sendOnce(call, { ...request, onFreshConnection: true })
  }
}

async function sendOnce(
  { context, leaving }: Pick<UnpaidCall, 'context' | 'leaving'>,
  request: OutgoingRequest,
): Promise<IncomingReply> {
  try {
    return await context.upstream.send({ ...request, signal: leaving })
  } catch (cause) {
    if (leaving.aborted) throw new ClientLeftError()
    throw noAnswer(request, cause)
  }
}

/**
 * A question of our own, which no client waits for.
 * @throws UpstreamError
 */
export async function askOnce(
  upstream: Pick<Upstream, 'send'>,
  request: OutgoingRequest,
): Promise<IncomingReply> {
  return await upstream.send(request)
}

/** The error for a request that nothing was paid for: it carried no payment, or never left. */
export function noAnswer({ url }: OutgoingRequest, cause: unknown): TollwayError {
  const reason = cause instanceof UpstreamError ? cause.reason : 'unknown'
  if (reason === 'private') return privateSeller(url, cause)
  const what = reason === 'connect' ? 'could not be connected to' : `did not answer (${reason})`
  // For the log and the audit record: a client is not told which hosts are behind a route.
  const errno = errnoOf(cause)
  const details = { host: new URL(url).host, ...(errno === undefined ? {} : { errno }) }
  return new SellerUnavailableError(what, reason, cause, { details })
}

/** The system's code for a failed connection, such as `ECONNREFUSED`, from the error or what caused it. */
function errnoOf(error: unknown): string | undefined {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (at instanceof AggregateError) return errnoOf(at.errors[0])
    if ('code' in at && typeof at.code === 'string' && /^E[A-Z0-9_]+$/.test(at.code)) return at.code
  }
  return undefined
}

/** The pause that an answer asks for, milliseconds. */
export function askedPause({ headers }: Pick<IncomingReply, 'headers'>, now: number): number | undefined {
  return readRetryAfter((name) => {
    const value = headers[name]
    return typeof value === 'string' ? value : value?.[0]
  }, now)
}

/** `seller_unavailable`: the other side of an unpaid send could not serve. */
export class SellerUnavailableError extends TollwayError {
  /** One word for metrics and the audit record, e.g. `timeout` or `status_502`. */
  readonly reason: string

  /**
   * @param what what the seller or upstream did, e.g. "answered with status 502"
   * @param more what helps, where waiting does not
   */
  constructor(
    what: string,
    reason: string,
    cause?: unknown,
    more: Pick<TollwayErrorParameters, 'advice' | 'details' | 'headers' | 'seller' | 'waitHelps'> = {},
  ) {
    super({
      ...more,
      code: 'seller_unavailable',
      message: `The seller or upstream of this route ${what}; nothing was paid.`,
      details: { ...more.details, reason },
      cause,
    })
    this.reason = reason
  }
}

/** Whether an unpaid upstream's answer sends the request to the next candidate. */
export function classOf({ status }: Pick<IncomingReply, 'status'>, { route }: Candidate, body?: Uint8Array) {
  return classifyAnswer(status, route.apiKey !== undefined, body)
}

async function wait(timers: Timers, ms: number, leaving: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = timers.after(ms, done)
    function done(): void {
      cancel()
      leaving.removeEventListener('abort', done)
      resolve()
    }
    leaving.addEventListener('abort', done)
    if (leaving.aborted) done()
  })
  if (leaving.aborted) throw new ClientLeftError()
}

function privateSeller(url: string, cause: unknown): TollwayError {
  return new TollwayError({
    code: 'host_not_allowed',
    message: `${new URL(url).host} is not on the public internet, and policy.block_private_networks is on; nothing was sent.`,
    advice: [
      'Correct api_base, or write policy: { block_private_networks: false } to pay sellers on your own network.',
    ],
    cause,
  })
}
