/** Budgets as JSON, for `GET /api/budgets` and `tollway budgets --json`. */
import { counted, NO_TOTALS, type BudgetRule, type Totals } from '../../core/budget/budget.ts'
import { formatUsd } from '../../core/money/money.ts'
import { formatWindow, windowAt } from '../../core/budget/window.ts'
import type { BudgetStatus } from '../../io/ledger/budget-status.ts'

/**
 * One row per subject that has spending in the current window. A scoped budget without any subject has one row with the
 * subject `null`. Amounts are strings: USD with the suffix `_usd`, or smallest units of the asset without it.
 */
export function budgetsJson(
  rules: readonly BudgetRule[],
  statuses: readonly BudgetStatus[],
  now: number,
): Record<string, unknown>[] {
  return rules.flatMap((rule) => {
    const own = statuses.filter((status) => status.rule === rule)
    if (own.length === 0) return [rowJson({ rule, limit: rule.limit, totals: NO_TOTALS }, null, now)]
    return own.map(({ claim, totals }) => rowJson({ rule, limit: claim.limit, totals }, claim.subject, now))
  })
}

/** What one subject of a budget holds. */
interface Held {
  readonly rule: BudgetRule
  readonly limit: bigint
  readonly totals: Totals
}

function rowJson(
  { rule, limit, totals }: Held,
  subject: string | null,
  now: number,
): Record<string, unknown> {
  const { start, end } = windowAt(rule.window, rule.timezone, now)
  const left = limit - counted(totals)
  const amounts = {
    limit,
    soft: rule.soft,
    spent: totals.spent,
    held: totals.held + totals.authorized,
    uncertain: totals.uncertain,
    remaining: left > 0n ? left : 0n,
  }
  return {
    budget: rule.name,
    per: rule.per ?? null,
    subject,
    window: formatWindow(rule),
    timezone: rule.timezone,
    window_start: new Date(rule.lengthMs === undefined ? start : now - rule.lengthMs).toISOString(),
    window_end: end === undefined ? null : new Date(end).toISOString(),
    enforce: rule.enforce !== false,
    ...(rule.asset === undefined ? {} : { asset: rule.asset.symbol, decimals: rule.asset.decimals }),
    ...Object.fromEntries(
      Object.entries(amounts).map(([name, amount]) => {
        if (rule.asset !== undefined) return [name, amount?.toString() ?? null]
        return [`${name}_usd`, amount === undefined ? null : formatUsd(amount)]
      }),
    ),
  }
}
