import type { BudgetRule } from '../../core/budget/budget.ts'
import { callerRules, withCallerRules } from '../../core/budget/caller-budgets.ts'
import { budgetsOfKey, readCallerKeys } from '../../io/callers/caller-keys.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/**
 * The budgets in force: those of the configuration, and those of keys made by `tollway keys add --budget-usd`.
 * @throws ConfigError for a keys file that cannot be read
 */
export function currentBudgets({
  budgets,
  keys,
}: Pick<ResolvedConfig, 'budgets' | 'keys'>): readonly BudgetRule[] {
  if (!keys) return budgets
  const callers = readCallerKeys(keys.path).map((key) => ({ id: key.id, budgets: budgetsOfKey(key) }))
  return withCallerRules(budgets, callerRules(callers))
}
