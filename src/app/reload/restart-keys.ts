/** Which keys of a configuration a running gateway can take over, and which need a restart. */
import type { BudgetRule } from '../../core/budget/budget.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'

/** The sections that apply at once. Everything else opened something at the start: a port, a file, a key, a connection. */
const RELOADED: ReadonlySet<string> = new Set([
  'body_limit',
  'budgets',
  'callers',
  'keys',
  'model_list',
  'notify',
  'policy',
  'router',
  'stream',
  'tags',
  'upstream',
])

/** Keys of these sections that connections were opened with. */
const EXCEPT: ReadonlySet<string> = new Set(['policy.block_private_networks'])

/** How many keys a message or a record names. */
export const MOST_KEYS = 50

/** Those of the keys that only a restart applies. @param keys as in `budgets.all.limit_usd` */
export function restartKeys(keys: readonly string[]): string[] {
  return keys.filter((key) => EXCEPT.has(key) || !RELOADED.has(/^[^.[]*/.exec(key)?.[0] ?? ''))
}

/** @throws TollwayError `restart_required` naming every such key */
export function assertReloadable(keys: readonly string[]): void {
  const fixed = restartKeys(keys)
  if (fixed.length === 0) return
  throw new TollwayError({
    code: 'restart_required',
    message: `These keys apply only after a restart: ${listed(fixed)}. Nothing was changed.`,
    advice: ['Restart the gateway, or undo these changes and reload again.'],
  })
}

/**
 * The sums of a budget are kept under its name, in the unit that it counts.
 * @throws ConfigError for a budget that would go on with sums of another unit
 */
export function assertSameUnits(before: readonly BudgetRule[], after: readonly BudgetRule[]): void {
  const units = new Map(before.map((rule) => [rule.name, unitOf(rule)]))
  for (const rule of after) {
    const unit = units.get(rule.name) ?? unitOf(rule)
    if (unit === unitOf(rule)) continue
    throw new ConfigError(
      `budgets.${rule.name}: counted ${unit} so far and would count ${unitOf(rule)}. Give the new budget another name.`,
    )
  }
}

function unitOf({ asset }: BudgetRule): string {
  return asset?.symbol ?? 'USD'
}

/** Keys for a message. */
export function listed(keys: readonly string[]): string {
  const more = keys.length - MOST_KEYS
  return [...keys.slice(0, MOST_KEYS), ...(more > 0 ? [`and ${more} more`] : [])].join(', ')
}
