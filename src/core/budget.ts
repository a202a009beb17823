import { DateTime, IANAZone } from 'luxon'
import type { ChargeState } from './charge.ts'
import { formatUnits } from './money.ts'

/** How long a budget's limit lasts. Calendar windows start at the boundary in the rule's time zone. */
export type Window = 'request' | 'hour' | 'day' | 'week' | 'month' | 'lifetime'

/** A budget as configured, parsed. */
export interface BudgetRule {
  /** `[a-z0-9_-]{1,40}` */
  readonly name: string
  /** Micro-USD. */
  readonly limit: bigint
  readonly window: Window
  /** IANA name, e.g. `Europe/Berlin`. */
  readonly timezone: string
}

/** One share of a reservation: this much of this limit in this window. All of a reservation's claims or none are taken. */
export interface Claim {
  readonly budget: string
  /** Whose share: `*` for a global budget. */
  readonly subject: string
  readonly window: Window
  /** Start of the window, milliseconds since the epoch; 0 for `lifetime`. */
  readonly windowStart: number
  /** End of the window, milliseconds since the epoch; `undefined` for `lifetime` and `request`. */
  readonly windowEnd: number | undefined
  readonly limit: bigint
  readonly amount: bigint
}

/** The running sums of one budget in one window, in the budget's unit. */
export interface Totals {
  readonly spent: bigint
  readonly held: bigint
  readonly authorized: bigint
  readonly uncertain: bigint
}

/** Sums of a window nothing was charged to. */
export const NO_TOTALS: Totals = { spent: 0n, held: 0n, authorized: 0n, uncertain: 0n }

/** The window an instant falls in. Exact at the boundary (start inclusive, end exclusive) and over daylight saving. */
export function windowAt(
  window: Window,
  timezone: string,
  at: number,
): { readonly start: number; readonly end: number | undefined } {
  if (window === 'lifetime') return { start: 0, end: undefined }
  if (window === 'request') return { start: at, end: undefined }
  const start = DateTime.fromMillis(at, { zone: timezone }).startOf(window)
  return {
    start: start.toMillis(),
    end: start
      .plus({ [window]: 1 })
      .startOf(window)
      .toMillis(),
  }
}

/** Whether `name` is a time zone this machine knows. */
export function isTimezone(name: string): boolean {
  return IANAZone.isValidZone(name) || name === 'UTC'
}

/** What a reservation of `amount` micro-USD at `at` asks of each rule. */
export function claimsFor(rules: readonly BudgetRule[], amount: bigint, at: number): Claim[] {
  return rules.map((rule) => {
    const { start, end } = windowAt(rule.window, rule.timezone, at)
    return {
      budget: rule.name,
      subject: '*',
      window: rule.window,
      windowStart: start,
      windowEnd: end,
      limit: rule.limit,
      amount,
    }
  })
}

/** `spent + held + authorized + uncertain`: everything that counts against a limit (rule 2). */
export function counted(totals: Totals): bigint {
  return totals.spent + totals.held + totals.authorized + totals.uncertain
}

/** Whether a claim fits beside what is counted already. */
export function fits(totals: Totals, claim: Claim): boolean {
  return counted(totals) + claim.amount <= claim.limit
}

const FIELD = {
  held: 'held',
  authorized: 'authorized',
  settled: 'spent',
  uncertain: 'uncertain',
  released: undefined,
} as const satisfies Record<ChargeState, keyof Totals | undefined>

/** The sums after a charge of `amount` moved between states; `from` undefined for a new reservation. */
export function moveTotals(
  totals: Totals,
  from: ChargeState | undefined,
  to: ChargeState,
  amount: bigint,
): Totals {
  const next = { ...totals }
  const source = from === undefined ? undefined : FIELD[from]
  if (source !== undefined) next[source] -= amount
  const target = FIELD[to]
  if (target !== undefined) next[target] += amount
  return next
}

const TITLE: Readonly<Record<Window, string>> = {
  request: 'Usage limit reached',
  hour: 'Usage limit reached',
  day: 'Daily spending limit reached',
  week: 'Weekly spending limit reached',
  month: 'Monthly spending limit reached',
  lifetime: 'Usage limit reached',
}

/**
 * The words of a budget stop. Clients such as OpenClaw classify a 402 by its wording: "Daily spending limit
 * reached … resets" is shown verbatim and locks nothing, other phrases disable the key for minutes.
 */
export function refusalMessage(claim: Claim, totals: Totals): string {
  const usd = (amount: bigint): string => `$${formatUnits(amount, 6)}`
  const pending = totals.held + totals.authorized + totals.uncertain
  const facts = `${usd(claim.amount)} wanted, ${usd(totals.spent)} spent and ${usd(pending)} pending of ${usd(claim.limit)}`
  return `${TITLE[claim.window]}: budget ${claim.budget}: ${facts}; ${whenAgain(claim)}`
}

function whenAgain(claim: Claim): string {
  const end =
    claim.windowEnd === undefined ? undefined : new Date(claim.windowEnd).toISOString().replace('.000', '')
  switch (claim.window) {
    case 'day':
    case 'week':
    case 'month':
      return `resets ${end}`
    case 'hour':
      return `try again ${end}`
    case 'request':
      return 'try again with a cheaper request'
    case 'lifetime':
      return 'try again once the limit is raised'
    default:
      return claim.window satisfies never
  }
}
