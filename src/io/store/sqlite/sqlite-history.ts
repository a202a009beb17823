/** Charges in the order of their reservation, and the heads of audit files. Called inside the store's transactions. */
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import type { Charge } from '../../../core/charge/charge.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { Connection } from './sqlite-file.ts'
import { integer, rowToCharge, text } from './sqlite-rows.ts'
import type { AuditHeadNote, HistoryQuery } from '../store.ts'

/** See the file's head. */
export class SqliteHistory {
  readonly #of: StatementSync
  readonly #all: StatementSync
  readonly #long: StatementSync
  readonly #note: StatementSync
  readonly #heads: StatementSync

  constructor(db: Connection) {
    const select = (condition: string, index = ''): string => `SELECT * FROM charges ${index}
      WHERE (reserved_at, id) > (:at, :id) AND reserved_at < :until ${condition}
      ORDER BY reserved_at, id LIMIT :limit`
    this.#all = db.prepare(select(''))
    this.#of = db.prepare(select('AND instance = :instance'))
    // The first condition is word for word the one of the index charges_long.
    this.#long = db.prepare(
      select(
        'AND valid_before * 1000 > reserved_at + 86400000 AND valid_before >= :valid',
        'INDEXED BY charges_long',
      ),
    )
    this.#note = db.prepare('INSERT OR REPLACE INTO audit_heads (file, seq, hash, at) VALUES (?, ?, ?, ?)')
    this.#heads = db.prepare('SELECT * FROM audit_heads ORDER BY file')
  }

  read(query: HistoryQuery): Charge[] {
    const { since, until, after, instance, longValidAt: valid } = query
    const bounds: Record<string, SQLInputValue> = {
      at: after?.reservedAt ?? since,
      id: after?.id ?? '',
      until,
      limit: queryLimit(query),
    }
    if (valid !== undefined) return this.#long.all({ ...bounds, valid }).map(rowToCharge)
    const rows = instance === undefined ? this.#all.all(bounds) : this.#of.all({ ...bounds, instance })
    return rows.map(rowToCharge)
  }

  note({ file, seq, hash, at }: AuditHeadNote): void {
    this.#note.run(file, seq, hash, at)
  }

  heads(): AuditHeadNote[] {
    return this.#heads.all().map((row) => ({
      file: text(row, 'file'),
      seq: integer(row, 'seq'),
      hash: text(row, 'hash'),
      at: integer(row, 'at'),
    }))
  }
}
