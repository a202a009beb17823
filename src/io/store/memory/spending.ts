/** Sums of charges and tokens in memory. */
import { tagValue } from '../../../core/budget/tag-value.ts'
import { askedModel, takenOf, type Charge, type ChargeState } from '../../../core/charge/charge.ts'
import type { Usage } from '../../../core/stream/usage.ts'
import {
  ALL_TOGETHER,
  type ChargeSum,
  type Consumption,
  type ConsumptionQuery,
  type SpendingStore,
  tagOfGroup,
  type SpendGroup,
  type SpendQuery,
  type SpendRow,
  type SpentBy,
} from '../contracts/spending.ts'
import { matchesFilter } from '../rules/charge-filter.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import { compare } from './compare.ts'

/** The spending of the memory store. */
export class MemorySpending implements InTransaction<SpendingStore> {
  readonly #table: ChargeTable
  readonly #usage = new Map<string, Usage>()

  constructor(table: ChargeTable) {
    this.#table = table
  }

  spend(query: SpendQuery): SpendRow[] {
    const rows = new Map<string, SpendRow>()
    for (const charge of this.#table.all()) {
      if (!matchesFilter(charge, query)) continue
      const group = query.by === undefined ? ALL_TOGETHER : groupOf(charge, query.by)
      const key = JSON.stringify([group, charge.state])
      const row = rows.get(key) ?? { group, state: charge.state, charges: 0, unpriced: 0, microUsd: 0n }
      const usage = this.#usage.get(charge.id)
      const tokens = (row.tokens ?? 0n) + BigInt((usage?.inputTokens ?? 0) + (usage?.outputTokens ?? 0))
      rows.set(key, {
        ...row,
        charges: row.charges + 1,
        unpriced: row.unpriced + (charge.microUsd === undefined ? 1 : 0),
        microUsd: row.microUsd + (takenOf(charge).microUsd ?? 0n),
        ...(tokens === 0n ? {} : { tokens }),
      })
    }
    return [...rows.values()].toSorted((a, b) => compare(a.group, b.group) || compare(a.state, b.state))
  }

  sum(state: ChargeState): ChargeSum {
    const charges = this.#table.all().filter((charge) => charge.state === state)
    return { count: charges.length, microUsd: takenMicroUsd(charges) }
  }

  spentBy(since: number, until = Number.MAX_SAFE_INTEGER): SpentBy[] {
    const groups = new Map<string, SpentBy>()
    for (const charge of this.#table.all()) {
      const { state, route, payer, seller, caller, reservedAt } = charge
      const model = askedModel(charge)
      if (state !== 'settled' || reservedAt < since || reservedAt >= until) continue
      const { microUsd = 0n } = takenOf(charge)
      const key = JSON.stringify([route, model, payer, seller, caller])
      const sum = groups.get(key) ?? { route, model, payer, seller, caller, charges: 0, microUsd: 0n }
      groups.set(key, { ...sum, charges: sum.charges + 1, microUsd: sum.microUsd + microUsd })
    }
    return [...groups.values()].toSorted(
      (a, b) =>
        compare(a.route, b.route) ||
        compare(a.model, b.model) ||
        compare(a.payer, b.payer) ||
        compare(a.seller, b.seller) ||
        compare(a.caller, b.caller),
    )
  }

  noteUsage(charge: string, usage: Usage): void {
    if (this.#table.get(charge) && !this.#usage.has(charge)) this.#usage.set(charge, { ...usage })
  }

  usages(charges: readonly string[]): ReadonlyMap<string, Usage> {
    return new Map(
      charges.flatMap((id) => {
        const usage = this.#usage.get(id)
        return usage ? [[id, usage] as const] : []
      }),
    )
  }

  consumption({ caller, since }: ConsumptionQuery): Consumption {
    const bought = this.#table
      .all()
      .filter((charge) => charge.state !== 'released' && charge.reservedAt >= since)
      .filter((charge) => caller === undefined || charge.caller === caller)
    const usage = bought.flatMap(({ id }) => this.#usage.get(id) ?? [])
    return {
      charges: bought.length,
      microUsd: takenMicroUsd(bought),
      inputTokens: usage.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
      outputTokens: usage.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
    }
  }
}

function takenMicroUsd(charges: readonly Charge[]): bigint {
  return charges.reduce((sum, charge) => sum + (takenOf(charge).microUsd ?? 0n), 0n)
}

function groupOf(charge: Charge, by: SpendGroup): string {
  if (by === 'model') return askedModel(charge)
  if (by === 'route' || by === 'payer' || by === 'seller' || by === 'caller') return charge[by]
  return tagValue(charge.tags, tagOfGroup(by) ?? '')
}
