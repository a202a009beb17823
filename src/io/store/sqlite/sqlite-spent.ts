/** What was settled, in the SQLite ledger. Called inside the store's transactions. */
import { rowToSpentBy, rowToTakenMicroUsd, text, type Row } from './sqlite-rows.ts'
import type { Statements } from './sqlite-statements.ts'
import type { SpentBy } from '../store.ts'

/** See `Store.spentBy`. */
export function spentBy(
  sql: Pick<Statements, 'spentBy' | 'spentInPart'>,
  since: number,
  until: number,
): SpentBy[] {
  // What is a part of something signed is worked out here: products of two amounts pass SQL's 64 bits.
  const parts = new Map<string, bigint>()
  for (const row of sql.spentInPart.iterate(since, until)) {
    const name = namesOf(row)
    parts.set(name, (parts.get(name) ?? 0n) + (rowToTakenMicroUsd(row) ?? 0n))
  }
  return sql.spentBy.all(since, until).map((row) => {
    const sum = rowToSpentBy(row)
    return { ...sum, microUsd: sum.microUsd + (parts.get(namesOf(row)) ?? 0n) }
  })
}

function namesOf(row: Row): string {
  return JSON.stringify(['route', 'payer', 'seller', 'caller'].map((column) => text(row, column)))
}
