/** What budgets hold in their windows. The sums change only with charges (charges.ts), in the same transaction. */
import type { Claim, Totals } from '../../../core/budget/budget.ts'
import type { Window } from '../../../core/budget/window.ts'

/** Sums of one budget window. */
export interface BudgetWindow {
  readonly budget: string
  readonly subject: string
  readonly window: Window
  /** Milliseconds since the epoch. */
  readonly windowStart: number
  readonly totals: Totals
}

/** One subject's sums in a window. */
export interface SubjectTotals {
  readonly subject: string
  readonly totals: Totals
}

/** The budget sums of a store. Every method reads one snapshot. */
export interface BudgetStore {
  /** The sums that these claims would be checked against, in the same order. */
  totals(claims: readonly Claim[]): Promise<Totals[]>
  /**
   * When a claim on a rolling window fits again because older charges leave the window, milliseconds since the epoch.
   * `undefined` when it never fits, and for calendar windows.
   */
  freeAt(claim: Claim): Promise<number | undefined>
  /**
   * Every subject with anything counted in a claim's window, whatever the claim's own subject; by name, the
   * 1000 with most of it among the first 10,000.
   */
  subjects(claim: Claim): Promise<SubjectTotals[]>
  /**
   * Records that a level of a budget is announced, once for its subject and window.
   * @param level millionths of the limit
   * @returns whether it was not before
   */
  announce(claim: Claim, level: bigint): Promise<boolean>
  /** Every calendar window that was ever charged and starts at or after `since`, milliseconds since the epoch. */
  windows(since: number): Promise<BudgetWindow[]>
}
