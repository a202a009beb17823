/** How long to wait before an unpaid request is retried. A paid request is never retried. */

const FIRST_MS = 250
const LONGEST_MS = 5_000

/** The longest pause that is waited out. A candidate that asks for more is skipped for the next one. */
const LONGEST_ASKED_MS = 10_000

/**
 * @param attempt 1 for the first retry
 * @param askedMs the pause that the candidate asked for (Retry-After)
 * @param random from 0 up to, but not including, 1
 * @returns milliseconds, or `undefined` when it should not be retried
 */
export function retryDelay(attempt: number, askedMs: number | undefined, random: number): number | undefined {
  if (askedMs !== undefined && askedMs > LONGEST_ASKED_MS) return undefined
  const ceiling = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempt - 1))
  // Between half and all of it: clients that failed together must not retry together.
  const own = Math.round(ceiling * (0.5 + random / 2))
  return askedMs === undefined ? own : Math.max(own, askedMs + Math.round(FIRST_MS * random))
}

/**
 * Reads `retry-after-ms`, then `Retry-After` in seconds or as an HTTP date (RFC 9110, 10.2.3).
 * @returns milliseconds, 0 or more; `undefined` when there is no usable value
 */
export function readRetryAfter(
  header: (name: string) => string | undefined,
  now: number,
): number | undefined {
  const exact = header('retry-after-ms')?.trim()
  if (exact !== undefined && /^\d{1,12}(?:\.\d+)?$/.test(exact)) return Math.ceil(Number(exact))
  const text = header('retry-after')?.trim()
  if (text === undefined || text === '') return undefined
  if (/^\d{1,9}(?:\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000)
  const date = /^[A-Za-z]{3},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}
