/**
 * What BlockRun says about a paid answer in headers of its own. Hints for people: a header is no proof that nothing was
 * taken, so the payment stays counted until the chain says otherwise (rule 4).
 */
import type { Exchange } from '../core/request/exchange.ts'
import { printable } from '../core/printable.ts'

const HINTS: readonly (readonly [string, string])[] = [
  ['x-fallback-used', 'seller_fallback'],
  ['x-fallback-model', 'seller_fallback_model'],
  ['x-settlement-skipped', 'seller_settlement_skipped'],
]

/** Longest text that is kept of a hint. */
const MAX_LENGTH = 100

/** Puts the hints of an answer into the audit record. */
export function noteHints(exchange: Exchange, header: (name: string) => string | undefined): void {
  for (const [name, detail] of HINTS) {
    const value = header(name)
    if (value !== undefined) exchange.record.details[detail] = printable(value, MAX_LENGTH)
  }
}
