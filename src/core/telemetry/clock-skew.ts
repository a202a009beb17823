/** How far another clock is ahead of ours. Nothing about money depends on it: it only explains why sellers refuse payments as expired. */

/** From this difference on the skew is reported, seconds: smaller ones never fail a payment. */
export const TOLD_SKEW_SECONDS = 30

/** The longest extension of a validity, seconds: a seller that tells a time from the future gains no more than this. */
const MAX_ALLOWANCE_SECONDS = 300

/** HTTP dates have whole seconds, and answers take some time. */
const NOISE_SECONDS = 3

/**
 * By the `Date` of an answer that has just arrived.
 * @param now our clock, milliseconds since the epoch
 * @returns whole seconds, positive when the other clock is ahead; `undefined` without a readable date
 */
export function clockSkew(date: string | undefined, now: number): number | undefined {
  const at = date === undefined ? Number.NaN : Date.parse(date)
  if (Number.isNaN(at)) return undefined
  const seconds = Math.round((at + 500 - now) / 1000)
  return Math.abs(seconds) <= NOISE_SECONDS ? 0 : seconds
}

/** How much longer an authorization is made valid, seconds, because our clock is behind the seller's a little. */
export function skewAllowance(skew: number | undefined): number {
  return skew !== undefined && skew > 0 && skew <= MAX_ALLOWANCE_SECONDS ? skew : 0
}

/**
 * `this machine's clock is 90 s behind the seller's`; `undefined` for a difference that does not matter.
 * @param whose the other clock
 */
export function describeSkew(skew: number | undefined, whose = "the seller's"): string | undefined {
  if (skew === undefined || Math.abs(skew) <= TOLD_SKEW_SECONDS) return undefined
  return `this machine's clock is ${Math.abs(skew)} s ${skew > 0 ? 'behind' : 'ahead of'} ${whose}`
}
