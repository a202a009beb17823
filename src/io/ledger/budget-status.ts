/** Reads what budgets hold now, and describes claims for audit records and refusals. */
import {
  claimOn,
  ALL_SUBJECTS,
  needsUsd,
  NO_TOTALS,
  type BudgetRule,
  type Claim,
  type Totals,
} from '../../core/budget/budget.ts'
import { matchesBudget } from '../../core/budget/budget-match.ts'
import { isMetered } from '../../core/charge/metered.ts'
import { TollwayError } from '../../core/errors.ts'
import { formatUsd } from '../../core/money/money.ts'
import { formatWindow } from '../../core/budget/window.ts'
import type { ReserveTerms } from './ledger-context.ts'
import type { BudgetStore } from '../store/contracts/budgets.ts'

/** A budget and what its current window holds for one subject. */
export interface BudgetStatus {
  readonly rule: BudgetRule
  /** A claim of amount 0: names the budget, subject and window. */
  readonly claim: Claim
  readonly totals: Totals
}

/** The budgets in their order. A budget with a scope yields every subject that has something counted in the current window. */
export async function readBudgets(
  store: Pick<BudgetStore, 'totals' | 'subjects'>,
  rules: readonly BudgetRule[],
  now: number,
): Promise<BudgetStatus[]> {
  const statuses = await Promise.all(
    rules.map(async (rule) => {
      const whole = claimOn(rule, ALL_SUBJECTS, 0n, now)
      if (rule.per === undefined) {
        const [totals = NO_TOTALS] = await store.totals([whole])
        return [{ rule, claim: whole, totals }]
      }
      const subjects = await store.subjects(whole)
      return subjects.map(({ subject, totals }) => ({ rule, claim: claimOn(rule, subject, 0n, now), totals }))
    }),
  )
  return statuses.flat()
}

/** A claim and the sums of its window, for audit records and refusals. Money is a string: USD, or smallest units of the asset. */
export function claimFacts(claim: Claim, totals: Totals): Record<string, string> {
  const { budget, per, subject, asset } = claim
  const pending = totals.held + totals.authorized + totals.uncertain
  const amounts = { wanted: claim.amount, limit: claim.limit, spent: totals.spent, pending }
  return {
    budget,
    ...(per === undefined ? {} : { per, subject }),
    window: formatWindow(claim),
    ...(asset === undefined ? {} : { asset: asset.symbol }),
    ...Object.fromEntries(
      Object.entries(amounts).map(([name, amount]) =>
        asset === undefined ? [`${name}_usd`, formatUsd(amount)] : [name, amount.toString()],
      ),
    ),
  }
}

/**
 * Refuses an asset that has no USD price while a budget in USD applies. A call without a payment has no asset: without a price it
 * counts in budgets of tokens and requests alone.
 * @throws TollwayError `unpriced_asset`
 */
export function refuseUnpriced(terms: ReserveTerms, rules: readonly BudgetRule[]): void {
  if (terms.microUsd !== undefined || isMetered(terms)) return
  const facts = { ...terms, tags: terms.tags ?? [] }
  if (!rules.some((rule) => needsUsd(rule) && matchesBudget(rule.match, facts))) return
  throw new TollwayError({
    code: 'unpriced_asset',
    message: `${terms.symbol} on ${terms.network} has no USD price, but a budget in USD applies. Nothing was paid.`,
    advice: ['Set usd for this asset under assets.'],
  })
}
