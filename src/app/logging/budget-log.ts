import type { Log } from '../../core/log.ts'
import { counted } from '../../core/budget/budget.ts'
import { describeBudget, formatMoney } from '../../core/budget/budget-messages.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { formatWindow } from '../../core/budget/window.ts'

/** Logs exceeded limits that refused nothing: a soft limit once per window and subject, a dry run each time. */
export function budgetLog(log: Log): Observer {
  return (event) => {
    if (event.type !== 'budget_soft_limit' && event.type !== 'budget_would_refuse') return
    const { claim, totals } = event
    const { budget, subject, asset } = claim
    const fields = { budget, subject, window: formatWindow(claim) }
    const now = formatMoney(counted(totals), asset)
    if (event.type === 'budget_soft_limit') {
      const soft = formatMoney(claim.soft ?? claim.limit, asset)
      log.warn(fields, `budget ${describeBudget(claim)} passed its soft limit of ${soft}: ${now} counted`)
      return
    }
    const wanted = formatMoney(claim.amount, asset)
    const limit = formatMoney(claim.limit, asset)
    log.warn(
      fields,
      `budget ${describeBudget(claim)} is not enforced; it would have refused ${wanted} on top of ${now} of ${limit}`,
    )
  }
}
