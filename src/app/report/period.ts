/** The period of a report. */
import { DateTime } from 'luxon'
import { calendarWindow } from '../../core/budget/calendar.ts'
import { ConfigError } from '../../core/errors.ts'

/** A calendar period. */
export type PeriodUnit = 'day' | 'week' | 'month'

/** From the first instant until before the second, milliseconds since the epoch. */
export interface Period {
  readonly since: number
  readonly until: number
}

/** The period as given on the command line. */
export interface PeriodOptions {
  /** The current one; with `back` an earlier one. Default month. */
  readonly unit?: PeriodUnit | undefined
  readonly back?: number | undefined
  /** ISO 8601, a date or an instant; a date begins at midnight in the time zone. */
  readonly from?: string | undefined
  /** Likewise; a date is included as a whole. Default now. */
  readonly to?: string | undefined
  /** IANA name. */
  readonly timezone: string
}

/**
 * @param now milliseconds since the epoch
 * @throws ConfigError for a text that is no date, or an empty period
 */
export function periodOf(
  { unit = 'month', back = 0, from, to, timezone }: PeriodOptions,
  now: number,
): Period {
  if (from === undefined && to === undefined) {
    let period = calendarWindow(unit, timezone, now)
    for (let n = 0; n < back; n += 1) period = calendarWindow(unit, timezone, period.start - 1)
    return { since: period.start, until: period.end }
  }
  const since = from === undefined ? 0 : instantOf('--from', from, timezone).toMillis()
  const until = to === undefined ? now + 1 : endOf(to, timezone)
  if (until > since) return { since, until }
  throw new ConfigError(`--to ${to ?? 'now'} is before --from ${from ?? ''}: the period is empty.`)
}

function endOf(text: string, timezone: string): number {
  const at = instantOf('--to', text, timezone)
  return /^\d{4}-\d{2}-\d{2}$/.test(text) ? calendarWindow('day', timezone, at.toMillis()).end : at.toMillis()
}

function instantOf(option: string, text: string, timezone: string): DateTime {
  const at = DateTime.fromISO(text, { zone: timezone })
  if (at.isValid) return at
  throw new ConfigError(
    `${option} ${JSON.stringify(text)} is not a date. Write 2026-11-21 or 2026-11-21T10:00:00Z.`,
  )
}

/** The name of the bucket an instant falls into: `2026-11-21`, `2026-W47` or `2026-11`. */
export function bucketOf(unit: PeriodUnit, at: number, timezone: string): string {
  const time = DateTime.fromMillis(at, { zone: timezone })
  if (unit === 'day') return time.toFormat('yyyy-MM-dd')
  return unit === 'week' ? time.toFormat("kkkk-'W'WW") : time.toFormat('yyyy-MM')
}
