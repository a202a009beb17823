/** Calendar windows against the system's own calendar (Intl), over every zone that it knows and every clock change of 20 years. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { calendarWindow, type CalendarUnit } from '../../src/core/budget/calendar.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const [FROM, TO] = [Date.UTC(2010, 0, 1), Date.UTC(2030, 0, 1)]
const UNITS: readonly CalendarUnit[] = ['hour', 'day', 'week', 'month']
const at = (text: string): number => Date.parse(text)

/** The local time of a zone at an instant, told as if it were UTC. */
function clockOf(timeZone: string): (instant: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  })
  return (instant) => {
    const [month = 1, day, year = 0, hour, minute, second] = (format.format(instant).match(/\d+/g) ?? []).map(
      Number,
    )
    return Date.UTC(year, month - 1, day, hour, minute, second)
  }
}

/** The clock changes of a zone: the first instants with a new offset. */
function changesOf(timeZone: string): { at: number; shift: number; local: number }[] {
  const local = clockOf(timeZone)
  const offset = (instant: number): number => local(instant) - Math.floor(instant / 1000) * 1000
  const changes: { at: number; shift: number; local: number }[] = []
  // No zone keeps a change for less than three weeks.
  for (let low = FROM; low < TO; low += 20 * DAY) {
    let [one, other] = [low, low + 20 * DAY]
    const [before, after] = [offset(one), offset(other)]
    if (before === after) continue
    while (other - one > 1000) {
      const middle = Math.floor((one + other) / 2000) * 1000
      if (offset(middle) === before) one = middle
      else other = middle
    }
    changes.push({ at: other, shift: after - before, local: local(other) })
  }
  return changes
}

const zones = Intl.supportedValuesOf('timeZone')
/** One zone for each set of changes: the others have the same windows. */
const different = new Map(
  zones
    .map((zone) => [zone, changesOf(zone)] as const)
    .map(([zone, changes]) => [
      `${clockOf(zone)(FROM)} ${changes.map((change) => `${change.at}${change.shift}`).join()}`,
      { zone, changes },
    ]),
)

/** Walks the windows of a unit over a range. Gives what is wrong with them. */
function faults(unit: CalendarUnit, zone: string, from: number, to: number): string[] {
  const found: string[] = []
  const local = clockOf(zone)
  const blame = (why: string, instant: number): number =>
    found.push(`${unit} in ${zone} at ${new Date(instant).toISOString()}: ${why}`)
  let last: { start: number; end: number } | undefined
  for (let instant = from; instant < to;) {
    const window = calendarWindow(unit, zone, instant)
    const { start, end } = window
    if (!(start <= instant && instant < end)) blame('is not in its window', instant)
    if (last && start !== last.end) blame('does not begin where the one before ends', instant)
    const atEnd = calendarWindow(unit, zone, end - 1)
    if (atEnd.start !== start || atEnd.end !== end) blame('its last instant is in another window', instant)
    if (unit === 'hour') {
      if (end - start < HOUR || end - start >= 2 * HOUR) blame(`lasts ${(end - start) / HOUR} hours`, instant)
      if (local(start) % HOUR !== 0) blame('does not begin with an hour', instant)
    } else if (Math.floor(local(start) / DAY) <= Math.floor(local(start - 1) / DAY)) {
      blame('begins with no new date', instant)
    } else if (last && Math.floor(local(start) / DAY) <= Math.floor(local(last.start) / DAY)) {
      blame('is the same date again', instant)
    }
    if (end <= instant) break
    last = window
    instant = end
  }
  return found
}

describe('calendar windows', () => {
  test('knows the zones and changes it is tried with', () => {
    expect(zones.length).toBeGreaterThan(400)
    expect(different.size).toBeGreaterThan(80)
    for (const zone of ['America/Havana', 'Australia/Lord_Howe', 'Pacific/Chatham', 'Pacific/Apia']) {
      expect(changesOf(zone).length, zone).toBeGreaterThan(4)
    }
  })

  test('rule 2: around every clock change that is not of an hour in the small hours, no instant is in no window or in two', () => {
    const found: string[] = []
    for (const { zone, changes } of different.values()) {
      for (const { at: change, shift, local } of changes) {
        const hour = (local % DAY) / HOUR
        if (Math.abs(shift) === HOUR && hour >= 1 && hour <= 4) continue
        found.push(...faults('hour', zone, change - 3 * HOUR, change + 3 * HOUR))
        for (const unit of ['day', 'week', 'month'] as const)
          found.push(...faults(unit, zone, change - 30 * HOUR, change + 30 * HOUR))
      }
    }
    expect(found).toEqual([])
  })

  test('rule 2: in any zone, around any change, at any instant', () => {
    const list = [...different.values()]
    const anyInstant = fc.constantFrom(...list).chain(({ zone, changes }) => {
      const near = changes.map((change) => change.at)
      const instant = fc.integer({ min: FROM, max: TO })
      return fc.tuple(
        fc.constant(zone),
        near.length === 0
          ? instant
          : fc.oneof(
              instant,
              fc
                .tuple(fc.constantFrom(...near), fc.integer({ min: -DAY, max: DAY }))
                .map(([one, by]) => one + by),
            ),
      )
    })
    fc.assert(
      fc.property(anyInstant, fc.constantFrom(...UNITS), ([zone, instant], unit) => {
        expect(faults(unit, zone, instant, instant + 1)).toEqual([])
        const { end } = calendarWindow(unit, zone, instant)
        expect(faults(unit, zone, end, end + 1)).toEqual([])
      }),
      { numRuns: 600 },
    )
  })

  test('the day of two midnights in Havana is one day of 25 hours', () => {
    const day = { start: at('2026-11-01T04:00:00Z'), end: at('2026-11-02T05:00:00Z') }
    for (const instant of [
      '2026-11-01T04:00:00Z',
      '2026-11-01T04:59:59.999Z',
      '2026-11-01T05:00:00Z',
      '2026-11-02T04:59:59Z',
    ])
      expect(calendarWindow('day', 'America/Havana', at(instant))).toEqual(day)
    expect(calendarWindow('month', 'America/Havana', at('2026-11-01T05:30:00Z')).start).toBe(day.start)
  })

  test('the hour of half a change on Lord Howe lasts half an hour longer, in either season', () => {
    const hour = (text: string): number => {
      const { start, end } = calendarWindow('hour', 'Australia/Lord_Howe', at(text))
      return (end - start) / HOUR
    }
    expect([
      hour('2026-04-04T14:45:00Z'),
      hour('2026-04-04T15:15:00Z'),
      hour('2026-04-04T16:00:00Z'),
    ]).toEqual([1.5, 1.5, 1])
    expect([
      hour('2026-10-03T15:15:00Z'),
      hour('2026-10-03T15:45:00Z'),
      hour('2026-10-03T16:30:00Z'),
    ]).toEqual([1.5, 1.5, 1])
  })

  test('the hours of a change of an hour are an hour each, also where they begin at a quarter to', () => {
    expect(faults('hour', 'Pacific/Chatham', at('2026-04-04T10:00:00Z'), at('2026-04-04T20:00:00Z'))).toEqual(
      [],
    )
    expect(calendarWindow('hour', 'Pacific/Chatham', at('2026-04-04T14:05:00Z'))).toEqual({
      start: at('2026-04-04T13:15:00Z'),
      end: at('2026-04-04T14:15:00Z'),
    })
  })

  test('a date that Samoa left out has no window', () => {
    const before = calendarWindow('day', 'Pacific/Apia', at('2011-12-30T09:00:00Z'))
    expect(before.end).toBe(at('2011-12-30T10:00:00Z'))
    const after = calendarWindow('day', 'Pacific/Apia', before.end)
    expect([after.start, after.end]).toEqual([before.end, at('2011-12-31T10:00:00Z')])
  })
})
