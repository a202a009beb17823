/** The headers Tollway puts on its answers. */
import type { ServerResponse } from 'node:http'
import { type Exchange, spentOf } from '../../src/core/request/exchange.ts'
import { formatUsd } from '../../src/core/money/money.ts'
import { printable } from '../../src/core/printable.ts'

/**
 * Sets `x-request-id` and `x-tollway-spent`, `x-tollway-max-tokens` where the request was asked with fewer answer tokens, and the charge headers where money moved or may have. Called again
 * it overwrites, so that the headers tell the last state known before the first byte.
 */
export function setResponseHeaders(res: ServerResponse, exchange: Exchange): void {
  const spent = spentOf(exchange)
  res.setHeader('x-request-id', exchange.id)
  res.setHeader('x-tollway-spent', spent)
  // Nobody may take such an answer for a completion.
  if (exchange.payment.isDryRun) res.setHeader('x-tollway-dry-run', 'true')
  const { charge, reducedMaxTokens } = exchange.payment
  if (reducedMaxTokens !== undefined) res.setHeader('x-tollway-max-tokens', String(reducedMaxTokens))
  if (!charge || spent === 'no') return
  const cost = charge.microUsd === undefined ? undefined : formatUsd(charge.microUsd)
  if (cost !== undefined) {
    res.setHeader('x-tollway-cost-usd', cost)
    res.setHeader('x-litellm-response-cost', cost)
  }
  res.setHeader('x-tollway-charge', charge.id)
  res.setHeader('x-tollway-payer', charge.payer)
  res.setHeader('x-tollway-model', printable(charge.model))
  if (charge.transaction !== undefined) res.setHeader('x-tollway-transaction', charge.transaction)
}

/** Keeps browsers from guessing at the type of a body: what a seller or a client wrote must not run as a page. */
export function setNoSniff(res: ServerResponse): void {
  res.setHeader('x-content-type-options', 'nosniff')
}

/** What is told behind a stream: its headers went out before it was known. */
export function trailersOf(exchange: Exchange): Record<string, string> {
  const { charge } = exchange.payment
  const { truncated } = exchange.relay
  const spent = spentOf(exchange)
  const cost = charge?.microUsd === undefined || spent === 'no' ? undefined : formatUsd(charge.microUsd)
  return {
    'x-tollway-truncated': String(truncated),
    'x-tollway-spent': spent,
    ...(charge && spent !== 'no' ? { 'x-tollway-charge': charge.id } : {}),
    ...(cost === undefined ? {} : { 'x-tollway-cost-usd': cost }),
  }
}
