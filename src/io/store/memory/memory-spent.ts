import { takenOf, type Charge } from '../../../core/charge/charge.ts'
import type { SpentBy } from '../store.ts'

/** What was settled of these charges, as {@link Store.spentBy} tells it. */
export function spentBy(charges: readonly Charge[]): SpentBy[] {
  const groups = new Map<string, SpentBy>()
  for (const charge of charges) {
    const { state, route, payer, seller, caller } = charge
    if (state !== 'settled') continue
    const { microUsd = 0n } = takenOf(charge)
    const key = JSON.stringify([route, payer, seller, caller])
    const sum = groups.get(key) ?? { route, payer, seller, caller, charges: 0, microUsd: 0n }
    groups.set(key, { ...sum, charges: sum.charges + 1, microUsd: sum.microUsd + microUsd })
  }
  return [...groups.values()].toSorted(
    (a, b) =>
      compare(a.route, b.route) ||
      compare(a.payer, b.payer) ||
      compare(a.seller, b.seller) ||
      compare(a.caller, b.caller),
  )
}

/** By bytes, as SQLite compares ASCII text. */
function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}
