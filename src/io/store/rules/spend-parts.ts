/** Parts of the sums of charges, and how they are added up; the same in every store that keeps sums. */
import type { ChargeState } from '../../../core/charge/charge.ts'
import type { ChargeFilter } from '../contracts/charges.ts'
import { addSums, type SpendNames, type SpendSums } from './rollup-rules.ts'

/** Which charges are added up. */
export interface SumsQuery extends ChargeFilter {
  /** The name of a tag to tell values of. */
  readonly tag?: string | undefined
}

/** A part of the sums. The parts of a query may have names, tag and state in common, and parts may take away from others. */
export interface SpendPart extends SpendNames {
  readonly state: ChargeState
  /** The value of the tag that was asked for, `other` without one. */
  readonly tag: string
  readonly sums: SpendSums
}

/** Adds parts up by a name that each is given, and by state; what adds up to no charges is left out. */
export function addUpParts<T>(
  parts: Iterable<SpendPart>,
  groupOf: (part: SpendPart) => T,
): { readonly group: T; readonly state: ChargeState; readonly sums: SpendSums }[] {
  const groups = new Map<string, { group: T; state: ChargeState; sums: SpendSums }>()
  for (const part of parts) {
    const group = groupOf(part)
    const key = JSON.stringify([group, part.state])
    const known = groups.get(key)
    if (known) known.sums = addSums(known.sums, part.sums)
    else groups.set(key, { group, state: part.state, sums: part.sums })
  }
  return [...groups.values()].filter(({ sums }) => sums.charges !== 0)
}
