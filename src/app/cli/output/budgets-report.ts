/** `tollway budgets` for people: one row per budget and subject. */
import { counted, NO_TOTALS, type BudgetRule, type Totals } from '../../../core/budget/budget.ts'
import { formatInstant, formatMoney } from '../../../core/budget/budget-messages.ts'
import { formatWindow, windowAt } from '../../../core/budget/window.ts'
import type { BudgetStatus } from '../../../io/ledger/budget-status.ts'
import { renderTable } from './table.ts'

const HEADER = ['BUDGET', 'SUBJECT', 'WINDOW', 'LIMIT', 'SPENT', 'HELD', 'UNCERTAIN', 'LEFT', 'RESETS', '']

/** @param now milliseconds since the epoch */
export function renderBudgets(
  rules: readonly BudgetRule[],
  statuses: readonly BudgetStatus[],
  now: number,
): string {
  if (rules.length === 0) {
    return 'No budgets are configured: only policy.max_usd_per_request limits spending.\n'
  }
  const rows = rules.flatMap((rule) => {
    const own = statuses.filter((status) => status.rule === rule)
    if (own.length === 0)
      return [row({ rule, limit: rule.limit, totals: NO_TOTALS }, emptySubject(rule), now)]
    return own.map(({ claim, totals }) => row({ rule, limit: claim.limit, totals }, claim.subject, now))
  })
  return renderTable(HEADER, rows)
}

/** What one subject of a budget holds. */
interface Held {
  readonly rule: BudgetRule
  readonly limit: bigint
  readonly totals: Totals
}

function row({ rule, limit, totals }: Held, subject: string, now: number): string[] {
  const money = (amount: bigint): string => formatMoney(amount, rule.asset)
  const left = limit - counted(totals)
  return [
    rule.name,
    rule.per === undefined ? '-' : subject,
    formatWindow(rule),
    money(limit),
    money(totals.spent),
    money(totals.held + totals.authorized),
    money(totals.uncertain),
    money(left > 0n ? left : 0n),
    resets(rule, now),
    notes(rule, totals),
  ]
}

function emptySubject(rule: BudgetRule): string {
  return rule.window === 'request' ? 'each request' : `(no ${rule.per} yet)`
}

function resets(rule: BudgetRule, now: number): string {
  if (rule.window === 'rolling') return 'per charge'
  const { end } = windowAt(rule.window, rule.timezone, now)
  return end === undefined ? '-' : formatInstant(end)
}

function notes(rule: BudgetRule, totals: Totals): string {
  return [
    ...(rule.soft !== undefined && counted(totals) > rule.soft
      ? [`over its soft limit of ${formatMoney(rule.soft, rule.asset)}`]
      : []),
    ...(rule.enforce === false ? ['not enforced'] : []),
  ].join(', ')
}
