/**
 * Reads what was spent from the sums. Charges are read one by one only where no sum is kept: at the ends of a span that do not
 * fall on a quarter of an hour, and while they are open.
 */
import { OTHER_SUBJECT } from '../../../../core/budget/scope.ts'
import { tagValue } from '../../../../core/budget/tag-value.ts'
import { rowToNames, rowToSums, rowToUsage, SUM_COLUMNS } from '../../rows/rollup-rows.ts'
import { integer, rowToCharge, rowToState, text } from '../../rows/rows.ts'
import { filterCondition } from '../../rules/charge-filter.ts'
import {
  CLOSED_STATES,
  lessSums,
  namesOf,
  partsOf,
  QUARTER_MS,
  sumsOf,
  type Span,
  type SpendSums,
} from '../../rules/rollup-rules.ts'
import type { SpendPart, SumsQuery } from '../../rules/spend-parts.ts'
import type { Transaction } from '../database/transaction.ts'

const OPEN_STATES = ['held', 'authorized'] as const

/** Where sums are kept for a span. */
interface Piece {
  readonly tile: 'day' | 'quarter'
  readonly span: Span
}

/** The reader of the sums. Called inside a transaction. */
export class RollupReader {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** The parts that together are what a query asks for. */
  async read(query: SumsQuery): Promise<SpendPart[]> {
    if (query.instance !== undefined) return await this.#scan(query)
    const closed = CLOSED_STATES.filter((state) => query.states?.includes(state) ?? true)
    const open = OPEN_STATES.filter((state) => query.states?.includes(state) ?? true)
    const parts = open.length === 0 ? [] : await this.#scan({ ...query, states: open })
    if (closed.length === 0) return parts
    const { days, quarters, ends } = await this.#spansOf(query)
    const pieces: Piece[] = [
      ...days.map((span) => ({ tile: 'day' as const, span })),
      ...quarters.map((span) => ({ tile: 'quarter' as const, span })),
    ]
    for (const piece of pieces) {
      parts.push(...(await this.#kept(query, closed, piece, undefined)))
      if (query.tag === undefined) continue
      for (const part of await this.#kept(query, closed, piece, query.tag)) {
        parts.push(part, { ...part, tag: OTHER_SUBJECT, sums: lessSums(part.sums) })
      }
    }
    for (const end of ends) parts.push(...(await this.#scan({ ...query, ...end, states: closed })))
    return parts
  }

  /** The sums of all uncertain charges. */
  async uncertain(): Promise<SpendSums[]> {
    const rows = await this.#db.all(
      `SELECT ${SUM_COLUMNS.join(', ')} FROM rollups WHERE tile = 'ever' AND tagged = 0 AND state = 'uncertain'
      AND charges > 0`,
    )
    return rows.map(rowToSums)
  }

  /** The reservations of the first and the last charge, milliseconds since the epoch; `undefined` without charges. */
  async range(): Promise<{ readonly first: number; readonly last: number } | undefined> {
    const row = await this.#db.get('SELECT min(reserved_at) AS first, max(reserved_at) AS last FROM charges')
    if (!row || row['first'] === null) return undefined
    return { first: integer(row, 'first'), last: integer(row, 'last') }
  }

  /** An end without charges in the rest of its quarter of an hour is a whole one: so is mostly the one that is now. */
  async #spansOf({ from, to }: SumsQuery): Promise<ReturnType<typeof partsOf>> {
    const before = from === undefined ? undefined : Math.floor(from / QUARTER_MS) * QUARTER_MS
    const behind = to === undefined ? undefined : Math.ceil(to / QUARTER_MS) * QUARTER_MS
    const isFree = async (start: number, end: number): Promise<boolean> =>
      (await this.#db.get(
        'SELECT 1 FROM charges WHERE reserved_at >= ? AND reserved_at < ? LIMIT 1',
        start,
        end,
      )) === undefined
    return partsOf({
      ...(from === undefined || before === undefined
        ? {}
        : { from: (await isFree(before, from)) ? before : from }),
      ...(to === undefined || behind === undefined ? {} : { to: (await isFree(to, behind)) ? behind : to }),
    })
  }

  /** @param tag the name of the tags whose sums are asked for; those of all charges when left out */
  async #kept(
    { route, payer, seller, caller }: SumsQuery,
    states: readonly string[],
    { tile, span }: Piece,
    tag: string | undefined,
  ): Promise<SpendPart[]> {
    const { sql, values } = filterCondition({ route, payer, seller, caller })
    const prefix = tag === undefined ? '' : `${tag}:`
    // The next character after the colon ends the range of tags that begin with it.
    const tagged = tag === undefined ? "tag = ''" : 'tag >= ? AND tag < ?'
    const bounds = tag === undefined ? [] : [prefix, `${tag};`]
    const added = SUM_COLUMNS.map((column) => {
      const isCount = column === 'charges' || column === 'unpriced'
      return `${isCount ? `sum(${column})::bigint` : `sum(${column})`} AS ${column}`
    })
    const rows = await this.#db.all(
      `SELECT spend_keys.*, state, ${added.join(', ')} FROM rollups JOIN spend_keys ON spend_keys.id = rollups.key
      WHERE tile = ? AND tagged = ? AND state = ANY(?::text[]) AND start >= ? AND start < ? AND charges > 0
      AND ${tagged} AND ${sql} GROUP BY spend_keys.id, state`,
      tile,
      tag === undefined ? 0 : 1,
      states,
      span.from,
      span.to,
      ...bounds,
      ...values,
    )
    return rows.map((row) => ({
      ...rowToNames(row),
      state: rowToState(row),
      tag: tag === undefined ? OTHER_SUBJECT : text(row, 'tag').slice(prefix.length),
      sums: rowToSums(row),
    }))
  }

  async #scan(query: SumsQuery): Promise<SpendPart[]> {
    const { sql, values } = filterCondition(query)
    const rows = await this.#db.all(
      `SELECT charges.*, input_tokens, output_tokens FROM charges
      LEFT JOIN charge_usage ON charge_usage.charge = charges.id WHERE ${sql}`,
      ...values,
    )
    return rows.map((row) => {
      const charge = rowToCharge(row)
      const tag = query.tag === undefined ? OTHER_SUBJECT : tagValue(charge.tags, query.tag)
      return { ...namesOf(charge), state: charge.state, tag, sums: sumsOf(charge, rowToUsage(row)) }
    })
  }
}
