/**
 * Lists charges, newest first, by any filter: every combination of names is a set of keys, and the index by key and state gives
 * the newest charges of each. What a page costs depends on the number of keys, not on the history.
 */
import type { StatementSync } from 'node:sqlite'
import type { Charge, ChargeState } from '../../../../core/charge/charge.ts'
import type { ChargeCursor, ChargeFilter, ChargeQuery } from '../../contracts/charges.ts'
import { filterCondition, isBehind } from '../../rules/charge-filter.ts'
import { queryLimit } from '../../rules/charge-rules.ts'
import type { Connection } from '../file/file.ts'
import { integer, rowToCharge, text } from '../file/rows.ts'

const ALL_STATES: readonly ChargeState[] = ['held', 'authorized', 'settled', 'uncertain', 'released']

/** The list of charges. Called inside a transaction. */
export class ChargeList {
  readonly #db: Connection
  readonly #get: StatementSync
  readonly #ofKey: StatementSync

  constructor(db: Connection) {
    this.#db = db
    this.#get = db.prepare('SELECT * FROM charges WHERE id = ?')
    this.#ofKey = db.prepare(`SELECT id, reserved_at FROM charges INDEXED BY charges_by_key
      WHERE key = ? AND state = ? AND reserved_at >= ? AND (reserved_at, id) < (?, ?)
      ORDER BY reserved_at DESC, id DESC LIMIT ?`)
  }

  /** See `ChargeStore.charges`. @throws RangeError for a limit that is no whole number from 0 */
  read(query: ChargeQuery): Charge[] {
    const limit = queryLimit(query)
    const { states, route, payer, seller, caller } = query
    const names = { route, payer, seller, caller }
    const isNamed = Object.values(names).some((name) => name !== undefined)
    // By time alone, or by instance and time, an index gives the page as it is.
    if (query.instance !== undefined || (!isNamed && states === undefined)) return this.#byTime(query, limit)
    const page = new NewestFirst(limit, query)
    for (const state of new Set(states ?? ALL_STATES)) {
      for (const key of this.#keys(names)) page.add(this.#ofOneKey(key, state, page, limit))
      page.add(this.#withoutKey(names, state, page, limit))
    }
    return page.found.flatMap(({ id }) => {
      const row = this.#get.get(id)
      return row ? [rowToCharge(row)] : []
    })
  }

  #byTime(query: ChargeQuery, limit: number): Charge[] {
    const { sql, values } = filterCondition(query, query.before)
    return this.#db
      .prepare(`SELECT * FROM charges WHERE ${sql} ORDER BY reserved_at DESC, id DESC LIMIT ?`)
      .all(...values, limit)
      .map(rowToCharge)
  }

  #keys(names: ChargeFilter): number[] {
    const { sql, values } = filterCondition(names)
    return this.#db
      .prepare(`SELECT id FROM spend_keys WHERE tag = '' AND ${sql}`)
      .all(...values)
      .map((row) => integer(row, 'id'))
  }

  #ofOneKey(key: number, state: ChargeState, page: NewestFirst, limit: number): ChargeCursor[] {
    const { reservedAt, id } = page.before
    return this.#ofKey.all(key, state, page.from, reservedAt, id, limit).map(rowToCursor)
  }

  /** Charges of older versions whose key is still to be set: none, once that is done. */
  #withoutKey(names: ChargeFilter, state: ChargeState, page: NewestFirst, limit: number): ChargeCursor[] {
    const { sql, values } = filterCondition(names)
    const { reservedAt, id } = page.before
    return this.#db
      .prepare(`SELECT id, reserved_at FROM charges INDEXED BY charges_by_key
        WHERE key IS NULL AND state = ? AND reserved_at >= ? AND (reserved_at, id) < (?, ?) AND ${sql}
        ORDER BY reserved_at DESC, id DESC LIMIT ?`)
      .all(state, page.from, reservedAt, id, ...values, limit)
      .map(rowToCursor)
  }
}

/** The newest charges found so far. What is older than the last of a full page is not looked for. */
class NewestFirst {
  /** In the order of the list. */
  found: ChargeCursor[] = []
  /** What follows in the list comes before this. */
  readonly before: ChargeCursor
  /** Reserved at or after this instant, milliseconds since the epoch. */
  from: number
  readonly #limit: number

  constructor(limit: number, { from, to, before }: ChargeQuery) {
    this.#limit = limit
    this.from = from ?? Number.MIN_SAFE_INTEGER
    // Before every id at that instant.
    const end = { reservedAt: to ?? Number.MAX_SAFE_INTEGER, id: '' }
    this.before = before && isBehind(before, end) ? before : end
  }

  add(more: readonly ChargeCursor[]): void {
    if (more.length === 0) return
    this.found = [...this.found, ...more].toSorted((a, b) => (isBehind(b, a) ? -1 : 1)).slice(0, this.#limit)
    const last = this.found[this.#limit - 1]
    if (last) this.from = Math.max(this.from, last.reservedAt)
  }
}

function rowToCursor(row: Parameters<typeof text>[0]): ChargeCursor {
  return { reservedAt: integer(row, 'reserved_at'), id: text(row, 'id') }
}
