/** The values of budgets: scopes, matches and limits per subject. */
import { z } from 'zod'
import { MATCH_KEYS, parseMatchKey, type MatchKey } from '../../../core/budget/budget-match.ts'
import { parseCallerBudget, type CallerBudget } from '../../../core/budget/caller-budgets.ts'
import { parseScope, SCOPES } from '../../../core/budget/scope.ts'
import { TAG_NAME } from '../../../core/budget/tag-name.ts'
import { suggestName } from '../../../io/names/nearest-name.ts'
import { hint, reading } from './scalar-fields.ts'

/** A kind of tags. */
export const tagName = () =>
  z.string().regex(TAG_NAME, 'must be 1 to 64 letters, digits or the characters . _ and -.')

/** What a budget keeps separate limits for. */
export const scope = () =>
  reading(
    parseScope,
    (text) => `must be caller, team, model, payer, seller, tag or tag.<name>.${hint(text, [...SCOPES])}`,
  )

/** What a caller may spend: one `5/day`, or a list. */
export const callerBudgets = () =>
  z.unknown().transform((value, context): readonly CallerBudget[] => {
    const list: unknown[] = Array.isArray(value) ? value : [value]
    const budgets = list.flatMap((text) => (typeof text === 'string' ? (parseCallerBudget(text) ?? []) : []))
    if (list.length > 0 && budgets.length === list.length) return budgets
    context.addIssue({
      code: 'custom',
      message: 'must be USD and a window, such as "5/day", "0.50/24h" or "20/month", or a list of them.',
    })
    return z.NEVER
  })

/** A subject under `limits`: a name or a pattern. */
export const subject = () =>
  z.string().refine(isPattern, 'must be 1 to 256 characters without spaces and without **.')

/** A key of `match`. */
export const matchKey = () =>
  z.string().transform((key, context): MatchKey => {
    const known = parseMatchKey(key)
    if (known !== undefined) return known
    context.addIssue({
      code: 'custom',
      message: `is not a known key. ${suggestName(key, [...MATCH_KEYS, 'tag.<name>'])}`,
    })
    return z.NEVER
  })

/** Names or patterns: one, or a list. */
export const names = () =>
  z.unknown().transform((value, context): readonly string[] => {
    const list: unknown[] = Array.isArray(value) ? value : [value]
    if (list.length > 0 && list.every(isPattern)) return list
    context.addIssue({ code: 'custom', message: 'must be a name, a pattern with *, or a list of them.' })
    return z.NEVER
  })

function isPattern(value: unknown): value is string {
  return typeof value === 'string' && /^(?=.{1,256}$)(?!.*\*\*)[^\s\p{Cc}]*$/u.test(value)
}
