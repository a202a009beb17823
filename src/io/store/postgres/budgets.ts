/** Budget sums and shares of the Postgres ledger. Called inside the store's transactions. */
import type { Claim, Totals } from '../../../core/budget/budget.ts'
import type { Charge, ChargeState } from '../../../core/charge/charge.ts'
import type { BudgetStore, BudgetWindow, SubjectTotals } from '../contracts/budgets.ts'
import type { Notice } from '../contracts/charges.ts'
import { integer, rowToShare, rowToTotals, rowToWindow, text } from '../rows/rows.ts'
import { listedSubjects, MAX_READ_SUBJECTS } from '../rules/budget-subjects.ts'
import { moveShares, sharesOf, sharesOfTokens, type Share, type TotalsChange } from '../rules/charge-rules.ts'
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

/** What a new charge takes. */
interface Taken {
  readonly charge: Charge
  readonly claims: readonly Claim[]
}

/** How the shares of a charge move. */
export interface ShareMove {
  readonly charge: string
  readonly shares: readonly Share[]
  readonly from: ChargeState
  readonly to: ChargeState
  /** The shares after it; the same list if nothing changes. */
  readonly left: readonly Share[]
}

/** The budget sums of the Postgres ledger. */
export class PostgresBudgets implements BudgetStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** Writes the shares of new charges, and the sums that include them. */
  take(taken: readonly Taken[], changes: readonly TotalsChange[]): void {
    const shares = taken.flatMap(({ charge, claims }) =>
      sharesOf(claims).map(({ windowStart, amount, counts = null, ...share }, position) => ({
        ...share,
        charge: charge.id,
        position,
        window_start: windowStart,
        amount: amount.toString(),
        counts,
      })),
    )
    if (shares.length === 0) return
    this.#db.send(
      'INSERT INTO shares SELECT * FROM jsonb_populate_recordset(NULL::shares, ?::jsonb)',
      json(shares),
    )
    this.#write(changes)
  }

  /** The shares of charges that are locked, by charge. */
  async sharesOf(charges: readonly string[]): Promise<ReadonlyMap<string, readonly Share[]>> {
    const rows = await this.#db.all(
      'SELECT * FROM shares WHERE charge = ANY(?::text[]) ORDER BY charge, position',
      charges,
    )
    return new Map(
      [...Map.groupBy(rows, (row) => text(row, 'charge'))].map(([id, own]) => [id, own.map(rowToShare)]),
    )
  }

  /** Moves the sums of charges that are locked, together with their budgets. @param sums in which the windows of all are read */
  move(moves: readonly ShareMove[], sums: BudgetRows): void {
    const amounts: Record<string, string | number>[] = []
    for (const { charge, shares, from, to, left } of moves) {
      sums.apply(sums.now((rows) => moveShares(shares, from, to, rows, left)))
      if (left === shares) continue
      amounts.push(...left.map(({ amount }, position) => ({ charge, position, amount: amount.toString() })))
    }
    this.#write(sums.changes())
    if (amounts.length === 0) return
    this.#db.send(
      `UPDATE shares SET amount = became.amount FROM jsonb_populate_recordset(NULL::shares, ?::jsonb) AS became
      WHERE shares.charge = became.charge AND shares.position = became.position`,
      json(amounts),
    )
  }

  /** See `sharesOfTokens`. */
  async settleTokens(charge: Charge, tokens: number): Promise<void> {
    const shares = (await this.sharesOf([charge.id])).get(charge.id) ?? []
    const left = sharesOfTokens(shares, tokens)
    if (left === shares) return
    await this.#db.lock(budgetLocks(shares))
    const sums = new BudgetRows(this.#db)
    await sums.prepare([(rows) => readSums(shares, rows)])
    this.move([{ charge: charge.id, shares, from: charge.state, to: charge.state, left }], sums)
  }

  /**
   * The notices of each reservation that were not reported yet: a soft limit is reported once per window and subject. Their budgets
   * are locked.
   */
  async notify(passed: readonly (readonly Notice[])[]): Promise<Notice[][]> {
    const soft = passed.flat().filter(({ kind }) => kind === 'soft')
    const known = await this.#known(soft.map(({ claim }) => claim))
    const first = new Set<Notice>()
    for (const notice of soft) {
      const { claim } = notice
      const { from, to } = noticeRange(claim)
      const told = known.get(noticePlace(claim, claim.window)) ?? []
      if (told.some((at) => at >= from && at <= to)) continue
      known.set(noticePlace(claim, claim.window), [...told, claim.windowStart])
      first.add(notice)
      this.#insertNotice(claim, claim.window)
    }
    return passed.map((notices) => notices.filter((notice) => notice.kind !== 'soft' || first.has(notice)))
  }

  /** The starts of the windows that overlap those of claims and whose soft limit was reported, by place. */
  async #known(claims: readonly Claim[]): Promise<Map<string, readonly number[]>> {
    if (claims.length === 0) return new Map()
    const places = Map.groupBy(claims, (claim) => noticePlace(claim, claim.window))
    const asked = [...places.values()].map((own, n) => ({
      n,
      budget: own[0]?.budget ?? '',
      subject: own[0]?.subject ?? '',
      window: own[0]?.window ?? '',
      from: Math.min(...own.map((claim) => noticeRange(claim).from)),
      to: Math.max(...own.map((claim) => noticeRange(claim).to)),
    }))
    const rows = await this.#db.all(
      `SELECT k.n, s.window_start FROM jsonb_to_recordset(?::jsonb)
        AS k(n integer, budget text, subject text, "window" text, "from" bigint, "to" bigint)
      JOIN soft_notices s ON s.budget = k.budget AND s.subject = k.subject AND s."window" = k."window"
        AND s.window_start BETWEEN k."from" AND k."to"`,
      json(asked),
    )
    return new Map(
      [...places.keys()].map((place, n) => [
        place,
        rows.filter((row) => row['n'] === n).map((row) => integer(row, 'window_start')),
      ]),
    )
  }

  async announce(claim: Claim, level: bigint): Promise<boolean> {
    await this.#db.lock(budgetLocks([claim]))
    return await this.#isFirst(claim, announcedWindow(claim, level))
  }

  async #isFirst(claim: Claim, name: string): Promise<boolean> {
    const { budget, subject } = claim
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
    this.#insertNotice(claim, name)
    return true
  }

  #insertNotice({ budget, subject, windowStart }: Claim, name: string): void {
    this.#db.send('INSERT INTO soft_notices VALUES (?, ?, ?, ?)', budget, subject, name, windowStart)
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

  #write(changes: readonly TotalsChange[]): void {
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
    this.#db.send(
      `INSERT INTO totals SELECT * FROM jsonb_populate_recordset(NULL::totals, ?::jsonb)
      ON CONFLICT (budget, subject, "window", window_start) DO UPDATE SET spent = excluded.spent, held = excluded.held,
        authorized = excluded.authorized, uncertain = excluded.uncertain`,
      json(rows),
    )
  }
}

/** Asks for the sums that shares are in. */
export function readSums(shares: readonly Share[], rows: BudgetRows): void {
  for (const share of shares) for (const key of rows.keysOf(share)) rows.at(key)
}

function noticePlace({ budget, subject }: Claim, name: string): string {
  return JSON.stringify([budget, subject, name])
}
