import { REQUESTS, TOKENS, type BudgetAsset, type BudgetRule } from '../../../core/budget/budget.ts'
import { budgetMatch } from '../../../core/budget/budget-match.ts'
import { callerRules } from '../../../core/budget/caller-budgets.ts'
import { DEFAULT_SUBJECT, type SubjectLimit } from '../../../core/budget/subject-limits.ts'
import type { Asset } from '../../../core/money/assets.ts'
import type { CheckedConfig } from '../schema/schema.ts'

type CheckedBudget = CheckedConfig['budgets'][number]

/** The budgets of the file, and those that its callers have of their own. */
export function resolveBudgets(
  { budgets, callers }: Pick<CheckedConfig, 'budgets' | 'callers'>,
  assets: readonly Asset[],
): BudgetRule[] {
  return [
    ...budgets.map((budget) => resolveBudget(budget, assets)),
    ...callerRules(callers.map(({ id, budget_usd: own }) => ({ id, budgets: own }))),
  ]
}

function resolveBudget(budget: CheckedBudget, assets: readonly Asset[]): BudgetRule {
  const { name, window, timezone, per, soft_usd: soft, match } = budget
  const limits = subjectLimits(budget)
  const others = budget.limits?.[DEFAULT_SUBJECT] ?? wholeLimit(budget)
  const highest = limits.reduce((most, { limit }) => (limit > most ? limit : most), 0n)
  return {
    name,
    limit: others ?? highest,
    ...window,
    timezone,
    per,
    asset: unitOf(budget, assets),
    soft,
    enforce: budget.enforce,
    ...(budget.when_exhausted === undefined ? {} : { routeTo: budget.when_exhausted.route_to }),
    ...(budget.alert === undefined ? {} : { alert: budget.alert }),
    ...(limits.length === 0 ? {} : { limits, namedOnly: others === undefined }),
    ...(match === undefined ? {} : { match: budgetMatch(match) }),
  }
}

function subjectLimits({ limits = {} }: CheckedBudget): SubjectLimit[] {
  return Object.entries(limits).flatMap(([subject, limit]) =>
    subject === DEFAULT_SUBJECT ? [] : [{ subject, limit }],
  )
}

function wholeLimit(budget: CheckedBudget): bigint | undefined {
  const { limit_usd: usd, limit: atomic, limit_tokens: tokens, limit_requests: requests } = budget
  const count = tokens ?? requests
  return usd ?? atomic ?? (count === undefined ? undefined : BigInt(count))
}

function unitOf(budget: CheckedBudget, assets: readonly Asset[]): BudgetAsset | undefined {
  if (budget.limit_tokens !== undefined) return TOKENS
  if (budget.limit_requests !== undefined) return REQUESTS
  const found = assets.find((asset) => asset.symbol === budget.asset)
  return found && { symbol: found.symbol, decimals: found.decimals }
}
