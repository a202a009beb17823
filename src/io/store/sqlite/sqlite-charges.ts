/** Lists and sums of charges in the SQLite ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import { ALL_TOGETHER, filterCondition, type SpendQuery, type SpendRow } from '../charge-filter.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { Connection } from './sqlite-file.ts'
import { amount, integer, rowToCharge, rowToState, rowToTakenMicroUsd, text } from './sqlite-rows.ts'
import type { ChargeQuery } from '../store.ts'

/** Values up to this many digits are added up by SQL: nine million of them fit a 64-bit integer. */
const SMALL_DIGITS = 12

/** See the file's head. */
export class SqliteCharges {
  readonly #db: Connection

  constructor(db: Connection) {
    this.#db = db
  }

  list(query: ChargeQuery): Charge[] {
    const limit = queryLimit(query)
    const { sql, values } = filterCondition(query, query.before)
    return this.#db
      .prepare(`SELECT * FROM charges WHERE ${sql} ORDER BY reserved_at DESC, id DESC LIMIT ?`)
      .all(...values, limit)
      .map(rowToCharge)
  }

  spend(query: SpendQuery): SpendRow[] {
    const { sql, values } = filterCondition(query)
    // A column of ours, never text from outside.
    const group = query.by ?? `'${ALL_TOGETHER}'`
    const small = `length(micro_usd) <= ${SMALL_DIGITS} AND charged IS NULL`
    const rows = this.#db.prepare(
      `SELECT ${group} AS name, state, count(*) AS charges, count(*) - count(micro_usd) AS unpriced,
        CAST(coalesce(sum(CASE WHEN ${small} THEN CAST(micro_usd AS INTEGER) END), 0) AS TEXT) AS total
        FROM charges WHERE ${sql} GROUP BY name, state ORDER BY name, state`,
    )
    const large = this.#db.prepare(
      `SELECT ${group} AS name, state, micro_usd, amount, charged FROM charges
        WHERE (length(micro_usd) > ${SMALL_DIGITS} OR charged IS NOT NULL) AND ${sql}`,
    )
    // Larger ones, and parts of what was signed, are added up here: SQL's sums are doubles or 64-bit integers.
    const more = new Map<string, bigint>()
    for (const row of large.iterate(...values)) {
      const key = JSON.stringify([text(row, 'name'), rowToState(row)])
      more.set(key, (more.get(key) ?? 0n) + (rowToTakenMicroUsd(row) ?? 0n))
    }
    return rows.all(...values).map((row) => {
      const [name, state] = [text(row, 'name'), rowToState(row)]
      const microUsd = amount(row, 'total') + (more.get(JSON.stringify([name, state])) ?? 0n)
      const [charges, unpriced] = [integer(row, 'charges'), integer(row, 'unpriced')]
      return { group: name, state, charges, unpriced, microUsd }
    })
  }
}
