/** Shares of a limit at which an operator is told, such as half of it (`notify.at`). */

/** One whole limit, in millionths: the highest level. */
export const WHOLE_LEVEL = 1_000_000n

/**
 * The highest level that a sum has reached; `undefined` below the lowest, and for a limit of 0.
 * @param levels millionths, each from 1 to {@link WHOLE_LEVEL}
 */
export function levelReached(levels: readonly bigint[], sum: bigint, limit: bigint): bigint | undefined {
  if (limit === 0n) return undefined
  return levels
    .filter((level) => sum * WHOLE_LEVEL >= limit * level)
    .reduce<bigint | undefined>(
      (most, level) => (most === undefined || level > most ? level : most),
      undefined,
    )
}

/** `0.5` for half a limit. */
export function formatLevel(level: bigint): string {
  const text = level.toString().padStart(7, '0')
  return `${text.slice(0, -6)}.${text.slice(-6)}`.replace(/\.?0+$/, '')
}
