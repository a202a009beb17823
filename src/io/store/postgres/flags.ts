/** Flags of charges in the Postgres ledger. Called inside the store's transactions. */
import type { ChainFinding, ChargeFlag } from '../../../core/charge/reconcile.ts'
import type { Flagged, FlagQuery, FlagStore } from '../contracts/flags.ts'
import { rowToFlagCount, rowToFlagged } from '../rows/rows.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { ChargeTable } from './charge-table.ts'
import type { Transaction } from './database/transaction.ts'

/** The flags of the Postgres ledger. */
export class PostgresFlags implements FlagStore {
  readonly #db: Transaction
  readonly #table: ChargeTable

  constructor(db: Transaction, table: ChargeTable) {
    this.#db = db
    this.#table = table
  }

  async flag(id: string, finding: ChainFinding, at: number): Promise<boolean> {
    await this.#table.find(id)
    const added = await this.#db.run(
      'INSERT INTO flags (charge, flag, detail, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING',
      id,
      finding.flag,
      finding.detail,
      at,
    )
    return added === 1
  }

  async unflag(id: string, flags: readonly ChargeFlag[]): Promise<void> {
    await this.#db.run('DELETE FROM flags WHERE charge = ? AND flag = ANY(?::text[])', id, flags)
  }

  async flags(query?: FlagQuery): Promise<Flagged[]> {
    const limit = queryLimit(query)
    const rows =
      query?.charge === undefined
        ? await this.#db.all('SELECT * FROM flags ORDER BY at DESC, charge DESC, flag LIMIT ?', limit)
        : await this.#db.all(
            'SELECT * FROM flags WHERE charge = ? ORDER BY at DESC, flag LIMIT ?',
            query.charge,
            limit,
          )
    return rows.map(rowToFlagged)
  }

  async flagCounts(): Promise<{ readonly flag: ChargeFlag; readonly count: number }[]> {
    const rows = await this.#db.all('SELECT flag, count(*) AS count FROM flags GROUP BY flag ORDER BY flag')
    return rows.map(rowToFlagCount)
  }
}
