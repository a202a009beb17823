/** When the clocks of a place change next, asked of the system's own time zone data. */

const HOUR_MS = 3_600_000

/** The first instant after `after` (milliseconds since the epoch) from which local time is ahead or behind by another amount. */
export function nextClockChange(timeZone: string, after: number): number {
  const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
  const offset = (at: number): string =>
    format.formatToParts(at).find(({ type }) => type === 'timeZoneName')?.value ?? ''
  // A day on, so that there is time for what lies before the change.
  const start = Math.ceil(after / HOUR_MS) * HOUR_MS + 24 * HOUR_MS
  for (let at = start; at < start + 366 * 24 * HOUR_MS; at += HOUR_MS) {
    if (offset(at) !== offset(at - HOUR_MS)) return at
  }
  throw new Error(`${timeZone} does not change its clocks within a year`)
}

/** The date in a place, `YYYY-MM-DD`. */
export function localDate(timeZone: string, at: number): string {
  return new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }).format(at)
}
