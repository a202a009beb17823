/** Orders that every store lists in. */
import type { Charge } from '../../../core/charge/charge.ts'

/** Order by code unit, as SQLite's BINARY does for ASCII. */
export function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** Order by reservation, oldest first. */
export function byReservation(
  a: Pick<Charge, 'reservedAt' | 'id'>,
  b: Pick<Charge, 'reservedAt' | 'id'>,
): number {
  return a.reservedAt - b.reservedAt || compare(a.id, b.id)
}
