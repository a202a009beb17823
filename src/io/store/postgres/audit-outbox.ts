/** The audit outbox in the Postgres ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { AuditOutbox } from '../contracts/audit-outbox.ts'
import { rowToCharge, text } from '../rows/rows.ts'
import type { Transaction } from './database/transaction.ts'

/** The audit outbox of the Postgres ledger. Its table is named `untold`, as in SQLite's. */
export class PostgresAuditOutbox implements AuditOutbox {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** Adds a charge that was moved by an instance; without one nothing is published. */
  async add(charge: string, by: string | undefined): Promise<void> {
    if (by === undefined) return
    await this.#db.run(
      `INSERT INTO untold (charge, instance) VALUES (?, ?)
      ON CONFLICT (charge) DO UPDATE SET instance = excluded.instance`,
      charge,
      by,
    )
  }

  async markPublished(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): Promise<void> {
    // The charges are locked first: a move that is under way would put its charge into the outbox after it was looked at.
    await this.#db.all(
      'SELECT 1 FROM charges WHERE id = ANY(?::text[]) ORDER BY id FOR UPDATE',
      charges.map(({ id }) => id),
    )
    for (const { id, state, proof } of charges) {
      await this.#db.run(
        `DELETE FROM untold WHERE charge = ? AND EXISTS
        (SELECT 1 FROM charges WHERE id = untold.charge AND state = ? AND proof IS NOT DISTINCT FROM ?::text)`,
        id,
        state,
        proof ?? null,
      )
    }
  }

  async adopt(from: string, to: string): Promise<Charge[]> {
    // A second process waits here, and finds that none of them is of that instance any more.
    const taken = await this.#db.all(
      'UPDATE untold SET instance = ? WHERE instance = ? RETURNING charge',
      to,
      from,
    )
    if (taken.length === 0) return []
    const charges = await this.#db.all(
      'SELECT * FROM charges WHERE id = ANY(?::text[]) ORDER BY id',
      taken.map((row) => text(row, 'charge')),
    )
    return charges.map(rowToCharge)
  }
}
