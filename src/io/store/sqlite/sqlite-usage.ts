/** What was bought, in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { Usage } from '../../../core/stream/usage.ts'
import type { Connection } from './sqlite-file.ts'
import { integer, rowToTakenMicroUsd, text } from './sqlite-rows.ts'
import type { Consumption, ConsumptionQuery } from '../store.ts'

/** See the file's head. */
export class SqliteUsage {
  readonly #note: StatementSync
  readonly #of: StatementSync
  readonly #ofAll: StatementSync
  readonly #ofCaller: StatementSync

  constructor(db: Connection) {
    const bought = `SELECT micro_usd, amount, charged, coalesce(input_tokens, 0) AS input_tokens, coalesce(output_tokens, 0) AS output_tokens
      FROM charges LEFT JOIN charge_usage ON charge_usage.charge = charges.id
      WHERE state <> 'released' AND reserved_at >= ?`
    this.#note = db.prepare(`INSERT INTO charge_usage SELECT id, ?, ? FROM charges WHERE id = ?
      ON CONFLICT (charge) DO NOTHING`)
    this.#of = db.prepare('SELECT * FROM charge_usage WHERE charge IN (SELECT value FROM json_each(?))')
    this.#ofAll = db.prepare(bought)
    this.#ofCaller = db.prepare(`${bought} AND caller = ?`)
  }

  note(charge: string, { inputTokens, outputTokens }: Usage): void {
    this.#note.run(inputTokens, outputTokens, charge)
  }

  of(charges: readonly string[]): ReadonlyMap<string, Usage> {
    const rows = this.#of.all(JSON.stringify(charges))
    return new Map(
      rows.map((row) => [
        text(row, 'charge'),
        { inputTokens: integer(row, 'input_tokens'), outputTokens: integer(row, 'output_tokens') },
      ]),
    )
  }

  consumption({ caller, since }: ConsumptionQuery): Consumption {
    const rows = caller === undefined ? this.#ofAll.iterate(since) : this.#ofCaller.iterate(since, caller)
    let [charges, microUsd, inputTokens, outputTokens] = [0, 0n, 0, 0]
    // Added up here and not by SQL: its sums are doubles or 64-bit integers.
    for (const row of rows) {
      charges += 1
      microUsd += rowToTakenMicroUsd(row) ?? 0n
      inputTokens += integer(row, 'input_tokens')
      outputTokens += integer(row, 'output_tokens')
    }
    return { charges, microUsd, inputTokens, outputTokens }
  }
}
