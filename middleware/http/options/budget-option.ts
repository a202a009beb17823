/** Budgets as the options of a middleware: plain objects, or rules as `parseConfig()` returns them. */
import { z } from 'zod'
import { isBudgetRule, SCOPES, type BudgetRule, type Scope } from '../../../src/core/budget/budget.ts'
import { isTimezone, parseWindow } from '../../../src/core/budget/window.ts'
import { parseUsd } from '../../../src/core/money/money.ts'

/** A budget in USD. */
export interface PlainBudget {
  /** `[a-z0-9_-]{1,40}`; it stands in messages, records and metrics. */
  readonly name: string
  /** USD as decimal text, e.g. `"5.00"`; at most six decimals. */
  readonly limitUsd: string
  /** `request`, `hour`, `day`, `week`, `month`, `lifetime`, or a rolling length such as `30m`, `24h`, `7d`. */
  readonly window: string
  /** IANA name of the zone whose days and months count; default `UTC`. */
  readonly timezone?: string | undefined
  /** A limit of its own for each caller, model, payer, seller or tag; default one for all together. */
  readonly per?: Scope | undefined
  /** USD from which an event is raised; refuses nothing. */
  readonly softUsd?: string | undefined
  /** `false`: never refuses, only reports what it would have refused. Default `true`. */
  readonly enforce?: boolean | undefined
}

const usd = z.string().transform((text, context) => {
  const micro = parseUsd(text)
  if (micro !== undefined) return micro
  context.addIssue('write USD as decimal text, e.g. "5.00"')
  return z.NEVER
})

const PLAIN = z
  .strictObject({
    name: z.string().regex(/^[a-z0-9_-]{1,40}$/, 'use 1 to 40 lower-case letters, digits, _ or -'),
    limitUsd: usd,
    window: z.string().transform((text, context) => {
      const window = parseWindow(text)
      if (window) return window
      context.addIssue('use request, hour, day, week, month, lifetime, or a length such as "24h"')
      return z.NEVER
    }),
    timezone: z.string().refine(isTimezone, 'use an IANA time zone, e.g. "Europe/Berlin"').default('UTC'),
    per: z.enum(SCOPES, `use one of ${SCOPES.join(', ')}`).optional(),
    softUsd: usd.optional(),
    enforce: z.boolean().optional(),
  })
  .transform(({ limitUsd, softUsd, window, ...rest }): BudgetRule => ({
    ...rest,
    ...window,
    limit: limitUsd,
    soft: softUsd,
  }))

/** Checks an option that is a list of budgets. */
export const budgetsOption = z.array(
  z.unknown().transform((value, context): BudgetRule => {
    if (isBudgetRule(value)) return value
    const plain = PLAIN.safeParse(value)
    if (plain.success) return plain.data
    for (const { message, path } of plain.error.issues) {
      const where = path.length === 0 ? '' : `${path.join('.')}: `
      context.addIssue(`${where}${message}`)
    }
    return z.NEVER
  }),
)
