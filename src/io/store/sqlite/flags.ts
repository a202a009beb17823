/** Flags of charges in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { ChainFinding, ChargeFlag } from '../../../core/charge/reconcile.ts'
import type { Flagged, FlagQuery, FlagStore } from '../contracts/flags.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import type { Connection } from './file/file.ts'
import { rowToFlagCount, rowToFlagged } from '../rows/rows.ts'

/** The flags of the SQLite ledger. */
export class SqliteFlags implements InTransaction<FlagStore> {
  readonly #table: ChargeTable
  readonly #flag: StatementSync
  readonly #unflag: StatementSync
  readonly #all: StatementSync
  readonly #of: StatementSync
  readonly #counts: StatementSync

  constructor(db: Connection, table: ChargeTable) {
    this.#table = table
    this.#flag = db.prepare('INSERT OR IGNORE INTO flags (charge, flag, detail, at) VALUES (?, ?, ?, ?)')
    this.#unflag = db.prepare('DELETE FROM flags WHERE charge = ? AND flag = ?')
    this.#all = db.prepare('SELECT * FROM flags ORDER BY at DESC, charge DESC, flag LIMIT ?')
    this.#of = db.prepare('SELECT * FROM flags WHERE charge = ? ORDER BY at DESC, flag LIMIT ?')
    this.#counts = db.prepare('SELECT flag, count(*) AS count FROM flags GROUP BY flag ORDER BY flag')
  }

  flag(id: string, finding: ChainFinding, at: number): boolean {
    this.#table.find(id)
    return Number(this.#flag.run(id, finding.flag, finding.detail, at).changes) === 1
  }

  unflag(id: string, flags: readonly ChargeFlag[]): void {
    for (const flag of flags) this.#unflag.run(id, flag)
  }

  flags(query?: FlagQuery): Flagged[] {
    const limit = queryLimit(query)
    const rows = query?.charge === undefined ? this.#all.all(limit) : this.#of.all(query.charge, limit)
    return rows.map(rowToFlagged)
  }

  flagCounts(): { readonly flag: ChargeFlag; readonly count: number }[] {
    return this.#counts.all().map(rowToFlagCount)
  }
}
