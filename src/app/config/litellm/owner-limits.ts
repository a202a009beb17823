/** Limits that LiteLLM sets for its keys, users and teams, which it keeps in a database: what to write for callers here. */
import { isPlainObject } from '../reading/interpolate.ts'
import type { ConfigPath } from '../values/problems.ts'
import { microDecimal, windowOf } from './global-budget.ts'

/** Sections about keys, users, teams and customers, in any of LiteLLM's spellings. */
const OWNER = /(?:^|_)(?:virtual_)?(?:keys?|users?|teams?|customers?|members?)(?:_|$)/
const TEAM = /(?:^|_)teams?(?:_|$)/

/**
 * What to write instead of a limit of a key, user or team.
 * @param siblings the object that holds it
 * @returns `undefined` for a limit of something else, or a value that is none
 */
export function ownerAdvice(path: ConfigPath, value: unknown, siblings: unknown): string | undefined {
  const names = path.filter((segment) => typeof segment === 'string').map((segment) => segment.toLowerCase())
  const key = names.at(-1) ?? ''
  if (!names.some((name) => OWNER.test(name))) return undefined
  const isTeam = names.some((name) => TEAM.test(name))
  const count = typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined
  if (key.endsWith('budget_duration')) return 'It is the window of the budget beside it'
  if (key.endsWith('soft_budget')) return softAdvice(value, isTeam)
  if (/(?:^|_)max_.*budget$/.test(key)) return budgetAdvice(value, siblings, isTeam)
  if (count === undefined) return undefined
  if (/(?:^|_)tpm(?:_|$)/.test(key))
    return isTeam ? perMinute('tokens', count) : callerLimit('tokens_per_minute', count)
  if (/(?:^|_)rpm(?:_|$)/.test(key))
    return isTeam ? perMinute('requests', count) : callerLimit('requests_per_minute', count)
  return undefined
}

function budgetAdvice(value: unknown, siblings: unknown, isTeam: boolean): string | undefined {
  const amount = microDecimal(value)
  if (amount === undefined) return undefined
  // A setting of its own has its window somewhere else in the section.
  if (siblings === undefined)
    return `Give callers budget_usd with a window, such as [${amount}/month], or run tollway keys add --budget-usd ${amount}/month`
  const window = windowOf(durationOf(siblings))
  return isTeam
    ? `Set callers[].team, and under budgets: { name: teams, per: team, limit_usd: "${amount}", window: ${window} }`
    : `Give callers budget_usd: [${amount}/${window}], or run tollway keys add --budget-usd ${amount}/${window}`
}

function softAdvice(value: unknown, isTeam: boolean): string | undefined {
  const amount = microDecimal(value)
  return amount === undefined
    ? undefined
    : `Set soft_usd: "${amount}" on an entry of budgets with per: ${isTeam ? 'team' : 'caller'}`
}

function callerLimit(key: 'tokens_per_minute' | 'requests_per_minute', count: number): string {
  return `Set callers[].${key}: ${count}, or run tollway keys add --${key.replaceAll('_', '-')} ${count}`
}

function perMinute(what: 'tokens' | 'requests', count: number): string {
  return `Set callers[].team, and under budgets: { name: team-${what}, per: team, limit_${what}: ${count}, window: 1m }`
}

function durationOf(siblings: unknown): unknown {
  if (!isPlainObject(siblings)) return undefined
  return Object.entries(siblings).find(([key]) => key.endsWith('budget_duration'))?.[1]
}
