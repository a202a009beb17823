/** Budgets of single callers, as `callers[].budget_usd` and `tollway keys add --budget-usd` write them: `5/day`. */
import { parseUsd } from '../money/money.ts'
import { isBudgetRule, type BudgetRule } from './budget.ts'
import { formatWindow, parseWindow, type WindowSpec } from './window.ts'

/** What one caller may spend in a window of its own. */
export interface CallerBudget extends WindowSpec {
  /** Micro-USD. */
  readonly limit: bigint
}

/** A caller with budgets of its own. */
export interface BudgetedCaller {
  readonly id: string
  readonly budgets?: readonly CallerBudget[] | undefined
}

/** Reads `5/day` or `0.50/24h`: USD, and a window as in `budgets[].window`; `undefined` for anything else. */
export function parseCallerBudget(text: string): CallerBudget | undefined {
  const [amount = '', name = '', ...more] = text.split('/')
  const limit = parseUsd(amount)
  const window = parseWindow(name)
  if (limit === undefined || window === undefined || more.length > 0) return undefined
  return { limit, ...window }
}

/** Whether an unchecked value is one. */
export function isCallerBudget(value: unknown): value is CallerBudget {
  return isBudgetRule({ name: '', timezone: '', ...Object(value) })
}

/** The name of the budget that the limits of callers in a window form; no configured name has a dot. */
export function callerBudgetName(window: WindowSpec): string {
  return `callers.${formatWindow(window)}`
}

/** One rule per window, with a limit for each caller that has one there; calendar windows in UTC. */
export function callerRules(callers: readonly BudgetedCaller[]): BudgetRule[] {
  const rules = new Map<string, BudgetRule>()
  for (const { id, budgets = [] } of callers) {
    for (const { limit, window, lengthMs } of budgets) {
      const name = callerBudgetName({ window, lengthMs })
      const { limits = [], limit: highest = 0n } = rules.get(name) ?? {}
      rules.set(name, {
        name,
        window,
        lengthMs,
        timezone: 'UTC',
        per: 'caller',
        namedOnly: true,
        limit: limit > highest ? limit : highest,
        limits: [...limits, { subject: id, limit }],
      })
    }
  }
  return [...rules.values()]
}

/** Configured rules together with those of further callers: rules of one name become one, with the limits of both. */
export function withCallerRules(rules: readonly BudgetRule[], more: readonly BudgetRule[]): BudgetRule[] {
  const joined = rules.map((rule) => {
    const other = more.find(({ name }) => name === rule.name)
    if (!other) return rule
    const limit = rule.limit > other.limit ? rule.limit : other.limit
    return { ...rule, limit, limits: [...(rule.limits ?? []), ...(other.limits ?? [])] }
  })
  return [...joined, ...more.filter(({ name }) => !rules.some((rule) => rule.name === name))]
}
