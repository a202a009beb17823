/** Budget sums and shares of the Postgres ledger. Called inside the store's transactions. */
import type { Claim, Totals } from '../../../core/budget/budget.ts'
import type { Charge } from '../../../core/charge/charge.ts'
import type { BudgetStore, BudgetWindow, SubjectTotals } from '../contracts/budgets.ts'
import type { Notice } from '../contracts/charges.ts'
import { rowToShare, rowToTotals, rowToWindow, text } from '../rows/rows.ts'
import { listedSubjects, MAX_READ_SUBJECTS } from '../rules/budget-subjects.ts'
import {
  moveShares,
  sharesAfter,
  sharesOf,
  sharesOfTokens,
  takeClaims,
  type Share,
  type Taken,
  type TotalsChange,
} from '../rules/charge-rules.ts'
import { announcedWindow, COARSEST, countsFrom, noticeRange, rollingFreeAt } from '../rules/rolling-window.ts'
import { BudgetRows } from './budget-rows.ts'
import { json, type Transaction } from './database/transaction.ts'

type Window = Pick<Claim, 'budget' | 'subject'>

/**
 * The names to lock before the sums of budgets are read to be changed: whoever changes a sum holds the budget's lock, so that of
 * several reservations each sees what the others took.
 */
export function budgetLocks(windows: readonly Window[]): string[] {
  return windows.map(({ budget, subject }) => `budget ${JSON.stringify([budget, subject])}`)
}

/** The budget sums of the Postgres ledger. */
export class PostgresBudgets implements BudgetStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** Checks claims whose budgets are locked; nothing is written. */
  async check(claims: readonly Claim[]): Promise<Taken> {
    return await new BudgetRows(this.#db).settle((rows) => takeClaims(claims, rows))
  }

  /** Writes the shares of a new charge and the sums that include it. */
  async take(charge: string, claims: readonly Claim[], changes: readonly TotalsChange[]): Promise<void> {
    if (claims.length === 0) return
    const shares = sharesOf(claims).map(({ windowStart, amount, counts = null, ...share }, position) => ({
      ...share,
      charge,
      position,
      window_start: windowStart,
      amount: amount.toString(),
      counts,
    }))
    await this.#db.run(
      'INSERT INTO shares SELECT * FROM jsonb_populate_recordset(NULL::shares, ?::jsonb)',
      json(shares),
    )
    await this.#write(changes)
  }

  /** Moves the sums of a charge that is locked. Call it before the charge itself is written. */
  async move(before: Charge, after: Charge): Promise<void> {
    await this.#change(before, after, (shares) => sharesAfter(shares, before, after))
  }

  /** See `sharesOfTokens`. */
  async settleTokens(charge: Charge, tokens: number): Promise<void> {
    await this.#change(charge, charge, (shares) => sharesOfTokens(shares, tokens))
  }

  async #change(
    before: Charge,
    after: Charge,
    rule: (shares: readonly Share[]) => readonly Share[],
  ): Promise<void> {
    const rows = await this.#db.all('SELECT * FROM shares WHERE charge = ? ORDER BY position', before.id)
    const shares = rows.map(rowToShare)
    const left = rule(shares)
    if (shares.length === 0 || (before.state === after.state && left === shares)) return
    // Which budgets a charge counts in never changes (rule 2), so that they are known before they are locked.
    await this.#db.lock(budgetLocks(shares))
    const changes = await new BudgetRows(this.#db).settle((sums) =>
      moveShares(shares, before.state, after.state, sums, left),
    )
    await this.#write(changes)
    if (left === shares) return
    for (const [position, share] of left.entries()) {
      await this.#db.run(
        'UPDATE shares SET amount = ? WHERE charge = ? AND position = ?',
        share.amount,
        before.id,
        position,
      )
    }
  }

  /** The notices that were not reported yet: a soft limit is reported once per window and subject. */
  async notify(passed: readonly Notice[]): Promise<Notice[]> {
    const told: Notice[] = []
    for (const notice of passed) {
      const { kind, claim } = notice
      if (kind !== 'soft' || (await this.#isFirst(claim, claim.window))) told.push(notice)
    }
    return told
  }

  async announce(claim: Claim, level: bigint): Promise<boolean> {
    await this.#db.lock(budgetLocks([claim]))
    return await this.#isFirst(claim, announcedWindow(claim, level))
  }

  async #isFirst(claim: Claim, name: string): Promise<boolean> {
    const { budget, subject, windowStart } = claim
    const { from, to } = noticeRange(claim)
    const known = await this.#db.get(
      `SELECT 1 FROM soft_notices
      WHERE budget = ? AND subject = ? AND "window" = ? AND window_start BETWEEN ? AND ?`,
      budget,
      subject,
      name,
      from,
      to,
    )
    if (known) return false
    await this.#db.run('INSERT INTO soft_notices VALUES (?, ?, ?, ?)', budget, subject, name, windowStart)
    return true
  }

  async totals(claims: readonly Claim[]): Promise<Totals[]> {
    return await new BudgetRows(this.#db).settle((rows) => claims.map((claim) => rows.against(claim)))
  }

  async freeAt(claim: Claim): Promise<number | undefined> {
    if (claim.window !== 'rolling') return undefined
    return await new BudgetRows(this.#db).settle((rows) => rollingFreeAt(claim, rows.readerOf(claim)))
  }

  async subjects(claim: Claim): Promise<SubjectTotals[]> {
    const { budget, window, windowStart } = claim
    if (window !== 'rolling') {
      const rows = await this.#db.all(
        `SELECT subject, spent, held, authorized, uncertain FROM totals
        WHERE budget = ? AND "window" = ? AND window_start = ? ORDER BY subject LIMIT ${MAX_READ_SUBJECTS}`,
        budget,
        window,
        windowStart,
      )
      return listedSubjects(rows.map((row) => ({ subject: text(row, 'subject'), totals: rowToTotals(row) })))
    }
    const names = await this.#db.all(
      `SELECT DISTINCT subject FROM totals WHERE budget = ? AND "window" = '${COARSEST.window}' AND window_start > ?
      ORDER BY subject LIMIT ${MAX_READ_SUBJECTS}`,
      budget,
      countsFrom(claim) - COARSEST.ms,
    )
    const subjects = names.map((row) => text(row, 'subject'))
    const totals = await this.totals(subjects.map((subject) => ({ ...claim, subject })))
    return listedSubjects(
      subjects.flatMap((subject, index) => {
        const sums = totals[index]
        return sums ? [{ subject, totals: sums }] : []
      }),
    )
  }

  async windows(since: number): Promise<BudgetWindow[]> {
    const rows = await this.#db.all(
      `SELECT * FROM totals WHERE window_start >= ? AND "window" NOT LIKE 'rolling-%'
      ORDER BY budget, subject, "window", window_start`,
      since,
    )
    return rows.map(rowToWindow)
  }

  async #write(changes: readonly TotalsChange[]): Promise<void> {
    if (changes.length === 0) return
    const rows = changes.map(({ key, totals }) => ({
      budget: key.budget,
      subject: key.subject,
      window: key.window,
      window_start: key.windowStart,
      spent: totals.spent.toString(),
      held: totals.held.toString(),
      authorized: totals.authorized.toString(),
      uncertain: totals.uncertain.toString(),
    }))
    await this.#db.run(
      `INSERT INTO totals SELECT * FROM jsonb_populate_recordset(NULL::totals, ?::jsonb)
      ON CONFLICT (budget, subject, "window", window_start) DO UPDATE SET spent = excluded.spent, held = excluded.held,
        authorized = excluded.authorized, uncertain = excluded.uncertain`,
      json(rows),
    )
  }
}
