/**
 * Reads what was spent from the sums. Charges are read one by one only where no sum is kept: at the ends of a span that do not
 * fall on a quarter of an hour, while they are open, and while the sums of an older ledger are still being built.
 */
import type { StatementSync } from 'node:sqlite'
import { OTHER_SUBJECT } from '../../../../core/budget/scope.ts'
import { tagValue } from '../../../../core/budget/tag-value.ts'
import type { ChargeState } from '../../../../core/charge/charge.ts'
import { filterCondition } from '../../rules/charge-filter.ts'
import {
  addSums,
  CLOSED_STATES,
  lessSums,
  namesOf,
  partsOf,
  QUARTER_MS,
  sumsOf,
  type Span,
  type SpendNames,
  type SpendSums,
} from '../../rules/rollup-rules.ts'
import type { Connection } from '../file/file.ts'
import { integer, rowToCharge, text, type Row } from '../../rows/rows.ts'
import { rowToNames, rowToSums, rowToUsage, SUM_COLUMNS } from '../../rows/rollup-rows.ts'
import type { SpendPart, SumsQuery } from '../../rules/spend-parts.ts'

interface Key extends SpendNames {
  readonly tag: string
}

/** Amounts up to this many digits are added up by SQL: nine million of them fit a 64-bit integer. */
const SMALL_DIGITS = 12
const AMOUNT_COLUMNS = SUM_COLUMNS.filter((column) => column !== 'charges' && column !== 'unpriced')

const OPEN_STATES = ['held', 'authorized'] as const

/** The reader of the sums. Called inside a transaction. */
export class RollupReader {
  readonly #db: Connection
  readonly #sums: StatementSync
  readonly #large: StatementSync
  readonly #ever: StatementSync
  readonly #reservedIn: StatementSync
  readonly #isUnbuilt: StatementSync
  readonly #range: StatementSync

  constructor(db: Connection) {
    this.#db = db
    const columns = SUM_COLUMNS.join(', ')
    const within = 'FROM rollups WHERE tile = ? AND tagged = ? AND state = ? AND start >= ? AND start < ?'
    const longest = `max(${AMOUNT_COLUMNS.map((column) => `length(${column})`).join(', ')})`
    const added = AMOUNT_COLUMNS.map(
      (
        column,
      ) => `CAST(sum(CASE WHEN ${longest} <= ${SMALL_DIGITS} THEN CAST(${column} AS INTEGER) ELSE 0 END) AS TEXT)
        AS ${column}`,
    )
    this.#sums =
      db.prepare(`SELECT key, sum(charges) AS charges, sum(unpriced) AS unpriced, ${added.join(', ')},
      max(${longest}) AS longest ${within} GROUP BY key`)
    this.#large = db.prepare(`SELECT key, 0 AS charges, 0 AS unpriced, ${AMOUNT_COLUMNS.join(', ')} ${within}
      AND ${longest} > ${SMALL_DIGITS}`)
    this.#ever = db.prepare(
      `SELECT ${columns} FROM rollups WHERE tile = 'ever' AND tagged = 0 AND state = 'uncertain'`,
    )
    this.#reservedIn = db.prepare('SELECT 1 FROM charges WHERE reserved_at >= ? AND reserved_at < ? LIMIT 1')
    this.#isUnbuilt = db.prepare('SELECT 1 FROM charges INDEXED BY charges_by_key WHERE key IS NULL LIMIT 1')
    this.#range = db.prepare('SELECT min(reserved_at) AS first, max(reserved_at) AS last FROM charges')
  }

  /** The parts that together are what a query asks for. */
  read(query: SumsQuery): SpendPart[] {
    if (query.instance !== undefined) return this.#scan(query, '', 'TRUE')
    const closed = CLOSED_STATES.filter((state) => query.states?.includes(state) ?? true)
    const open = OPEN_STATES.filter((state) => query.states?.includes(state) ?? true)
    const parts = open.length === 0 ? [] : this.#open({ ...query, states: open })
    if (closed.length === 0) return parts
    const spans = this.#spansOf(query)
    parts.push(...this.#kept(query, closed, spans))
    for (const end of spans.ends) {
      const within = { ...query, ...end, states: closed }
      parts.push(...this.#scan(within, 'INDEXED BY charges_by_time', 'key IS NOT NULL'))
    }
    if (this.#isUnbuilt.get() !== undefined) {
      const unbuilt = { ...query, states: closed }
      parts.push(...this.#scan(unbuilt, 'INDEXED BY charges_by_key', 'key IS NULL'))
    }
    return parts
  }

  /** The sums of all uncertain charges. */
  uncertain(): SpendSums[] {
    const kept = this.#ever.all().map(rowToSums)
    if (this.#isUnbuilt.get() === undefined) return kept
    const more = this.#scan({ states: ['uncertain'] }, 'INDEXED BY charges_by_key', 'key IS NULL')
    return [...kept, ...more.map(({ sums }) => sums)]
  }

  /** The reservations of the first and the last charge, milliseconds since the epoch; `undefined` without charges. */
  range(): { readonly first: number; readonly last: number } | undefined {
    const row = this.#range.get()
    if (!row || row['first'] === null) return undefined
    return { first: integer(row, 'first'), last: integer(row, 'last') }
  }

  #open(query: SumsQuery): SpendPart[] {
    // Word for word the condition of the index charges_open.
    return this.#scan(query, 'INDEXED BY charges_open', "state IN ('held', 'authorized')")
  }

  /** An end without charges in the rest of its quarter of an hour is a whole one: so is mostly the one that is now. */
  #spansOf({ from, to }: SumsQuery): ReturnType<typeof partsOf> {
    const before = from === undefined ? undefined : Math.floor(from / QUARTER_MS) * QUARTER_MS
    const behind = to === undefined ? undefined : Math.ceil(to / QUARTER_MS) * QUARTER_MS
    const isFree = (start: number, end: number): boolean => this.#reservedIn.get(start, end) === undefined
    return partsOf({
      ...(from === undefined || before === undefined ? {} : { from: isFree(before, from) ? before : from }),
      ...(to === undefined || behind === undefined ? {} : { to: isFree(to, behind) ? behind : to }),
    })
  }

  #kept(
    query: SumsQuery,
    states: readonly (typeof CLOSED_STATES)[number][],
    { days, quarters }: { readonly days: readonly Span[]; readonly quarters: readonly Span[] },
  ): SpendPart[] {
    const pieces = [
      ...days.map((span) => ({ tile: 'day', span })),
      ...quarters.map((span) => ({ tile: 'quarter', span })),
    ]
    if (pieces.length === 0) return []
    const all = this.#keys(query, undefined)
    const tagged = query.tag === undefined ? undefined : this.#keys(query, query.tag)
    return states.flatMap((state) => [
      ...this.#sumsIn(pieces, state, 0, all).map(([key, sums]) => ({ ...key, state, sums })),
      ...(tagged ? this.#sumsIn(pieces, state, 1, tagged) : []).flatMap(([key, sums]) => [
        { ...key, state, sums },
        { ...key, tag: OTHER_SUBJECT, state, sums: lessSums(sums) },
      ]),
    ])
  }

  #sumsIn(
    pieces: readonly { readonly tile: string; readonly span: Span }[],
    state: ChargeState,
    tagged: 0 | 1,
    keys: ReadonlyMap<number, Key>,
  ): (readonly [Key, SpendSums])[] {
    if (keys.size === 0) return []
    const sums = new Map<number, SpendSums>()
    const add = (row: Row): void => {
      const id = integer(row, 'key')
      if (!keys.has(id)) return
      const known = sums.get(id)
      sums.set(id, known ? addSums(known, rowToSums(row)) : rowToSums(row))
    }
    for (const { tile, span } of pieces) {
      const bounds = [tile, tagged, state, span.from, span.to]
      const rows = this.#sums.all(...bounds)
      for (const row of rows) add(row)
      // Larger amounts are added up here: SQL's sums are doubles or 64-bit integers.
      if (rows.some((row) => integer(row, 'longest') > SMALL_DIGITS)) {
        for (const row of this.#large.iterate(...bounds)) add(row)
      }
    }
    return [...sums].flatMap(([id, sum]) => {
      const key = keys.get(id)
      return key ? [[key, sum] as const] : []
    })
  }

  /** The keys that a filter matches: without tags, or those of one name of tags. */
  #keys({ route, payer, seller, caller }: SumsQuery, tag: string | undefined): Map<number, Key> {
    const { sql, values } = filterCondition({ route, payer, seller, caller })
    const prefix = tag === undefined ? '' : `${tag}:`
    // The next character after the colon ends the range of tags that begin with it.
    const [condition, bounds] =
      tag === undefined ? ["tag = ''", []] : ['tag >= ? AND tag < ?', [prefix, `${tag};`]]
    const rows = this.#db.prepare(`SELECT * FROM spend_keys WHERE ${condition} AND ${sql}`)
    return new Map(
      rows.all(...bounds, ...values).map((row) => {
        const value = tag === undefined ? OTHER_SUBJECT : text(row, 'tag').slice(prefix.length)
        return [integer(row, 'id'), { ...rowToNames(row), tag: value }]
      }),
    )
  }

  #scan(query: SumsQuery, index: string, condition: string): SpendPart[] {
    const { sql, values } = filterCondition(query)
    const rows = this.#db.prepare(`SELECT charges.*, input_tokens, output_tokens FROM charges ${index}
      LEFT JOIN charge_usage ON charge_usage.charge = charges.id WHERE ${condition} AND ${sql}`)
    const parts: SpendPart[] = []
    for (const row of rows.iterate(...values)) {
      const charge = rowToCharge(row)
      const tag = query.tag === undefined ? OTHER_SUBJECT : tagValue(charge.tags, query.tag)
      const sums = sumsOf(charge, rowToUsage(row))
      parts.push({ ...namesOf(charge), state: charge.state, tag, sums })
    }
    return parts
  }
}
