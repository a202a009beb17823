/** Heads of audit files in the Postgres ledger. Called inside the store's transactions. */
import { hostname } from 'node:os'
import type { AuditHeadNote, AuditHeadStore } from '../contracts/audit-heads.ts'
import { integer, text } from '../rows/rows.ts'
import type { Transaction } from './database/transaction.ts'

/** The audit heads of the Postgres ledger: those of this machine, because another one has files of its own at the same paths. */
export class PostgresAuditHeads implements AuditHeadStore {
  readonly #db: Transaction
  readonly #host = hostname()

  constructor(db: Transaction) {
    this.#db = db
  }

  async noteAuditHead({ file, seq, hash, at }: AuditHeadNote): Promise<void> {
    await this.#db.run(
      `INSERT INTO audit_heads (host, file, seq, hash, at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (host, file) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, at = excluded.at`,
      this.#host,
      file,
      seq,
      hash,
      at,
    )
  }

  async auditHeads(): Promise<AuditHeadNote[]> {
    const rows = await this.#db.all('SELECT * FROM audit_heads WHERE host = ? ORDER BY file', this.#host)
    return rows.map((row) => ({
      file: text(row, 'file'),
      seq: integer(row, 'seq'),
      hash: text(row, 'hash'),
      at: integer(row, 'at'),
    }))
  }
}
