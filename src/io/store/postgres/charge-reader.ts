/** Lists of charges in the Postgres ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { ChargeQuery, HistoryQuery, UnprovenQuery } from '../contracts/charges.ts'
import { rowToCharge } from '../rows/rows.ts'
import { filterCondition } from '../rules/charge-filter.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { Transaction } from './database/transaction.ts'

/** The reader of charges. */
export class ChargeReader {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** See `ChargeStore.charges`. */
  async charges(query: ChargeQuery): Promise<Charge[]> {
    const limit = queryLimit(query)
    const { sql, values } = filterCondition(query, query.before)
    const rows = await this.#db.all(
      `SELECT * FROM charges WHERE ${sql} ORDER BY reserved_at DESC, id DESC LIMIT ?`,
      ...values,
      limit,
    )
    return rows.map(rowToCharge)
  }

  /** See `ChargeStore.history`. */
  async history(query: HistoryQuery): Promise<Charge[]> {
    const { since, until, after, instance = null, longValidAt } = query
    const isLong =
      longValidAt === undefined
        ? 'TRUE'
        : 'valid_before * 1000 > reserved_at + 86400000 AND valid_before >= ?'
    const rows = await this.#db.all(
      `SELECT * FROM charges WHERE (reserved_at, id) > (?, ?) AND reserved_at < ?
      AND ${instance === null ? 'TRUE' : 'instance = ?'} AND ${isLong} ORDER BY reserved_at, id LIMIT ?`,
      after?.reservedAt ?? since,
      after?.id ?? '',
      until,
      ...(instance === null ? [] : [instance]),
      ...(longValidAt === undefined ? [] : [longValidAt]),
      queryLimit(query),
    )
    return rows.map(rowToCharge)
  }

  /** See `ChargeStore.unproven`. */
  async unproven(query: UnprovenQuery): Promise<Charge[]> {
    const limit = queryLimit(query)
    const read = async (condition: string): Promise<Charge[]> => {
      const rows = await this.#db.all(
        `SELECT * FROM charges WHERE ${condition} AND network = ? AND id > ?
        AND NOT EXISTS (SELECT 1 FROM flags WHERE charge = charges.id AND flag = 'receipt_unproven')
        ORDER BY id LIMIT ?`,
        query.network,
        query.after ?? '',
        limit,
      )
      return rows.map(rowToCharge)
    }
    const claimed = query.claimed === true
    const uncertain =
      query.state === 'settled'
        ? []
        : await read(`state = 'uncertain'${claimed ? ' AND tx IS NOT NULL' : ''}`)
    const settled =
      query.state === 'uncertain' || claimed ? [] : await read("state = 'settled' AND proof <> 'chain'")
    return [...uncertain, ...settled].toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
  }

  /** See `ChargeStore.withTransaction`. */
  async withTransaction(network: string, transaction: string): Promise<Charge[]> {
    const rows = await this.#db.all(
      'SELECT * FROM charges WHERE tx = ? AND network = ? ORDER BY id LIMIT 2',
      transaction,
      network,
    )
    return rows.map(rowToCharge)
  }
}
