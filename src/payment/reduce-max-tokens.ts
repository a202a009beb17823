/** Asks a seller once more with fewer answer tokens, where the route allows it and the quote was above the ceiling. */
import { parseTokenUsd } from '../core/routing/catalogue.ts'
import { TollwayError } from '../core/errors.ts'
import type { Exchange } from '../core/request/exchange.ts'
import { reduceMaxTokens } from '../core/routing/max-tokens.ts'
import { parseUsd } from '../core/money/money.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import type { CandidateCall } from './payment-context.ts'

/**
 * The request to try instead of one that failed with this error. The reduction is kept for the client's header and the audit
 * record.
 * @returns `undefined` when nothing should be tried: another failure, a route without `reduce_max_tokens`, a body without a
 * limit, or a limit that would be too low
 */
export function reducedRequest(
  { context, exchange, candidate }: Pick<CandidateCall, 'context' | 'exchange' | 'candidate'>,
  request: OutgoingRequest,
  error: unknown,
): OutgoingRequest | undefined {
  const { route } = candidate
  const lowest = route.reduceMaxTokens
  // Refused at the gate, before anything was reserved: nothing was signed for it.
  if (!(error instanceof TollwayError) || error.code !== 'price_above_limit' || exchange.payment.charge)
    return undefined
  const asked = parseUsd(error.details['asked_usd'])
  const limit = context.policy.maxMicroUsd
  if (limit === 'none' || lowest === undefined || asked === undefined || !request.body) return undefined
  const perTokenUsd = route.info?.outputUsdPerToken ?? context.catalogue?.find(candidate)?.outputUsdPerToken
  const reduced = reduceMaxTokens(request.body, {
    asked,
    limit,
    perToken: perTokenUsd === undefined ? undefined : parseTokenUsd(perTokenUsd),
    lowest,
  })
  if (!reduced) return undefined
  exchange.record.details['asked_max_tokens'] = reduced.from
  exchange.record.details['reduced_max_tokens'] = reduced.to
  exchange.payment.reducedMaxTokens = reduced.to
  for (const observer of context.observers) {
    observer({ type: 'tokens_reduced', seller: new URL(route.apiBase).origin, route: route.modelName })
  }
  return { ...request, body: reduced.body }
}

/** The smaller request failed too: the answer, if another seller gives one, is not cut. The record keeps what was tried. */
export function forgetReduction(exchange: Exchange): void {
  const { details } = exchange.record
  const tried = exchange.payment.reducedMaxTokens
  if (tried === undefined) return
  exchange.payment.reducedMaxTokens = undefined
  delete details['reduced_max_tokens']
  details['tried_max_tokens'] = tried
}
