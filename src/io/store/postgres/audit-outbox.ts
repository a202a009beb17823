/** The audit outbox in the Postgres ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { AuditOutbox } from '../contracts/audit-outbox.ts'
import { rowToCharge, text } from '../rows/rows.ts'
import { json, type Transaction } from './database/transaction.ts'

/** The audit outbox of the Postgres ledger. Its table is named `untold`, as in SQLite's. */
export class PostgresAuditOutbox implements AuditOutbox {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  /** Adds charges that were moved by an instance; of those without one nothing is published. */
  add(moved: readonly { readonly charge: string; readonly by: string | undefined }[]): void {
    const rows = moved.flatMap(({ charge, by }) => (by === undefined ? [] : [{ charge, instance: by }]))
    if (rows.length === 0) return
    this.#db.send(
      `INSERT INTO untold SELECT * FROM jsonb_populate_recordset(NULL::untold, ?::jsonb)
      ON CONFLICT (charge) DO UPDATE SET instance = excluded.instance`,
      json(rows),
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
