/** Alerts about budgets. Each subject raises one of them, the most serious; budgets with enforce: false raise none. */
import type { AlertRule } from './alert-rule.ts'
import { plain } from './query.ts'

const SUBJECT = 'on (job, instance, budget, subject)'
const used = 'tollway:budget_enforced_used:ratio'
const refusing = `${SUBJECT} tollway:budget_refused:increase10m > 0`
/** Nothing is left; or too little for a price, and this very subject was refused. */
const usedUp = `${used} >= 1 or ${used} >= 0.5 and ${refusing}`
const runningOut = [
  plain('tollway_budget_remaining_usd'),
  plain('tollway_budget_asset_units', { kind: 'remaining' }),
]
  .map((left) => `predict_linear(${left}[1h], 4 * 3600) < 0 and ${left} > 0`)
  .join(' or ')

/** From the most serious to the least. */
export const BUDGET_ALERTS: readonly AlertRule[] = [
  {
    alert: 'TollwayBudgetUsedUp',
    dashboard: 'tollway-spend',
    expr: usedUp,
    for: '0m',
    severity: 'budget',
    summary:
      'Budget {{ $labels.budget }} ({{ $labels.subject }}) is used to {{ $value | humanizePercentage }} and refuses requests.',
    meaning:
      'Nothing fits into the current window any more, or a request of this subject was refused in the last ten minutes because too little is left for its price. Such calls answer 402 `budget_exhausted`.',
    steps: [
      'Run `tollway budgets` to see when the window ends and how much is uncertain.',
      'Uncertain payments hold budget: `tollway reconcile` frees what was not taken.',
      'Raise the limit if the spending is intended.',
    ],
  },
  {
    alert: 'TollwayBudgetAlmostUsed',
    dashboard: 'tollway-spend',
    expr: `${used} >= 0.8 < 1 unless ${SUBJECT} (${usedUp})`,
    for: '0m',
    severity: 'warning',
    summary:
      'Budget {{ $labels.budget }} ({{ $labels.subject }}) is used to {{ $value | humanizePercentage }}.',
    meaning: 'Spent, held and uncertain together are 80 % or more of the limit of the current window.',
    steps: [
      'See who spends: dashboard Spend, today by caller and by model.',
      'Raise the limit, or let it hold: at 100 % requests are refused with 402 until the window ends.',
    ],
  },
  {
    alert: 'TollwayBudgetRunningOut',
    dashboard: 'tollway-spend',
    expr: `(${runningOut}) and ${SUBJECT} ${used} < 0.8 unless ${SUBJECT} (${usedUp})`,
    for: '15m',
    severity: 'warning',
    summary: 'Budget {{ $labels.budget }} ({{ $labels.subject }}) lasts less than four hours at this pace.',
    meaning:
      'A straight line through the last hour crosses zero within four hours. The end of the window may come first.',
    steps: [
      'Compare with the end of the window (`tollway budgets`).',
      'Look for a caller or model whose spend per hour has changed (dashboard Spend).',
    ],
  },
]
