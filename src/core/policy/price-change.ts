/** How far a seller's price may move from the one that is pinned (`policy.max_price_change`). */

/** One, in the unit of {@link parseRatio}. */
const ONE = 1_000_000n

const RATIO = /^(0|[1-9]\d{0,5})(?:\.(\d{1,6}))?$/

/** Reads a ratio such as `"0.20"` into millionths; at most 6 decimals, below 1,000,000; else `undefined`. */
export function parseRatio(value: unknown): bigint | undefined {
  const match = typeof value === 'string' ? RATIO.exec(value) : null
  if (!match) return undefined
  return BigInt(match[1] ?? '0') * ONE + BigInt((match[2] ?? '').padEnd(6, '0'))
}

/**
 * The highest price that is still within the ratio, inclusive; rounded down, so that the ratio is never exceeded.
 * @param pinned smallest units
 * @param ratio millionths
 */
export function highestPrice(pinned: bigint, ratio: bigint): bigint {
  return pinned + (pinned * ratio) / ONE
}
