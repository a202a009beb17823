/** Lists and sums of charges in memory. */
import { takenOf, type Charge } from '../../../core/charge/charge.ts'
import { ALL_TOGETHER, isBehind, matchesFilter, type SpendQuery, type SpendRow } from '../charge-filter.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { ChargeQuery } from '../store.ts'

/** See `Store.charges`. */
export function listCharges(charges: Iterable<Charge>, query: ChargeQuery = {}): Charge[] {
  const limit = queryLimit(query)
  return [...charges]
    .filter((charge) => matchesFilter(charge, query) && isBehind(charge, query.before))
    .toSorted((a, b) => b.reservedAt - a.reservedAt || compare(b.id, a.id))
    .slice(0, limit)
}

/** See `Store.spend`. */
export function sumCharges(charges: Iterable<Charge>, query: SpendQuery): SpendRow[] {
  const rows = new Map<string, SpendRow>()
  for (const charge of charges) {
    if (!matchesFilter(charge, query)) continue
    const group = query.by === undefined ? ALL_TOGETHER : charge[query.by]
    const key = JSON.stringify([group, charge.state])
    const row = rows.get(key) ?? { group, state: charge.state, charges: 0, unpriced: 0, microUsd: 0n }
    rows.set(key, {
      ...row,
      charges: row.charges + 1,
      unpriced: row.unpriced + (charge.microUsd === undefined ? 1 : 0),
      microUsd: row.microUsd + (takenOf(charge).microUsd ?? 0n),
    })
  }
  return [...rows.values()].toSorted((a, b) => compare(a.group, b.group) || compare(a.state, b.state))
}

/** Order by code unit, as SQLite's BINARY does for ASCII: every store lists the same way. */
function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
