/** Moves of the SQLite ledger that the audit file may not tell yet. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { Charge } from '../../../core/charge/charge.ts'
import type { Connection } from './sqlite-file.ts'
import { rowToCharge } from './sqlite-rows.ts'

/** See the file's head. */
export class SqliteAuditOutbox {
  readonly #leave: StatementSync
  readonly #told: StatementSync
  readonly #of: StatementSync
  readonly #adopt: StatementSync

  constructor(db: Connection) {
    this.#leave = db.prepare('INSERT OR REPLACE INTO untold (charge, instance) VALUES (?, ?)')
    this.#told = db.prepare(`DELETE FROM untold WHERE charge = ?
      AND EXISTS (SELECT 1 FROM charges WHERE id = untold.charge AND state = ? AND proof IS ?)`)
    this.#of = db.prepare(`SELECT charges.* FROM untold JOIN charges ON charges.id = untold.charge
      WHERE untold.instance = ? ORDER BY charges.id`)
    this.#adopt = db.prepare('UPDATE untold SET instance = ? WHERE instance = ?')
  }

  /** Leaves a move to be told by a process. */
  leave(charge: string, by: string | undefined): void {
    if (by !== undefined) this.#leave.run(charge, by)
  }

  told({ id, state, proof }: Pick<Charge, 'id' | 'state' | 'proof'>): void {
    this.#told.run(id, state, proof ?? null)
  }

  adopt(from: string, to: string): Charge[] {
    const charges = this.#of.all(from).map(rowToCharge)
    if (charges.length > 0) this.#adopt.run(to, from)
    return charges
  }
}
