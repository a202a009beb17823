/** Heads of audit files in the Postgres ledger. Called inside the store's transactions. */
import type { AuditHeadNote, AuditHeadStore } from '../contracts/audit-heads.ts'
import { integer, text } from '../rows/rows.ts'
import type { Transaction } from './database/transaction.ts'

/** The audit heads of the Postgres ledger. */
export class PostgresAuditHeads implements AuditHeadStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  async noteAuditHead({ file, seq, hash, at }: AuditHeadNote): Promise<void> {
    await this.#db.run(
      `INSERT INTO audit_heads (file, seq, hash, at) VALUES (?, ?, ?, ?)
      ON CONFLICT (file) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at`,
      file,
      seq,
      hash,
      at,
    )
  }

  async auditHeads(): Promise<AuditHeadNote[]> {
    const rows = await this.#db.all('SELECT * FROM audit_heads ORDER BY file')
    return rows.map((row) => ({
      file: text(row, 'file'),
      seq: integer(row, 'seq'),
      hash: text(row, 'hash'),
      at: integer(row, 'at'),
    }))
  }
}
