/** Least, median and greatest of some numbers. */
export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

/**
 * The value that `share` of the samples do not exceed (nearest rank).
 * @param share more than 0, at most 1
 * @throws {RangeError} for no samples
 */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  const value = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]
  if (value === undefined) throw new RangeError('no samples, no quantile')
  return value
}

/** The middle one. */
export function median(samples: readonly number[]): number {
  return quantile(samples, 0.5)
}

/** How far a figure moved from round to round. */
export function spread(values: readonly number[]): Spread {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) }
}
