/** Budget sums and shares of the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import { moveTotals, NO_TOTALS, type Claim, type Totals } from '../../../core/budget/budget.ts'
import type { Charge } from '../../../core/charge/charge.ts'
import {
  announcedWindow,
  COARSEST,
  countsFrom,
  noticeRange,
  rollingFreeAt,
  rollingTotals,
  type RollingReader,
  type TileWindow,
} from '../rules/rolling-window.ts'
import {
  moveShares,
  sharesAfter,
  sharesOf,
  sharesOfTokens,
  tileKeysOf,
  type Share,
  type TotalsReader,
  type TotalsChange,
  type WindowKey,
} from '../rules/charge-rules.ts'
import { listedSubjects, MAX_READ_SUBJECTS } from '../rules/budget-subjects.ts'
import type { Connection } from './file/file.ts'
import { integer, rowToAmount, rowToShare, rowToState, rowToTotals, rowToWindow, text } from '../rows/rows.ts'
import type { BudgetStore, BudgetWindow, SubjectTotals } from '../contracts/budgets.ts'
import type { Notice } from '../contracts/charges.ts'
import type { InTransaction } from '../synchronous-store.ts'

/** The budget sums of the SQLite ledger. */
export class SqliteBudgets implements TotalsReader, InTransaction<BudgetStore> {
  readonly #sums: StatementSync
  readonly #write: StatementSync
  readonly #windows: StatementSync
  readonly #shares: StatementSync
  readonly #insertShare: StatementSync
  readonly #lowerShare: StatementSync
  readonly #tiles: StatementSync
  readonly #rollingShares: StatementSync
  readonly #subjects: StatementSync
  readonly #rollingSubjects: StatementSync
  readonly #notice: StatementSync
  readonly #insertNotice: StatementSync

  constructor(db: Connection) {
    const sums = 'spent, held, authorized, uncertain'
    this.#sums = db.prepare(`SELECT ${sums} FROM totals
      WHERE budget = ? AND subject = ? AND window = ? AND window_start = ?`)
    this.#write = db.prepare(`INSERT INTO totals (budget, subject, window, window_start, ${sums})
      VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET spent = excluded.spent, held = excluded.held,
      authorized = excluded.authorized, uncertain = excluded.uncertain`)
    this.#windows = db.prepare(`SELECT * FROM totals WHERE window_start >= ? AND window NOT LIKE 'rolling-%'
      ORDER BY budget, subject, window, window_start`)
    this.#shares = db.prepare('SELECT * FROM shares WHERE charge = ? ORDER BY position')
    this.#insertShare =
      db.prepare(`INSERT INTO shares (charge, position, budget, subject, window, window_start, amount, counts)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#lowerShare = db.prepare('UPDATE shares SET amount = ? WHERE charge = ? AND position = ?')
    this.#tiles = db.prepare(`SELECT window_start, ${sums} FROM totals
      WHERE budget = ? AND subject = ? AND window = ? AND window_start >= ? AND window_start < ? ORDER BY window_start`)
    // The last condition must stay word for word the one of the index shares_rolling.
    this.#rollingShares = db.prepare(`SELECT shares.window_start, shares.amount, charges.state
      FROM shares CROSS JOIN charges ON charges.id = shares.charge
      WHERE budget = ? AND subject = ? AND window_start >= ? AND window_start < ? AND window = 'rolling'
      ORDER BY window_start, charge`)
    this.#subjects = db.prepare(`SELECT subject, ${sums} FROM totals
      WHERE budget = ? AND window = ? AND window_start = ? ORDER BY subject LIMIT ${MAX_READ_SUBJECTS}`)
    this.#rollingSubjects = db.prepare(`SELECT DISTINCT subject FROM totals
      WHERE budget = ? AND window = '${COARSEST.window}' AND window_start > ? ORDER BY subject LIMIT ${MAX_READ_SUBJECTS}`)
    this.#notice = db.prepare(`SELECT 1 FROM soft_notices
      WHERE budget = ? AND subject = ? AND window = ? AND window_start BETWEEN ? AND ?`)
    this.#insertNotice = db.prepare('INSERT INTO soft_notices VALUES (?, ?, ?, ?)')
  }

  readonly at = (key: WindowKey): Totals | undefined => {
    const row = this.#sums.get(key.budget, key.subject, key.window, key.windowStart)
    return row && rowToTotals(row)
  }

  readonly against = (claim: Claim): Totals =>
    claim.window === 'rolling' ? rollingTotals(claim, this.#readerOf(claim)) : (this.at(claim) ?? NO_TOTALS)

  readonly keysOf = tileKeysOf

  /** Writes the shares of a new charge and the sums that include it. */
  take(charge: string, claims: readonly Claim[], changes: readonly TotalsChange[]): void {
    for (const [position, share] of sharesOf(claims).entries()) {
      const { budget, subject, window, windowStart, amount, counts = null } = share
      this.#insertShare.run(charge, position, budget, subject, window, windowStart, amount.toString(), counts)
    }
    this.#writeAll(changes)
  }

  /** Moves the sums of a charge. Call it before the charge itself is written. */
  move(before: Charge, after: Charge): void {
    const shares = this.#shares.all(before.id).map(rowToShare)
    const left = sharesAfter(shares, before, after)
    this.#writeAll(moveShares(shares, before.state, after.state, this, left))
    this.#keep(before.id, shares, left)
  }

  /** See `sharesOfTokens`. */
  settleTokens({ id, state }: Charge, tokens: number): void {
    const shares = this.#shares.all(id).map(rowToShare)
    const left = sharesOfTokens(shares, tokens)
    this.#writeAll(moveShares(shares, state, state, this, left))
    this.#keep(id, shares, left)
  }

  #keep(charge: string, shares: readonly Share[], left: readonly Share[]): void {
    if (left === shares) return
    for (const [position, share] of left.entries()) {
      this.#lowerShare.run(share.amount.toString(), charge, position)
    }
  }

  /** The notices that were not reported yet: a soft limit is reported once per window and subject. */
  notify(passed: readonly Notice[]): Notice[] {
    return passed.filter(({ kind, claim }) => {
      if (kind !== 'soft') return true
      return this.#isFirst(claim, claim.window)
    })
  }

  announce(claim: Claim, level: bigint): boolean {
    return this.#isFirst(claim, announcedWindow(claim, level))
  }

  #isFirst(claim: Claim, name: string): boolean {
    const { budget, subject, windowStart } = claim
    const { from, to } = noticeRange(claim)
    if (this.#notice.get(budget, subject, name, from, to)) return false
    this.#insertNotice.run(budget, subject, name, windowStart)
    return true
  }

  totals(claims: readonly Claim[]): Totals[] {
    return claims.map((claim) => this.against(claim))
  }

  freeAt(claim: Claim): number | undefined {
    return claim.window === 'rolling' ? rollingFreeAt(claim, this.#readerOf(claim)) : undefined
  }

  subjects(claim: Claim): SubjectTotals[] {
    const found =
      claim.window === 'rolling'
        ? this.#rollingSubjects
            .all(claim.budget, countsFrom(claim) - COARSEST.ms)
            .map((row) => text(row, 'subject'))
            .map((subject) => ({ subject, totals: this.against({ ...claim, subject }) }))
        : this.#subjects
            .all(claim.budget, claim.window, claim.windowStart)
            .map((row) => ({ subject: text(row, 'subject'), totals: rowToTotals(row) }))
    return listedSubjects(found)
  }

  windows(since: number): BudgetWindow[] {
    return this.#windows.all(since).map(rowToWindow)
  }

  #writeAll(changes: readonly TotalsChange[]): void {
    for (const { key, totals } of changes) {
      const sums = [totals.spent, totals.held, totals.authorized, totals.uncertain].map(String)
      this.#write.run(key.budget, key.subject, key.window, key.windowStart, ...sums)
    }
  }

  #readerOf({ budget, subject }: Claim): RollingReader {
    return {
      shares: (from, to) =>
        this.#rollingShares.all(budget, subject, from, to).map((row) => ({
          at: integer(row, 'window_start'),
          totals: moveTotals(NO_TOTALS, undefined, rowToState(row), rowToAmount(row)),
        })),
      tiles: (window: TileWindow, from, to) =>
        this.#tiles
          .all(budget, subject, window, from, to)
          .map((row) => ({ at: integer(row, 'window_start'), totals: rowToTotals(row) })),
    }
  }
}
