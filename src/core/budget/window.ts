/** Budget windows: calendar windows, exact at the boundary and across daylight-saving changes, and rolling ones. */
import { IANAZone } from 'luxon'
import { calendarWindow } from './calendar.ts'

/** Calendar windows start at the boundary in the rule's time zone; `rolling` has a length but no boundary. */
export type Window = 'request' | 'hour' | 'day' | 'week' | 'month' | 'lifetime' | 'rolling'

/** Every window, for parsers. */
export const WINDOWS: readonly Window[] = ['request', 'hour', 'day', 'week', 'month', 'lifetime', 'rolling']

/** The window of a budget. */
export interface WindowSpec {
  readonly window: Window
  /** Rolling windows only, milliseconds: a charge counts from its reservation for exactly this long. */
  readonly lengthMs?: number | undefined
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const UNIT_MS: Readonly<Record<string, number>> = { m: MINUTE_MS, h: HOUR_MS, d: DAY_MS }

/** The longest rolling window: a leap year. */
const LONGEST_MS = 366 * DAY_MS

/** Reads `day`, or a rolling length such as `30m`, `24h` or `7d` (a minute to 366 days); anything else gives `undefined`. */
export function parseWindow(text: string): WindowSpec | undefined {
  const named = WINDOWS.find((window) => window === text && window !== 'rolling')
  if (named !== undefined) return { window: named }
  const match = /^([1-9]\d{0,5})([mhd])$/.exec(text)
  const lengthMs = Number(match?.[1]) * (UNIT_MS[match?.[2] ?? ''] ?? Number.NaN)
  return lengthMs <= LONGEST_MS ? { window: 'rolling', lengthMs } : undefined
}

/** Writes a window as {@link parseWindow} reads it. */
export function formatWindow({ window, lengthMs }: WindowSpec): string {
  if (lengthMs === undefined) return window
  if (lengthMs % DAY_MS === 0 && lengthMs > DAY_MS) return `${lengthMs / DAY_MS}d`
  return lengthMs % HOUR_MS === 0 ? `${lengthMs / HOUR_MS}h` : `${lengthMs / MINUTE_MS}m`
}

/**
 * The window that contains an instant. Exact at the boundary (start inclusive, end exclusive) and across daylight-saving
 * changes. `request` and `rolling` windows start at the instant itself, `lifetime` at 0.
 */
export function windowAt(
  window: Window,
  timezone: string,
  at: number,
): { readonly start: number; readonly end: number | undefined } {
  if (window === 'lifetime') return { start: 0, end: undefined }
  if (window === 'request' || window === 'rolling') return { start: at, end: undefined }
  // The windows of a zone tile time: an instant inside the last one asked for is in no other.
  const name = `${window} ${timezone}`
  const known = LAST.get(name)
  if (known && known.start <= at && at < known.end) return known
  const found = calendarWindow(window, timezone, at)
  LAST.set(name, found)
  return found
}

/** The last window that was asked for, by unit and time zone: nearly every charge falls into it. */
const LAST = new Map<string, { readonly start: number; readonly end: number }>()

/** Whether this machine knows the time zone `name`. */
export function isTimezone(name: string): boolean {
  return IANAZone.isValidZone(name) || name === 'UTC'
}
