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
import { integer, rowToCharge, text, type Row } from '../../rows/rows.ts'

const ALL_STATES: readonly ChargeState[] = ['held', 'authorized', 'settled', 'uncertain', 'released']

/** The list of charges. Called inside a transaction. */
export class ChargeList {
  readonly #db: Connection
  readonly #get: StatementSync
  readonly #ofKey: StatementSync

  constructor(db: Connection) {
    this.#db = db
    this.#get = db.prepare('SELECT * FROM charges WHERE rowid = ?')
    this.#ofKey = db.prepare(`SELECT rowid AS place, id, reserved_at FROM charges INDEXED BY charges_by_key
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
    return this.#newest(names, new Set(states ?? ALL_STATES), new Page(limit, query)).flatMap(({ place }) => {
      const row = this.#get.get(place)
      return row ? [rowToCharge(row)] : []
    })
  }

  #newest(names: ChargeFilter, states: ReadonlySet<ChargeState>, page: Page): readonly Found[] {
    const keys = this.#keys(names)
    const lists = [...states].flatMap((state) => [
      ...keys.map(
        (key) => (before: ChargeCursor, limit: number) => this.#ofOneKey({ key, state, page, before, limit }),
      ),
      (before: ChargeCursor, limit: number) => this.#withoutKey(names, { state, page, before, limit }),
    ])
    // A share of the page from each list shows how far back the page reaches; only lists that were cut short go on from there.
    const share = Math.min(page.limit, Math.ceil((2 * page.limit) / lists.length) + 1)
    const cut = lists.flatMap((list) => {
      const found = list(page.before, share)
      page.add(found)
      const last = found.at(-1)
      return last && found.length === share ? [{ list, last }] : []
    })
    page.newest()
    for (const { list, last } of cut) if (page.reaches(last)) page.add(list(last, page.limit))
    return page.newest()
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

  #ofOneKey({ key, state, page, before, limit }: Wanted & { readonly key: number }): Found[] {
    return this.#ofKey.all(key, state, page.from, before.reservedAt, before.id, limit).map(rowToFound)
  }

  /** Charges of older versions whose key is still to be set: none, once that is done. */
  #withoutKey(names: ChargeFilter, { state, page, before, limit }: Wanted): Found[] {
    const { sql, values } = filterCondition(names)
    return this.#db
      .prepare(`SELECT rowid AS place, id, reserved_at FROM charges INDEXED BY charges_by_key
        WHERE key IS NULL AND state = ? AND reserved_at >= ? AND (reserved_at, id) < (?, ?) AND ${sql}
        ORDER BY reserved_at DESC, id DESC LIMIT ?`)
      .all(state, page.from, before.reservedAt, before.id, ...values, limit)
      .map(rowToFound)
  }
}

/** A charge and where its row is. */
interface Found extends ChargeCursor {
  readonly place: number
}

interface Wanted {
  readonly state: ChargeState
  readonly page: Page
  /** What comes before it in the list is not wanted. */
  readonly before: ChargeCursor
  readonly limit: number
}

/** The newest charges found so far. What is older than the last of a full page is not looked for. */
class Page {
  readonly limit: number
  /** What follows in the list comes before this. */
  readonly before: ChargeCursor
  #found: Found[] = []
  #from: number

  constructor(limit: number, { from, to, before }: ChargeQuery) {
    this.limit = limit
    this.#from = from ?? Number.MIN_SAFE_INTEGER
    // Before every id at that instant.
    const end = { reservedAt: to ?? Number.MAX_SAFE_INTEGER, id: '' }
    this.before = before && isBehind(before, end) ? before : end
  }

  /** Reserved at or after this instant, milliseconds since the epoch. */
  get from(): number {
    return this.#from
  }

  /** Whether a charge may still be on the page. */
  reaches({ reservedAt }: ChargeCursor): boolean {
    return reservedAt >= this.#from
  }

  add(more: readonly Found[]): void {
    this.#found.push(...more)
    if (this.#found.length > 4 * this.limit + 1000) this.newest()
  }

  /** In the order of the list. */
  newest(): readonly Found[] {
    this.#found = this.#found.toSorted((a, b) => (isBehind(b, a) ? -1 : 1)).slice(0, this.limit)
    const last = this.#found[this.limit - 1]
    if (last) this.#from = Math.max(this.#from, last.reservedAt)
    return this.#found
  }
}

function rowToFound(row: Row): Found {
  return { place: integer(row, 'place'), reservedAt: integer(row, 'reserved_at'), id: text(row, 'id') }
}
