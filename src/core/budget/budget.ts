import type { ChargeState } from '../charge/charge.ts'
import { matchesBudget, type BudgetMatch, type MatchFacts } from './budget-match.ts'
import { limitFor, type SubjectLimit } from './subject-limits.ts'
import { OTHER_SUBJECT, parseScope, tagValues, type Scope } from './scope.ts'
import { windowAt, WINDOWS, type WindowSpec } from './window.ts'

/** What a limit is counted in instead of USD: a token, on every network that has it, or something that is no money. */
export interface BudgetAsset {
  readonly symbol: string
  readonly decimals: number
  /** Not a token: model tokens (input and output together), or requests. */
  readonly counts?: 'tokens' | 'requests' | undefined
}

/** The unit of `limit_tokens`. */
export const TOKENS: BudgetAsset = { symbol: 'tokens', decimals: 0, counts: 'tokens' }

/** The unit of `limit_requests`. */
export const REQUESTS: BudgetAsset = { symbol: 'requests', decimals: 0, counts: 'requests' }

/** A budget as configured, parsed. */
export interface BudgetRule extends WindowSpec {
  /** `[a-z0-9_-]{1,40}` */
  readonly name: string
  /** Micro-USD, or smallest units of the {@link asset}; with {@link limits}, of every subject that none of those names. */
  readonly limit: bigint
  /** Limits of single subjects, by name or pattern. Only with {@link per}. */
  readonly limits?: readonly SubjectLimit[] | undefined
  /** `true`: subjects that {@link limits} does not name are neither limited nor counted; {@link limit} is the highest of them. */
  readonly namedOnly?: boolean | undefined
  /** Only requests that match count; without it, all. */
  readonly match?: BudgetMatch | undefined
  /** IANA name, e.g. `Europe/Berlin`. */
  readonly timezone: string
  /** A separate limit for each of these; without it, one limit for all together. */
  readonly per?: Scope | undefined
  /** Only payments in this token count, in its own units; without it all payments count, in USD. */
  readonly asset?: BudgetAsset | undefined
  /** Raises one event per window and subject when the sum passes it, and refuses nothing. Units as in {@link limit}. */
  readonly soft?: bigint | undefined
  /** `false`: never refuses, only reports what it would have refused. Default `true`. */
  readonly enforce?: boolean | undefined
  /** The model without a payer that takes over what this refuses; without it the refusal stands. */
  readonly routeTo?: string | undefined
  /** Severity of its alerts; default `critical`, and `warning` with {@link per}, where one subject of many is concerned. */
  readonly alert?: AlertSeverity | undefined
}

/** How serious it is when a budget is used up; `none` raises no alert. */
export type AlertSeverity = 'critical' | 'warning' | 'none'

/** What a reservation takes from one limit in one window. Either all claims of a reservation are taken or none. */
export interface Claim extends WindowSpec {
  readonly budget: string
  readonly per?: Scope | undefined
  /** The caller, model, payer, seller or tag; `*` for a global budget. */
  readonly subject: string
  /** Start of the window, milliseconds since the epoch; 0 for `lifetime`, the instant of the reservation for `rolling`. */
  readonly windowStart: number
  /** End of the window, milliseconds since the epoch; `undefined` for windows without a fixed end. */
  readonly windowEnd: number | undefined
  readonly limit: bigint
  readonly amount: bigint
  readonly asset?: BudgetAsset | undefined
  readonly soft?: bigint | undefined
  /** Shares of the limit, millionths, at which whoever watches the ledger is told. */
  readonly levels?: readonly bigint[] | undefined
  readonly enforce?: boolean | undefined
  /** See {@link BudgetRule.routeTo}. */
  readonly routeTo?: string | undefined
}

/** What a budget needs to know about a payment. An empty list of tags counts as {@link OTHER_SUBJECT}. */
export interface Spend extends MatchFacts {
  readonly symbol: string
  /** Smallest units. */
  readonly amount: bigint
  /** `undefined` for an asset without a USD value: budgets in USD then make no claim. */
  readonly microUsd: bigint | undefined
  /** The most model tokens the request may use, input and output together; `undefined` counts as 0. */
  readonly tokens?: bigint | undefined
}

/** Subject of a budget without a scope. */
export const ALL_SUBJECTS = '*'

/** The running sums of one budget in one window, in the budget's unit. */
export interface Totals {
  readonly spent: bigint
  readonly held: bigint
  readonly authorized: bigint
  readonly uncertain: bigint
}

/** The sums of a window without charges. */
export const NO_TOTALS: Totals = { spent: 0n, held: 0n, authorized: 0n, uncertain: 0n }

/** Whether an unchecked value is a rule: limits are bigint, and a rolling window has a length. */
export function isBudgetRule(value: unknown): value is BudgetRule {
  if (typeof value !== 'object' || value === null) return false
  const { name, limit, window, lengthMs, timezone, per, soft } = value as Partial<Record<string, unknown>>
  return (
    typeof name === 'string' &&
    typeof limit === 'bigint' &&
    typeof timezone === 'string' &&
    WINDOWS.some((known) => known === window) &&
    (window === 'rolling') ===
      (typeof lengthMs === 'number' && Number.isSafeInteger(lengthMs) && lengthMs > 0) &&
    (per === undefined || (typeof per === 'string' && parseScope(per) !== undefined)) &&
    (soft === undefined || typeof soft === 'bigint')
  )
}

/** The claims of a payment at `at`: one per matching rule and subject. */
export function claimsFor(rules: readonly BudgetRule[], spend: Spend, at: number): Claim[] {
  return rules.flatMap((rule) => {
    const amount = matchesBudget(rule.match, spend) ? amountFor(rule, spend) : undefined
    if (amount === undefined) return []
    return subjectsOf(rule.per, spend)
      .filter((subject) => rule.namedOnly !== true || limitFor(rule, subject) !== undefined)
      .map((subject) => claimOn(rule, subject, amount, at))
  })
}

/** One subject's claim on one rule. */
export function claimOn(rule: BudgetRule, subject: string, amount: bigint, at: number): Claim {
  const { start, end } = windowAt(rule.window, rule.timezone, at)
  return {
    budget: rule.name,
    per: rule.per,
    subject,
    window: rule.window,
    lengthMs: rule.lengthMs,
    windowStart: start,
    windowEnd: end,
    limit: limitFor(rule, subject) ?? rule.limit,
    amount,
    asset: rule.asset,
    soft: rule.soft,
    enforce: rule.enforce,
    ...(rule.routeTo === undefined ? {} : { routeTo: rule.routeTo }),
  }
}

/** Whether a rule counts USD and may refuse: it rules out payments in assets without a USD value. */
export function needsUsd(rule: BudgetRule): boolean {
  return rule.asset === undefined && rule.enforce !== false
}

function amountFor(rule: BudgetRule, spend: Spend): bigint | undefined {
  if (rule.asset === undefined) return spend.microUsd
  if (rule.asset.counts === 'tokens') return spend.tokens ?? 0n
  if (rule.asset.counts === 'requests') return 1n
  return rule.asset.symbol === spend.symbol ? spend.amount : undefined
}

function subjectsOf(per: Scope | undefined, spend: Spend): readonly string[] {
  switch (per) {
    case undefined:
      return [ALL_SUBJECTS]
    case 'caller':
      return [spend.caller]
    case 'team':
      return [spend.team ?? OTHER_SUBJECT]
    case 'model':
      return [spend.route]
    case 'payer':
      return [spend.payer]
    case 'seller':
      return [spend.seller]
    case 'tag':
      return spend.tags.length === 0 ? [OTHER_SUBJECT] : [...new Set(spend.tags)]
    default: {
      const values = tagValues(per, spend.tags)
      return values.length === 0 ? [OTHER_SUBJECT] : values
    }
  }
}

/** `spent + held + authorized + uncertain`: everything that counts against a limit (rule 2). */
export function counted(totals: Totals): bigint {
  return totals.spent + totals.held + totals.authorized + totals.uncertain
}

/** Whether a claim fits under its limit on top of what is already counted. */
export function fits(totals: Totals, claim: Claim): boolean {
  return counted(totals) + claim.amount <= claim.limit
}

/** The sums of two sets of charges combined. */
export function addTotals(a: Totals, b: Totals): Totals {
  return {
    spent: a.spent + b.spent,
    held: a.held + b.held,
    authorized: a.authorized + b.authorized,
    uncertain: a.uncertain + b.uncertain,
  }
}

const FIELD = {
  held: 'held',
  authorized: 'authorized',
  settled: 'spent',
  uncertain: 'uncertain',
  released: undefined,
} as const satisfies Record<ChargeState, keyof Totals | undefined>

/**
 * The sums after a charge of `amount` moved between states; `from` is undefined for a new reservation.
 * @param left what the charge counts for after the move, if less
 */
export function moveTotals(
  totals: Totals,
  from: ChargeState | undefined,
  to: ChargeState,
  amount: bigint,
  left: bigint = amount,
): Totals {
  const next = { ...totals }
  const source = from === undefined ? undefined : FIELD[from]
  if (source !== undefined) next[source] -= amount
  const target = FIELD[to]
  if (target !== undefined) next[target] += left
  return next
}
