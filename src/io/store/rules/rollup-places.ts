/** Which rows of sums a closed charge is in, the same in every store. */
import type { Charge } from '../../../core/charge/charge.ts'
import { addSums, tileStarts, type SpendSums } from './rollup-rules.ts'

/** Identifies one row of sums. */
export type Place = readonly [tile: string, tagged: 0 | 1, state: string, start: number, key: number]

/**
 * The rows that a closed charge is in.
 * @param key its own
 * @param tagged those of its tags
 */
export function placesOf({ state, reservedAt }: Charge, key: number, tagged: readonly number[]): Place[] {
  const { day, quarter } = tileStarts(reservedAt)
  return [
    ['day', 0, state, day, key],
    ['quarter', 0, state, quarter, key],
    // Every scrape asks for these: the sum must not need a row for each day.
    ...(state === 'uncertain' ? [['ever', 0, state, 0, key] as const] : []),
    ...tagged.flatMap((each): Place[] => [
      ['day', 1, state, day, each],
      ['quarter', 1, state, quarter, each],
    ]),
  ]
}

/** Changes of sums, added up by row. */
export class Changes {
  readonly #byPlace = new Map<string, { readonly place: Place; sums: SpendSums }>()

  add(place: Place, sums: SpendSums): void {
    const id = place.join()
    const known = this.#byPlace.get(id)
    if (known) known.sums = addSums(known.sums, sums)
    else this.#byPlace.set(id, { place, sums })
  }

  all(): Iterable<{ readonly place: Place; readonly sums: SpendSums }> {
    return this.#byPlace.values()
  }
}

/** The same, where sums that lag behind would fall below zero. */
export function notBelowZero(sums: SpendSums): SpendSums {
  const least = (value: bigint): bigint => (value < 0n ? 0n : value)
  return {
    charges: sums.charges,
    unpriced: Math.max(0, sums.unpriced),
    signed: least(sums.signed),
    signedMicroUsd: least(sums.signedMicroUsd),
    taken: least(sums.taken),
    takenMicroUsd: least(sums.takenMicroUsd),
    inputTokens: least(sums.inputTokens),
    outputTokens: least(sums.outputTokens),
  }
}
