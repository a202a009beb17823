/** Requests a price from a seller without paying. */
import { randomUUID } from 'node:crypto'
import { sendUnpaid } from '../../payment/send-unpaid.ts'
import { newExchange, type Exchange } from '../../core/request/exchange.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Candidate } from '../../core/routing/route.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import type { IncomingReply, OutgoingRequest } from '../../io/transport/upstream.ts'
import type { BuyingContext } from './buying-context.ts'
import { isRefusal, mayBeEdge, refusedQuestion } from '../../payment/refused-question.ts'
import { readChallenge } from '../../payment/read-challenge.ts'

/** Longest wait for a price, milliseconds. */
export const PRICE_MS = 15_000

/** How the ledger and the audit file identify a request of a command. */
export interface CommandRequest {
  readonly exchange: Exchange
  readonly candidate: Candidate
}

/** Creates the exchange for a request made by a command; its caller is `cli` unless another is named. */
export function commandRequest(
  now: number,
  names: {
    readonly route: string
    readonly payer: string
    readonly apiBase: string
    readonly endpoint: string
    readonly model: string
    readonly caller?: string | undefined
  },
): CommandRequest {
  const { route: modelName, payer, apiBase, endpoint, model, caller = 'cli' } = names
  const route = { modelName, model: undefined, apiBase, payer, apiKey: undefined, order: 0 }
  const candidate = { route, remoteModel: model }
  const exchange = newExchange({ id: `req_${randomUUID()}`, startedAt: now, begunAt: performance.now() })
  exchange.endpoint = endpoint
  exchange.caller.id = caller
  exchange.request.model = model
  Object.assign(exchange.routing, { route: modelName, payer, candidates: [candidate], candidate })
  return { exchange, candidate }
}

/** The request that asks for the price of a model. */
export function priceQuestion(url: string, model: string): OutgoingRequest {
  return {
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...OWN_HEADERS },
    body: Buffer.from(
      JSON.stringify({ model, messages: [{ role: 'user', content: 'ping' }], max_tokens: 1 }),
    ),
    toSeller: true,
    timeouts: { firstByteMs: PRICE_MS, totalMs: PRICE_MS },
  }
}

/** Headers of every request made by a command. */
export const OWN_HEADERS = { 'user-agent': 'tollway', 'accept-encoding': 'identity' } as const

/** The headers of a command's request for a payer: with its own User-Agent, where it has one. */
export function headersOf(
  { userAgents }: Pick<BuyingContext['config'], 'userAgents'>,
  payer: string,
): Readonly<Record<string, string>> {
  const agent = userAgents?.get(payer)
  return agent === undefined ? OWN_HEADERS : { ...OWN_HEADERS, 'user-agent': agent }
}

/**
 * Sends a request without payment.
 * @throws TollwayError `seller_unavailable`, `host_not_allowed`
 */
export async function askSeller(
  context: Pick<BuyingContext, 'upstream' | 'clock' | 'timers'>,
  { exchange, candidate }: CommandRequest,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<IncomingReply> {
  return await sendUnpaid({ context, exchange, candidate, leaving: signal }, request)
}

/**
 * Asks for the price of a model.
 * @throws TollwayError `seller_unavailable`, `host_not_allowed`, and the errors of an unreadable 402
 */
export async function askPrice(
  context: Pick<BuyingContext, 'upstream' | 'clock' | 'timers'>,
  asked: CommandRequest,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<Challenge> {
  const reply = await askSeller(context, asked, request, signal)
  if (reply.status !== 402) {
    const { url } = request
    const refused =
      isRefusal(reply.status) || mayBeEdge(reply)
        ? await refusedQuestion(reply, url, { name: 'the endpoint' })
        : undefined
    reply.body.destroy()
    throw refused ?? notForSale(url, reply.status)
  }
  return await readChallenge(reply, PRICE_MS)
}

function notForSale(url: string, status: number): TollwayError {
  const { origin, pathname } = new URL(url)
  return new TollwayError({
    code: 'seller_unavailable',
    message: `${origin}${pathname} returned ${status} instead of a price (402); nothing was paid.`,
    advice: ['Check the address with `tollway probe`, which shows what a seller charges.'],
    details: { status },
  })
}
