/** LiteLLM's budget of the whole proxy (`litellm_settings.max_budget`, `budget_duration`) as a budget of ours. */
import { parseWindow } from '../../../core/budget/window.ts'

/** The name of the budget in refusals and metrics. */
export const GLOBAL_BUDGET = 'litellm-max-budget'

/** LiteLLM's durations that begin at a boundary of the calendar. */
const CALENDAR: Readonly<Record<string, string>> = {
  '1h': 'hour',
  '60m': 'hour',
  '1d': 'day',
  '24h': 'day',
  '7d': 'week',
  '1w': 'week',
  '30d': 'month',
  '1mo': 'month',
}

/** An entry of `budgets`. */
export interface GlobalBudget {
  readonly name: string
  readonly limit_usd: string
  readonly window: string
  readonly timezone?: string
}

/**
 * Where LiteLLM resets at other boundaries, a rolling window of that length is at least as strict; a budget without a
 * duration is never reset.
 * @param max USD, number or decimal text
 * @returns `undefined` where there is no such amount; LiteLLM takes 0 for none
 */
export function globalBudget(max: unknown, duration: unknown, timezone: unknown): GlobalBudget | undefined {
  const limit = microDecimal(max)
  if (limit === undefined) return undefined
  return {
    name: GLOBAL_BUDGET,
    limit_usd: limit,
    window: windowOf(duration),
    ...(typeof timezone === 'string' ? { timezone } : {}),
  }
}

/** The window of a duration of LiteLLM's. */
export function windowOf(duration: unknown): string {
  if (typeof duration !== 'string') return 'lifetime'
  const known = Object.hasOwn(CALENDAR, duration) ? CALENDAR[duration] : undefined
  if (known !== undefined) return known
  const seconds = /^(\d{1,8})s$/.exec(duration)?.[1]
  const text = seconds === undefined ? duration : `${Math.max(1, Math.ceil(Number(seconds) / 60))}m`
  return parseWindow(text)?.window === 'rolling' ? text : 'lifetime'
}

/** At most six decimals, rounded down: the limit never grows. */
export function microDecimal(value: unknown): string | undefined {
  const text = typeof value === 'number' && Number.isFinite(value) ? value.toFixed(12) : value
  const match = typeof text === 'string' ? /^(\d{1,15})(?:\.(\d+))?$/.exec(text) : null
  if (!match) return undefined
  const decimals = (match[2] ?? '').slice(0, 6).replace(/0+$/, '')
  const amount = decimals === '' ? `${match[1]}` : `${match[1]}.${decimals}`
  return /[1-9]/.test(amount) ? amount : undefined
}
