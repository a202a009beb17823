/** Sends to an upstream that bills by tokens, or that budgets count: reserved before the send, settled by the usage of the answer. */
import { TollwayError } from '../core/errors.ts'
import { isPriced } from '../core/metering/token-prices.ts'
import type { MeteredHold } from '../core/request/exchange.ts'
import type { ModelInfo } from '../core/routing/route.ts'
import { authorizeMetered } from '../io/ledger/authorize-metered.ts'
import type { IncomingReply, OutgoingRequest } from '../io/transport/upstream.ts'
import { meteredApproval } from './ask-first.ts'
import type { CandidateCall } from './payment-context.ts'
import { ClientLeftError } from './payment-context.ts'
import { SellerUnavailableError, sendUnpaid } from './send-unpaid.ts'

/**
 * As {@link sendUnpaid}, within the budgets. A failure that no upstream bills gives the reservation back; where the upstream may
 * have begun to work, it counts in full.
 * @throws TollwayError `budget_exhausted`, `approval_refused`, `store_unavailable`, `audit_unavailable`: nothing was sent
 */
export async function sendMetered(call: CandidateCall, request: OutgoingRequest): Promise<IncomingReply> {
  const { exchange, candidate, context, leaving } = call
  const { ledger } = context
  exchange.payment.metered = undefined
  const body = request.body === exchange.request.encoded ? exchange.request.body : request.body
  const hold = await exchange.payment.guard?.meter?.(candidate, body, pricesOf(call), meteredApproval(call))
  if (!hold) return await sendUnpaid(call, request)
  const charge = await authorizeMetered(ledger, hold.charge)
  try {
    const answer = await sendUnpaid(call, toSend(request, hold), true)
    const isAnswer = answer.status >= 200 && answer.status < 300
    if (isAnswer && !leaving.aborted) {
      exchange.payment.metered = { ...hold, charge }
      await hold.answered?.()
    } else if (isAnswer) await ledger.settle(charge, 'assumed', undefined)
    else await ledger.release(charge, `status_${answer.status}`)
    return answer
  } catch (error) {
    if (mayBeBilled(error)) await ledger.settle(charge, 'assumed', undefined)
    else await ledger.release(charge, error instanceof TollwayError ? error.code : 'internal_error')
    throw error
  }
}

/** The prices of the route, or else those that the upstream lists. */
function pricesOf({ context, candidate }: CandidateCall): ModelInfo | undefined {
  const { info, catalogue } = candidate.route
  if (isPriced(info) || catalogue !== true) return info
  const listed = context.catalogue?.find(candidate)
  return listed && { ...listed, ...defined(info) }
}

function defined(info: ModelInfo | undefined): ModelInfo {
  return Object.fromEntries(Object.entries(info ?? {}).filter(([, value]) => value !== undefined))
}

/** As it fits the budgets, and with an answer whose usage can be read and given a cost. */
function toSend(request: OutgoingRequest, { reduced, charge }: MeteredHold): OutgoingRequest {
  const body = reduced ?? request.body
  if (charge.microUsd === undefined) return { ...request, body }
  return { ...request, body, headers: { ...request.headers, 'accept-encoding': 'identity' } }
}

/** Whether the upstream may have had the request. */
function mayBeBilled(error: unknown): boolean {
  if (error instanceof ClientLeftError) return true
  return error instanceof SellerUnavailableError && error.reason !== 'connect'
}
