/** How a request ended, when no part has said so itself. */
import { ERROR_TABLE } from '../error-table.ts'
import type { RequestOutcome } from '../telemetry/events.ts'
import type { Exchange } from './exchange.ts'
import { spentOf } from './exchange.ts'

/**
 * Money first: an answer that is an error is `uncertain` as soon as money moved or may have. Without money, our own
 * 4xx are refusals and everything else that is not an answer is a failure.
 * @param status the status sent, 499 when the client left before one was
 */
export function outcomeOf(exchange: Exchange, status: number): RequestOutcome {
  if (exchange.record.outcome !== undefined) return exchange.record.outcome
  const spent = spentOf(exchange)
  if (spent === 'unknown') return 'uncertain'
  if (spent === 'yes') return status < 400 ? 'paid' : 'uncertain'
  if (status < 400) return 'free'
  const { code } = exchange.record
  if (code === undefined || code === 'seller_error' || ERROR_TABLE[code].status >= 500) return 'failed'
  return 'refused'
}
