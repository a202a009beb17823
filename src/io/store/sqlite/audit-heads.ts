/** Heads of audit files in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { AuditHeadNote, AuditHeadStore } from '../contracts/audit-heads.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { Connection } from './file/file.ts'
import { integer, text } from '../rows/rows.ts'

/** The audit heads of the SQLite ledger. */
export class SqliteAuditHeads implements InTransaction<AuditHeadStore> {
  readonly #note: StatementSync
  readonly #all: StatementSync

  constructor(db: Connection) {
    this.#note = db.prepare('INSERT OR REPLACE INTO audit_heads (file, seq, hash, at) VALUES (?, ?, ?, ?)')
    this.#all = db.prepare('SELECT * FROM audit_heads ORDER BY file')
  }

  noteAuditHead({ file, seq, hash, at }: AuditHeadNote): void {
    this.#note.run(file, seq, hash, at)
  }

  auditHeads(): AuditHeadNote[] {
    return this.#all.all().map((row) => ({
      file: text(row, 'file'),
      seq: integer(row, 'seq'),
      hash: text(row, 'hash'),
      at: integer(row, 'at'),
    }))
  }
}
