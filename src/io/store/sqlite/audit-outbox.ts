/** The audit outbox in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { Charge } from '../../../core/charge/charge.ts'
import type { AuditOutbox } from '../contracts/audit-outbox.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { Connection } from './file/file.ts'
import { rowToCharge } from '../rows/rows.ts'

/** The audit outbox of the SQLite ledger. Its table is named `untold`: renaming it would need a migration. */
export class SqliteAuditOutbox implements InTransaction<AuditOutbox> {
  readonly #add: StatementSync
  readonly #publish: StatementSync
  readonly #of: StatementSync
  readonly #adopt: StatementSync

  constructor(db: Connection) {
    this.#add = db.prepare('INSERT OR REPLACE INTO untold (charge, instance) VALUES (?, ?)')
    this.#publish = db.prepare(`DELETE FROM untold WHERE charge = ?
      AND EXISTS (SELECT 1 FROM charges WHERE id = untold.charge AND state = ? AND proof IS ?)`)
    this.#of = db.prepare(`SELECT charges.* FROM untold JOIN charges ON charges.id = untold.charge
      WHERE untold.instance = ? ORDER BY charges.id`)
    this.#adopt = db.prepare('UPDATE untold SET instance = ? WHERE instance = ?')
  }

  /** Adds a charge that was moved by an instance; without one nothing is published. */
  add(charge: string, by: string | undefined): void {
    if (by !== undefined) this.#add.run(charge, by)
  }

  markPublished(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): void {
    for (const { id, state, proof } of charges) this.#publish.run(id, state, proof ?? null)
  }

  adopt(from: string, to: string): Charge[] {
    const charges = this.#of.all(from).map(rowToCharge)
    if (charges.length > 0) this.#adopt.run(to, from)
    return charges
  }
}
