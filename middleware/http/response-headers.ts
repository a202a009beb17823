/** The headers that Tollway adds to its answers. */
import type { ServerResponse } from 'node:http'
import { costOf, type Exchange, keyedCostOf, spentOf } from '../../src/core/request/exchange.ts'
import { formatUsd } from '../../src/core/money/money.ts'
import { printable } from '../../src/core/printable.ts'

/**
 * Sets `x-request-id` and `x-tollway-spent`, `x-tollway-max-tokens` if the request was sent with a lower token
 * limit, the cost of a call that an upstream bills to a key, and the charge headers if money moved or may have moved. A later call overwrites the headers, so they
 * report the last state known before the first byte.
 */
export function setResponseHeaders(res: ServerResponse, exchange: Exchange): void {
  const spent = spentOf(exchange)
  res.setHeader('x-request-id', exchange.id)
  res.setHeader('x-tollway-spent', spent)
  // No client should mistake such an answer for a completion.
  if (exchange.payment.isDryRun) res.setHeader('x-tollway-dry-run', 'true')
  const { charge, reducedMaxTokens, signIn, evidence } = exchange.payment
  if (signIn !== undefined) res.setHeader('x-tollway-sign-in', signIn)
  if (reducedMaxTokens !== undefined) res.setHeader('x-tollway-max-tokens', String(reducedMaxTokens))
  const { exhausted } = exchange.routing
  if (exhausted)
    res.setHeader('x-tollway-exhausted', `${exhausted.budget}; route_to=${printable(exhausted.routeTo)}`)
  const keyed = keyedCostOf(exchange)
  if (keyed) {
    res.setHeader('x-tollway-cost-usd', formatUsd(keyed.microUsd))
    res.setHeader('x-tollway-cost-basis', keyed.isExact ? 'exact' : 'maximum')
    // Whoever adds these up must not book the most that a stream may cost.
    if (keyed.isExact) res.setHeader('x-litellm-response-cost', formatUsd(keyed.microUsd))
  }
  if (!charge || spent === 'no') return
  const microUsd = costOf(exchange)
  const cost = microUsd === undefined ? undefined : formatUsd(microUsd)
  if (cost !== undefined) {
    res.setHeader('x-tollway-cost-usd', cost)
    res.setHeader('x-litellm-response-cost', cost)
  }
  res.setHeader('x-tollway-charge', charge.id)
  res.setHeader('x-tollway-payer', charge.payer)
  if (evidence !== undefined) res.setHeader('x-tollway-evidence', evidence)
  res.setHeader('x-tollway-model', printable(charge.model))
  if (charge.transaction !== undefined) res.setHeader('x-tollway-transaction', charge.transaction)
}

/** Keeps browsers from guessing the type of a body: text from a seller or a client must not run as a page. */
export function setNoSniff(res: ServerResponse): void {
  res.setHeader('x-content-type-options', 'nosniff')
}

/** Trailers of a stream: values that were not yet known when its headers went out. */
export function trailersOf(exchange: Exchange): Record<string, string> {
  const { charge } = exchange.payment
  const { truncated } = exchange.relay
  const spent = spentOf(exchange)
  const microUsd = spent === 'no' ? keyedCostOf(exchange)?.microUsd : costOf(exchange)
  const cost = microUsd === undefined ? undefined : formatUsd(microUsd)
  return {
    'x-tollway-truncated': String(truncated),
    'x-tollway-spent': spent,
    ...(charge && spent !== 'no' ? { 'x-tollway-charge': charge.id } : {}),
    ...(cost === undefined ? {} : { 'x-tollway-cost-usd': cost }),
  }
}
