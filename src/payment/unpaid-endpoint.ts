/** Requests at endpoints that a paid route does not pay for: they go to the seller without a payment, or are answered here. */
import { Readable } from 'node:stream'
import { TollwayError } from '../core/errors.ts'
import { estimateTokens } from '../core/request/estimate-tokens.ts'
import type { Exchange } from '../core/request/exchange.ts'
import { COUNTING_ENDPOINTS } from '../core/routing/paid-endpoints.ts'
import type { IncomingReply } from '../io/transport/upstream.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import { sendUnpaid, SellerUnavailableError } from './send-unpaid.ts'
import type { CandidateCall } from './payment-context.ts'

/**
 * Asks the seller without a payment. Where it asks for one, or does not count, a count is estimated here.
 * @throws TollwayError `endpoint_not_paid` where the seller asks for a payment for anything else
 */
export async function askWithoutPaying(
  call: CandidateCall,
  request: OutgoingRequest,
): Promise<IncomingReply> {
  const { exchange } = call
  const isCounting = COUNTING_ENDPOINTS.has(exchange.endpoint) && exchange.request.body !== undefined
  try {
    const answer = await sendUnpaid(call, request)
    if (answer.status < 300 || (answer.status !== 402 && !isCounting)) return answer
    answer.body.destroy()
  } catch (error) {
    if (!isCounting || !(error instanceof SellerUnavailableError)) throw error
  }
  if (isCounting) return estimate(exchange)
  throw new TollwayError({
    code: 'endpoint_not_paid',
    message: `The seller asks for a payment at ${exchange.request.direct ? 'this path' : exchange.endpoint}, and the route does not pay for it; nothing was paid.`,
    advice: [fixOf(call)],
  })
}

function fixOf({ exchange: { endpoint, request }, candidate }: CandidateCall): string {
  const { paidEndpoints = [] } = candidate.route
  // A client that names the seller's address itself reads a list of models there, which is never paid for.
  if (request.direct && !COUNTING_ENDPOINTS.has(endpoint)) return 'Read the list of models of the gateway.'
  return `If you mean to pay for it, write on the route: paid_endpoints: [${[...paidEndpoints, endpoint].join(', ')}].`
}

/** In the shape of the API that was asked. */
function estimate(exchange: Exchange): IncomingReply {
  const tokens = estimateTokens(JSON.parse(exchange.request.body?.toString('utf8') ?? '{}'))
  const answer = exchange.endpoint.startsWith('/responses/')
    ? { object: 'response.input_tokens', input_tokens: tokens }
    : { input_tokens: tokens }
  exchange.record.details['estimated_tokens'] = tokens
  return {
    status: 200,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: Readable.from([Buffer.from(JSON.stringify(answer))]),
  }
}
