/** Budgets as the options of a middleware: plain objects, or rules as `parseConfig()` returns them. */
import { z } from 'zod'
import {
  budgetMatch,
  MATCH_KEYS,
  parseMatchKey,
  type MatchKey,
} from '../../../src/core/budget/budget-match.ts'
import {
  isBudgetRule,
  REQUESTS,
  TOKENS,
  type BudgetAsset,
  type BudgetRule,
} from '../../../src/core/budget/budget.ts'
import { parseScope, SCOPES, type Scope } from '../../../src/core/budget/scope.ts'
import { DEFAULT_SUBJECT, type SubjectLimit } from '../../../src/core/budget/subject-limits.ts'
import { isTimezone, parseWindow, WINDOWS } from '../../../src/core/budget/window.ts'
import { parseUsd } from '../../../src/core/money/money.ts'
import { nearestName } from '../../../src/io/names/nearest-name.ts'
import { faultsOf } from '../../../src/io/names/parse-options.ts'

/** A budget in USD, model tokens or requests: exactly one of the four limits, or `limitUsd` beside `limits`. */
export interface PlainBudget {
  /** `[a-z0-9_-]{1,40}`; it appears in messages, records and metrics. */
  readonly name: string
  /** USD as decimal text, e.g. `"5.00"`; at most six decimals. */
  readonly limitUsd?: string | undefined
  /**
   * USD by subject, a name or a pattern with `*`; the most specific one holds. `default`, or `limitUsd`, is for all others;
   * without either they are not limited. Only with `per`.
   */
  readonly limits?: Readonly<Record<string, string>> | undefined
  /** Model tokens, input and output together. */
  readonly limitTokens?: number | undefined
  readonly limitRequests?: number | undefined
  /** Only requests that match count; each key a name, a pattern with `*`, or a list. */
  readonly match?: Readonly<Partial<Record<MatchKey, string | readonly string[]>>> | undefined
  /** `request`, `hour`, `day`, `week`, `month`, `lifetime`, or a rolling length such as `30m`, `24h`, `7d`. */
  readonly window: string
  /** IANA name of the zone whose days and months count; default `UTC`. */
  readonly timezone?: string | undefined
  /** A limit of its own for each caller, team, model, payer, seller or tag, or value of `tag.<name>`; default one for all together. */
  readonly per?: Scope | undefined
  /** USD from which an event is raised; refuses nothing. */
  readonly softUsd?: string | undefined
  /** `false`: never refuses, only reports what it would have refused. Default `true`. */
  readonly enforce?: boolean | undefined
  /** Severity of its alerts; default `critical`, and `warning` with `per`. */
  readonly alert?: 'critical' | 'warning' | 'none' | undefined
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
    limitUsd: usd.optional(),
    limits: z.record(z.string().min(1), usd).optional(),
    limitTokens: z.int().min(0).optional(),
    limitRequests: z.int().min(0).optional(),
    match: z
      .record(
        z.custom<MatchKey>(isMatchKey, `use ${MATCH_KEYS.join(', ')} or tag.<name>`),
        z.union([z.string().min(1), z.array(z.string().min(1)).min(1)], 'give a name, a pattern, or a list'),
      )
      .optional(),
    window: z.string().transform((text, context) => {
      const window = parseWindow(text)
      if (window) return window
      const near = nearestName(text, WINDOWS.slice(0, -1))
      const hint = near === undefined ? '' : `. Did you mean "${near}"?`
      context.addIssue(`use request, hour, day, week, month, lifetime, or a length such as "24h"${hint}`)
      return z.NEVER
    }),
    timezone: z.string().refine(isTimezone, 'use an IANA time zone, e.g. "Europe/Berlin"').default('UTC'),
    per: z
      .custom<Scope>(isScope, {
        error: ({ input }) => `use one of ${SCOPES.join(', ')} or tag.<name>${scopeHint(input)}`,
      })
      .optional(),
    softUsd: usd.optional(),
    enforce: z.boolean().optional(),
    alert: z.enum(['critical', 'warning', 'none'], 'use critical, warning or none').optional(),
  })
  .superRefine(({ limitUsd, limits, limitTokens, limitRequests, per }, context) => {
    const given = [limitUsd ?? limits, limitTokens, limitRequests].filter((limit) => limit !== undefined)
    if (given.length !== 1) context.addIssue('give one of limitUsd, limits, limitTokens and limitRequests')
    if (limits !== undefined && per === undefined) context.addIssue('limits belong to subjects: give per too')
  })
  .transform(
    ({ limitUsd, limits, limitTokens, limitRequests, softUsd, window, match, ...rest }): BudgetRule => {
      const named = Object.entries(limits ?? {}).flatMap(([subject, limit]): SubjectLimit[] =>
        subject === DEFAULT_SUBJECT ? [] : [{ subject, limit }],
      )
      const count = limitTokens ?? limitRequests
      const others =
        limits?.[DEFAULT_SUBJECT] ?? limitUsd ?? (count === undefined ? undefined : BigInt(count))
      return {
        ...rest,
        ...window,
        limit: others ?? named.reduce((most, { limit }) => (limit > most ? limit : most), 0n),
        ...(named.length === 0 ? {} : { limits: named, namedOnly: others === undefined }),
        asset: unitOf(limitTokens, limitRequests),
        ...(match === undefined ? {} : { match: budgetMatch(match) }),
        soft: softUsd,
      }
    },
  )

function isMatchKey(key: unknown): boolean {
  return typeof key === 'string' && parseMatchKey(key) !== undefined
}

function scopeHint(text: unknown): string {
  const near = typeof text === 'string' ? nearestName(text, SCOPES) : undefined
  return near === undefined ? '' : `. Did you mean "${near}"?`
}

function isScope(text: unknown): boolean {
  return typeof text === 'string' && parseScope(text) !== undefined
}

function unitOf(tokens: number | undefined, requests: number | undefined): BudgetAsset | undefined {
  if (tokens !== undefined) return TOKENS
  return requests === undefined ? undefined : REQUESTS
}

/** Checks an option that is a list of budgets. */
export const budgetsOption = z.array(
  z.unknown().transform((value, context): BudgetRule => {
    if (isBudgetRule(value)) return value
    const plain = PLAIN.safeParse(value)
    if (plain.success) return plain.data
    for (const fault of faultsOf(plain.error, PLAIN, value)) context.addIssue(fault)
    return z.NEVER
  }),
  'give a list of budgets, e.g. [{ name: "all", limitUsd: "5.00", window: "day" }]',
)
