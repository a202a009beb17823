/** Sends that carry no payment: they end when the client leaves, and may be repeated. */
import { classifyAnswer, isTemporary } from '../core/routing/answer-class.ts'
import { TollwayError } from '../core/errors.ts'
import type { Exchange } from '../core/request/exchange.ts'
import { readRetryAfter } from '../core/routing/retry.ts'
import type { Candidate } from '../core/routing/route.ts'
import type { Timers } from '../core/timers.ts'
import { UpstreamError, type IncomingReply, type OutgoingRequest } from '../io/transport/upstream.ts'
import { ClientLeftError } from './payment-context.ts'
import type { PaymentContext } from './payment-context.ts'
import { awaited } from './timing.ts'

/** What {@link askUnpaid} works with. */
export type SendContext = Pick<PaymentContext, 'upstream' | 'clock' | 'timers'>

/**
 * Sends a request that carries no payment, again where the route allows it and the other side could not serve. A timeout is not
 * repeated: the client has waited long enough, and the upstream may still be busy with the first.
 * @param leaving aborted when the client is gone
 * @throws ClientLeftError
 * @throws TollwayError `seller_unavailable` with the detail `reason`, `host_not_allowed`
 */
export async function askUnpaid(
  parts: SendContext,
  exchange: Exchange,
  candidate: Candidate,
  request: OutgoingRequest,
  leaving: AbortSignal,
): Promise<IncomingReply> {
  const { attempts: routing } = exchange.routing
  const most = routing?.retries(candidate) ?? 0
  for (let attempt = 1; ; attempt++) {
    const result = await awaited(exchange, askOnce(parts, request, leaving)).catch((error: unknown) => {
      if (error instanceof TollwayError && isRepeatable(error)) return error
      throw error
    })
    const failed = result instanceof TollwayError
    if (!failed && !isTemporary(result.status)) return result
    const asked = failed ? undefined : askedPause(result, parts.clock.now())
    const pause = attempt <= most ? routing?.retryDelay(attempt, asked) : undefined
    if (pause === undefined) {
      if (failed) throw result
      return result
    }
    if (!failed) result.body.destroy()
    routing?.repeated(candidate, failed ? String(result.details['reason']) : `status_${result.status}`)
    // The seller asked for it, or is given it: no share of ours.
    await awaited(exchange, wait(parts.timers, pause, leaving))
  }
}

async function askOnce(
  parts: SendContext,
  request: OutgoingRequest,
  leaving: AbortSignal,
): Promise<IncomingReply> {
  try {
    return await parts.upstream.send({ ...request, signal: leaving })
  } catch (cause) {
    if (leaving.aborted) throw new ClientLeftError()
    const reason = cause instanceof UpstreamError ? cause.reason : 'unknown'
    if (reason === 'private') throw privateSeller(request.url, cause)
    throw sellerUnavailable(`did not answer (${reason})`, reason, cause)
  }
}

/** The pause that an answer asks for, milliseconds. */
export function askedPause({ headers }: Pick<IncomingReply, 'headers'>, now: number): number | undefined {
  return readRetryAfter((name) => {
    const value = headers[name]
    return typeof value === 'string' ? value : value?.[0]
  }, now)
}

/** `seller_unavailable`. @param reason a word for metrics and the audit record */
export function sellerUnavailable(what: string, reason: string, cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'seller_unavailable',
    message: `The seller or upstream of this route ${what}; nothing was paid.`,
    details: { reason },
    cause,
  })
}

/** Whether an unpaid upstream's answer sends the request to the next candidate. */
export function classOf({ status }: Pick<IncomingReply, 'status'>, { route }: Candidate, words?: Uint8Array) {
  return classifyAnswer(status, route.apiKey !== undefined, words)
}

function isRepeatable({ code, details }: TollwayError): boolean {
  return code === 'seller_unavailable' && details['reason'] !== 'timeout'
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
    advice: ['Correct api_base, or turn block_private_networks off to pay sellers on your own network.'],
    cause,
  })
}
