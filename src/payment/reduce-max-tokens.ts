/** Asks a seller once more with fewer answer tokens, where the route allows it and the quote was above the ceiling. */
import { parseTokenUsd } from '../core/routing/catalogue.ts'
import { TollwayError } from '../core/errors.ts'
import type { Exchange } from '../core/request/exchange.ts'
import { reduceMaxTokens } from '../core/routing/max-tokens.ts'
import { parseUsd } from '../core/money/money.ts'
import type { Candidate } from '../core/routing/route.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import type { PaymentContext } from './payment-context.ts'

/**
 * The request to try instead of one that failed with this error. What was done is noted for the client's header and the audit
 * record.
 * @returns `undefined` where nothing is to be tried: another failure, a route without `reduce_max_tokens`, a body without a
 * limit, or one that would be too low
 */
export function reducedRequest(
  parts: PaymentContext,
  exchange: Exchange,
  candidate: Candidate,
  request: OutgoingRequest,
  error: unknown,
): OutgoingRequest | undefined {
  const { route } = candidate
  const lowest = route.reduceMaxTokens
  // Refused at the gate, before anything was reserved: nothing was signed for it.
  if (!(error instanceof TollwayError) || error.code !== 'price_above_limit' || exchange.payment.charge)
    return undefined
  const asked = parseUsd(error.details['asked_usd'])
  const limit = parts.policy.maxMicroUsd
  if (limit === 'none' || lowest === undefined || asked === undefined || !request.body) return undefined
  const perTokenUsd = route.info?.outputUsdPerToken ?? parts.catalogue?.find(candidate)?.outputUsdPerToken
  const reduced = reduceMaxTokens(request.body, {
    asked,
    limit,
    perToken: perTokenUsd === undefined ? undefined : parseTokenUsd(perTokenUsd),
    lowest,
  })
  if (!reduced) return undefined
  exchange.record.details['asked_max_tokens'] = reduced.from
  exchange.record.details['reduced_max_tokens'] = reduced.to
  for (const observer of parts.observers) {
    observer({ type: 'tokens_reduced', seller: new URL(route.apiBase).origin, route: route.modelName })
  }
  return { ...request, body: reduced.body }
}

/** The smaller request failed too: the answer, if another seller gives one, is not cut. The record keeps what was tried. */
export function forgetReduction(exchange: Exchange): void {
  const { details } = exchange.record
  const tried = details['reduced_max_tokens']
  if (tried === undefined) return
  delete details['reduced_max_tokens']
  details['tried_max_tokens'] = tried
}
