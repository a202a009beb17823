/**
 * Runs the rules of budgets on rows of the database. The rules ask for sums one by one and get them at once; the database answers
 * later. So a rule is run, what it asked for in vain is read in one go, and it is run again, until it asks for nothing new. What a
 * charge changes is seen by the rules of those after it in the same transaction, before it is written.
 */
import { moveTotals, NO_TOTALS, type Claim, type Totals } from '../../../core/budget/budget.ts'
import { integer, rowToAmount, rowToState, rowToTotals } from '../rows/rows.ts'
import {
  tileKeysOf,
  windowId,
  type TotalsChange,
  type TotalsReader,
  type WindowKey,
} from '../rules/charge-rules.ts'
import { rollingTotals, type Dated, type RollingReader, type TileWindow } from '../rules/rolling-window.ts'
import { json, type Transaction } from './database/transaction.ts'

/** A span of one budget's and subject's tiles, or of their shares. */
interface SpanOf {
  readonly budget: string
  readonly subject: string
  readonly window: TileWindow | 'rolling'
  readonly from: number
  readonly to: number
}

const SUMS = 't.spent, t.held, t.authorized, t.uncertain'

/** Rows of sums, read as the rules ask for them. */
export class BudgetRows implements TotalsReader {
  readonly #db: Transaction
  readonly #sums = new Map<string, Totals | undefined>()
  readonly #spans = new Map<string, readonly Dated[]>()
  readonly #wantedSums = new Map<string, WindowKey>()
  readonly #wantedSpans = new Map<string, SpanOf>()
  readonly #changed = new Map<string, TotalsChange>()
  readonly #taken: Claim[] = []

  constructor(db: Transaction) {
    this.#db = db
  }

  readonly at = (key: WindowKey): Totals | undefined => {
    const id = windowId(key)
    if (!this.#sums.has(id)) this.#wantedSums.set(id, key)
    return this.#sums.get(id)
  }

  readonly against = (claim: Claim): Totals =>
    claim.window === 'rolling' ? rollingTotals(claim, this.readerOf(claim)) : (this.at(claim) ?? NO_TOTALS)

  readonly keysOf = tileKeysOf

  /** The reader of one rolling window. */
  readerOf({ budget, subject }: Claim): RollingReader {
    const of = (window: TileWindow | 'rolling', from: number, to: number): readonly Dated[] => {
      if (from >= to) return []
      const span = { budget, subject, window, from, to }
      const id = JSON.stringify(span)
      if (!this.#spans.has(id)) this.#wantedSpans.set(id, span)
      const read = this.#spans.get(id) ?? []
      return window === 'rolling' ? this.#withTaken(read, span) : this.#withChanged(read, span)
    }
    return {
      shares: (from, to) => of('rolling', from, to),
      tiles: (window, from, to) => of(window, from, to),
    }
  }

  /** Keeps what a rule came to for the rules after it. @param taken claims that are held now */
  apply(changes: readonly TotalsChange[], taken: readonly Claim[] = []): void {
    for (const change of changes) {
      const id = windowId(change.key)
      this.#changed.set(id, change)
      this.#sums.set(id, change.totals)
    }
    for (const claim of taken) if (claim.window === 'rolling') this.#taken.push(claim)
  }

  /** Every change of {@link apply}: of each window the last sums. */
  changes(): TotalsChange[] {
    return [...this.#changed.values()]
  }

  /** Reads what rules will ask for; what they come to without it is ignored. */
  async prepare(rules: readonly ((rows: this) => void)[]): Promise<void> {
    await this.settle(() => {
      for (const rule of rules) attempt(() => rule(this))
    })
  }

  /** The result of a rule whose rows were all read. */
  now<T>(rule: (rows: this) => T): T {
    const outcome = attempt(() => rule(this))
    if (this.#isWanting()) throw new Error('a rule of budgets asked for sums that were not read')
    if ('thrown' in outcome) throw outcome.thrown
    return outcome.result
  }

  /** The result of a rule once every row that it asks for is there. */
  async settle<T>(rule: (rows: this) => T): Promise<T> {
    for (;;) {
      const outcome = attempt(() => rule(this))
      if (this.#isWanting()) {
        await this.#load()
        continue
      }
      if ('thrown' in outcome) throw outcome.thrown
      return outcome.result
    }
  }

  #isWanting(): boolean {
    return this.#wantedSums.size > 0 || this.#wantedSpans.size > 0
  }

  async #load(): Promise<void> {
    const sums = this.#loadSums([...this.#wantedSums])
    const spans = [...this.#wantedSpans].map(async ([id, span]) => {
      this.#spans.set(id, await this.#read(span))
    })
    await Promise.all([sums, ...spans])
    this.#wantedSums.clear()
    this.#wantedSpans.clear()
  }

  #withChanged(read: readonly Dated[], { budget, subject, window, from, to }: SpanOf): readonly Dated[] {
    const changed = this.changes().filter(
      ({ key }) =>
        key.window === window &&
        key.budget === budget &&
        key.subject === subject &&
        key.windowStart >= from &&
        key.windowStart < to,
    )
    if (changed.length === 0) return read
    const now = new Map(read.map((tile) => [tile.at, tile]))
    for (const { key, totals } of changed) now.set(key.windowStart, { at: key.windowStart, totals })
    return [...now.values()].toSorted((a, b) => a.at - b.at)
  }

  #withTaken(read: readonly Dated[], { budget, subject, from, to }: SpanOf): readonly Dated[] {
    const taken = this.#taken.filter(
      (claim) =>
        claim.budget === budget &&
        claim.subject === subject &&
        claim.windowStart >= from &&
        claim.windowStart < to,
    )
    if (taken.length === 0) return read
    const held = taken.map(({ windowStart, amount }) => ({
      at: windowStart,
      totals: moveTotals(NO_TOTALS, undefined, 'held', amount),
    }))
    return [...read, ...held].toSorted((a, b) => a.at - b.at)
  }

  async #loadSums(wanted: readonly (readonly [string, WindowKey])[]): Promise<void> {
    if (wanted.length === 0) return
    for (const [id] of wanted) this.#sums.set(id, undefined)
    const keys = wanted.map(([, { budget, subject, window, windowStart }], n) => ({
      n,
      budget,
      subject,
      window,
      window_start: windowStart,
    }))
    // Told apart by their places: a name that the database cannot keep as it is must still find its sums.
    const rows = await this.#db.all(
      `SELECT k.n, ${SUMS} FROM totals t
      JOIN jsonb_to_recordset(?::jsonb) AS k(n integer, budget text, subject text, "window" text, window_start bigint)
      ON (t.budget, t.subject, t."window", t.window_start) = (k.budget, k.subject, k."window", k.window_start)`,
      json(keys),
    )
    for (const row of rows) {
      const id = wanted[integer(row, 'n')]?.[0]
      if (id !== undefined) this.#sums.set(id, rowToTotals(row))
    }
  }

  async #read({ budget, subject, window, from, to }: SpanOf): Promise<readonly Dated[]> {
    if (window !== 'rolling') {
      const tiles = await this.#db.all(
        `SELECT t.window_start, ${SUMS} FROM totals t WHERE budget = ? AND subject = ? AND "window" = ?
        AND window_start >= ? AND window_start < ? ORDER BY window_start`,
        budget,
        subject,
        window,
        from,
        to,
      )
      return tiles.map((row) => ({ at: integer(row, 'window_start'), totals: rowToTotals(row) }))
    }
    const shares = await this.#db.all(
      `SELECT shares.window_start, shares.amount, charges.state FROM shares JOIN charges ON charges.id = shares.charge
      WHERE budget = ? AND subject = ? AND window_start >= ? AND window_start < ? AND "window" = 'rolling'
      ORDER BY window_start, charge`,
      budget,
      subject,
      from,
      to,
    )
    return shares.map((row) => ({
      at: integer(row, 'window_start'),
      totals: moveTotals(NO_TOTALS, undefined, rowToState(row), rowToAmount(row)),
    }))
  }
}

/** What a rule came to. On rows that are not there yet it may throw. */
function attempt<T>(rule: () => T): { readonly result: T } | { readonly thrown: unknown } {
  try {
    return { result: rule() }
  } catch (error) {
    return { thrown: error }
  }
}
