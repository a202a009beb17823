/**
 * Calendar windows that tile time in every zone: each instant is in exactly one window, and no window is empty or comes twice.
 * Clock changes are what makes that hard. Where clocks go back over midnight (Havana), the day begins at the first of the two
 * midnights. A day that a zone left out (Samoa, 2011) has no window. Where clocks change by half an hour (Lord Howe), an hour
 * at the change is half an hour longer, never shorter than an hour.
 */
import { IANAZone } from 'luxon'

/** The units of calendar windows. */
export type CalendarUnit = 'hour' | 'day' | 'week' | 'month'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Zones are at most this far from UTC. */
const FAR_MS = 15 * HOUR_MS

/** How far a zone's clocks are ahead of UTC at an instant, milliseconds. */
type Offset = (at: number) => number

/**
 * The window of an instant: start inclusive, end exclusive, milliseconds since the epoch.
 * @param timezone IANA name or `UTC`
 */
export function calendarWindow(
  unit: CalendarUnit,
  timezone: string,
  at: number,
): { readonly start: number; readonly end: number } {
  const zone = IANAZone.create(timezone)
  const offset: Offset = timezone === 'UTC' ? () => 0 : (instant) => zone.offset(instant) * 60_000
  return unit === 'hour' ? hourAt(offset, at) : dateWindow(unit, offset, at)
}

/** Days, weeks and months: from the first instant whose local date is in the unit, or after it, to the same of the next unit. */
function dateWindow(
  unit: Exclude<CalendarUnit, 'hour'>,
  offset: Offset,
  at: number,
): { start: number; end: number } {
  const begins = (index: number): number => firstAt(localStart(unit, index), offset)
  // The clocks may have been set back into a date that has ended.
  let index = indexOf(unit, at + offset(at)) + 1
  let start = begins(index)
  while (start > at) start = begins((index -= 1))
  let end = begins((index += 1))
  // A date that the zone left out begins when the next one does.
  while (end <= at) end = begins((index += 1))
  return { start, end }
}

/** The number of the unit that a local time, written as if it were UTC, falls in. */
function indexOf(unit: Exclude<CalendarUnit, 'hour'>, local: number): number {
  const day = Math.floor(local / DAY_MS)
  if (unit === 'day') return day
  // 1970-01-01 was a Thursday; weeks begin on Monday.
  if (unit === 'week') return Math.floor((day + 3) / 7)
  const date = new Date(local)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

/** The local time at which a unit begins, written as if it were UTC. */
function localStart(unit: Exclude<CalendarUnit, 'hour'>, index: number): number {
  if (unit === 'day') return index * DAY_MS
  if (unit === 'week') return (index * 7 - 3) * DAY_MS
  return Date.UTC(Math.floor(index / 12), index % 12)
}

/** The first instant at which the local time is `local` or later. */
function firstAt(local: number, offset: Offset): number {
  const [low, high] = [local - FAR_MS, local + FAR_MS]
  const [before, after] = [offset(low), offset(high)]
  if (before === after) return local - before
  const change = changeBetween(low, high, offset)
  return local - before < change ? local - before : Math.max(change, local - after)
}

/** The first instant with another offset than `low` has; there is one up to `high`. */
function changeBetween(low: number, high: number, offset: Offset): number {
  const before = offset(low)
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offset(middle) === before) low = middle
    else high = middle
  }
  return high
}

/** Hours begin where the local minute is 0, less than an hour after the one before excepted. */
function hourAt(offset: Offset, at: number): { start: number; end: number } {
  const isKept = (start: number): boolean => fullHour(offset, start - 1) <= start - HOUR_MS
  let start = fullHour(offset, at)
  while (!isKept(start)) start = fullHour(offset, start - 1)
  // Two begin within two hours at least, and three at most.
  let end = fullHour(offset, start + 2 * HOUR_MS)
  for (let earlier = fullHour(offset, end - 1); earlier > start; earlier = fullHour(offset, earlier - 1)) {
    if (isKept(earlier)) end = earlier
  }
  return { start, end }
}

/** The last instant up to `at` at which the local minute is 0. */
function fullHour(offset: Offset, at: number): number {
  const within = (instant: number, ahead: number): number =>
    (((instant + ahead) % HOUR_MS) + HOUR_MS) % HOUR_MS
  const start = at - within(at, offset(at))
  const there = offset(start)
  if (within(start, there) === 0) return start
  // The clocks changed in between, by no full hour.
  const last = changeBetween(start, at, offset) - 1
  return last - within(last, there)
}
