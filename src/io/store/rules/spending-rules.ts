/** Reports of spending from parts of the sums, the same in every store that keeps sums. */
import type { ChargeState } from '../../../core/charge/charge.ts'
import {
  ALL_TOGETHER,
  type ChargeSum,
  type Consumption,
  type SpendGroup,
  type SpendRow,
  type SpentBy,
} from '../contracts/spending.ts'
import { addSums, NO_SUMS, type SpendSums } from './rollup-rules.ts'
import { addUpParts, type SpendPart } from './spend-parts.ts'

/** The states whose charges count as bought. */
export const COUNTED_STATES: readonly ChargeState[] = ['held', 'authorized', 'settled', 'uncertain']

/** See `SpendingStore.spend`. */
export function spendRows(parts: readonly SpendPart[], by: SpendGroup | undefined): SpendRow[] {
  return addUpParts(parts, (part) => (by === undefined ? ALL_TOGETHER : groupOf(part, by)))
    .map(({ group, state, sums: { charges, unpriced, takenMicroUsd, inputTokens, outputTokens } }) => {
      const tokens = inputTokens + outputTokens
      const row = { group, state, charges, unpriced, microUsd: takenMicroUsd }
      return tokens === 0n ? row : { ...row, tokens }
    })
    .toSorted((a, b) => compare(a.group, b.group) || compare(a.state, b.state))
}

/** See `SpendingStore.sum`. */
export function chargeSum(sums: readonly SpendSums[]): ChargeSum {
  const { charges, takenMicroUsd } = total(sums)
  return { count: charges, microUsd: takenMicroUsd }
}

/** See `SpendingStore.spentBy`. */
export function spentByRows(parts: readonly SpendPart[]): SpentBy[] {
  return addUpParts(parts, ({ route, remoteModel, payer, seller, caller }) => [
    route,
    remoteModel,
    payer,
    seller,
    caller,
  ])
    .toSorted((a, b) => compareAll(a.group, b.group))
    .map(({ group: [route = '', model = '', payer = '', seller = '', caller = ''], sums }) => {
      return { route, model, payer, seller, caller, charges: sums.charges, microUsd: sums.takenMicroUsd }
    })
}

/** See `SpendingStore.consumption`. */
export function consumptionOf(parts: readonly SpendPart[]): Consumption {
  const { charges, takenMicroUsd, inputTokens, outputTokens } = total(parts.map((part) => part.sums))
  return {
    charges,
    microUsd: takenMicroUsd,
    inputTokens: Number(inputTokens),
    outputTokens: Number(outputTokens),
  }
}

function total(sums: readonly SpendSums[]): SpendSums {
  return sums.reduce((sum, each) => addSums(sum, each), NO_SUMS)
}

function groupOf(part: SpendPart, by: SpendGroup): string {
  if (by === 'model') return part.remoteModel
  if (by === 'route' || by === 'payer' || by === 'seller' || by === 'caller') return part[by]
  return part.tag
}

function compareAll(a: readonly string[], b: readonly string[]): number {
  for (const [index, value] of a.entries()) {
    const order = compare(value, b[index] ?? '')
    if (order !== 0) return order
  }
  return 0
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
