/**
 * `budgets[].when_exhausted`: the model that the operator wants asked where a budget has no room. A rule of routing and no
 * fallback: it is off unless written, never leads to a payer (rule 7), and what it leads to has budgets of its own.
 */
import { BudgetExhaustedError } from '../budget/budget-exhausted.ts'
import { spentOf, type Exchange } from './exchange.ts'
import type { Candidate } from '../routing/route.ts'

/**
 * The candidates that take a refused request over; none where the refusal stands. At most once per request.
 * @param error what refused it
 */
export function takeOver(exchange: Exchange, error: unknown): readonly Candidate[] {
  const { routing } = exchange
  if (!(error instanceof BudgetExhaustedError) || error.routeTo === undefined) return []
  // After a payment that was sent nothing may follow that answers in its place.
  if (routing.exhausted !== undefined || spentOf(exchange) !== 'no' || exchange.payment.isDryRun) return []
  const found = (routing.candidatesOf?.(error.routeTo) ?? []).filter(({ route }) => route.payer === undefined)
  if (found.length === 0) return []
  routing.exhausted = { budget: error.budget, routeTo: error.routeTo }
  exchange.record.details['when_exhausted'] = `${error.budget} -> ${error.routeTo}`
  return found
}
