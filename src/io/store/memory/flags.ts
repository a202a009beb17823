/** Flags of charges in memory. */
import { CHARGE_FLAGS, type ChainFinding, type ChargeFlag } from '../../../core/charge/reconcile.ts'
import type { Flagged, FlagQuery, FlagStore } from '../contracts/flags.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import { compare } from './compare.ts'

/** The flags of the memory store. */
export class MemoryFlags implements InTransaction<FlagStore> {
  readonly #table: ChargeTable
  /** By charge and flag, in the order they came. */
  readonly #flags = new Map<string, Flagged>()

  constructor(table: ChargeTable) {
    this.#table = table
  }

  has(charge: string, flag: ChargeFlag): boolean {
    return this.#flags.has(flagId(charge, flag))
  }

  flag(id: string, finding: ChainFinding, at: number): boolean {
    this.#table.entry(id)
    if (this.has(id, finding.flag)) return false
    this.#flags.set(flagId(id, finding.flag), { charge: id, flag: finding.flag, detail: finding.detail, at })
    return true
  }

  unflag(id: string, flags: readonly ChargeFlag[]): void {
    for (const flag of flags) this.#flags.delete(flagId(id, flag))
  }

  flags(query?: FlagQuery): Flagged[] {
    const limit = queryLimit(query)
    return [...this.#flags.values()]
      .filter(({ charge }) => query?.charge === undefined || charge === query.charge)
      .toSorted((a, b) => b.at - a.at || compare(b.charge, a.charge) || compare(a.flag, b.flag))
      .slice(0, limit)
  }

  flagCounts(): { readonly flag: ChargeFlag; readonly count: number }[] {
    return CHARGE_FLAGS.flatMap((flag) => {
      const count = [...this.#flags.values()].filter((entry) => entry.flag === flag).length
      return count === 0 ? [] : [{ flag, count }]
    }).toSorted((a, b) => compare(a.flag, b.flag))
  }
}

function flagId(charge: string, flag: ChargeFlag): string {
  return `${charge} ${flag}`
}
