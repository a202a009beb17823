import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  claimsFor,
  counted,
  fits,
  moveTotals,
  NO_TOTALS,
  refusalMessage,
  windowAt,
  type BudgetRule,
  type Window,
} from '../../src/core/budget.ts'

const at = (text: string): number => Date.parse(text)
const rule = (window: Window, timezone = 'UTC'): BudgetRule => ({
  name: 'all',
  limit: 5000n,
  window,
  timezone,
})

describe('windows', () => {
  test('a day starts at midnight of its zone and ends where the next one starts', () => {
    const before = windowAt('day', 'Europe/Berlin', at('2026-11-21T22:59:59.999Z'))
    const after = windowAt('day', 'Europe/Berlin', at('2026-11-21T23:00:00.000Z'))
    expect(before.end).toBe(at('2026-11-21T23:00:00Z'))
    expect(after.start).toBe(before.end)
  })

  test('the days of a clock change last 23 and 25 hours', () => {
    const spring = windowAt('day', 'Europe/Berlin', at('2026-03-29T12:00:00Z'))
    const autumn = windowAt('day', 'Europe/Berlin', at('2026-10-25T12:00:00Z'))
    expect((spring.end ?? 0) - spring.start).toBe(23 * 3_600_000)
    expect((autumn.end ?? 0) - autumn.start).toBe(25 * 3_600_000)
  })

  test('weeks start on Monday, months on the first', () => {
    expect(windowAt('week', 'UTC', at('2026-11-21T10:00:00Z')).start).toBe(at('2026-11-16T00:00:00Z'))
    expect(windowAt('month', 'UTC', at('2026-11-21T10:00:00Z'))).toEqual({
      start: at('2026-11-01T00:00:00Z'),
      end: at('2026-12-01T00:00:00Z'),
    })
  })

  test('every instant lies in exactly one window, and its neighbours touch it', () => {
    const zones = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Asia/Kolkata',
      'Australia/Lord_Howe',
      'America/Sao_Paulo',
    )
    const windows = fc.constantFrom<Window>('hour', 'day', 'week', 'month')
    fc.assert(
      fc.property(
        windows,
        zones,
        fc.integer({ min: at('2015-01-01'), max: at('2035-01-01') }),
        (window, zone, instant) => {
          const { start, end } = windowAt(window, zone, instant)
          expect(end).toBeDefined()
          expect(start <= instant && instant < (end ?? 0)).toBe(true)
          expect(windowAt(window, zone, end ?? 0).start).toBe(end)
          expect(windowAt(window, zone, start).start).toBe(start)
        },
      ),
    )
  })
})

describe('sums', () => {
  test('a claim fits up to the limit and not one unit further', () => {
    const [claim] = claimsFor([rule('day')], 1000n, at('2026-11-21T10:00:00Z'))
    if (!claim) throw new Error('no claim')
    expect(fits({ ...NO_TOTALS, spent: 4000n }, claim)).toBe(true)
    expect(fits({ ...NO_TOTALS, spent: 4001n }, claim)).toBe(false)
    expect(fits({ spent: 1000n, held: 1000n, authorized: 1000n, uncertain: 1000n }, claim)).toBe(true)
    expect(fits({ spent: 1000n, held: 1000n, authorized: 1000n, uncertain: 1001n }, claim)).toBe(false)
  })

  test('moving between counted states changes no sum, releasing gives exactly the amount back', () => {
    const held = moveTotals(NO_TOTALS, undefined, 'held', 700n)
    const authorized = moveTotals(held, 'held', 'authorized', 700n)
    const uncertain = moveTotals(authorized, 'authorized', 'uncertain', 700n)
    expect([held, authorized, uncertain].map(counted)).toEqual([700n, 700n, 700n])
    expect(moveTotals(uncertain, 'uncertain', 'settled', 700n)).toEqual({ ...NO_TOTALS, spent: 700n })
    expect(moveTotals(uncertain, 'uncertain', 'released', 700n)).toEqual(NO_TOTALS)
  })
})

function words(window: Window): string {
  const [claim] = claimsFor([rule(window)], 1000n, at('2026-11-21T10:20:00Z'))
  if (!claim) throw new Error('no claim')
  return refusalMessage(claim, { spent: 4000n, held: 0n, authorized: 500n, uncertain: 0n })
}

test('a stop names budget, wanted, spent, pending, limit and reset, in words that lock no client', () => {
  expect(words('day')).toBe(
    'Daily spending limit reached: budget all: $0.001 wanted, $0.004 spent and $0.0005 pending of $0.005; resets 2026-11-22T00:00:00Z',
  )
  expect(words('week')).toMatch(
    /^Weekly spending limit reached: budget all: .*; resets 2026-11-23T00:00:00Z$/,
  )
  expect(words('month')).toMatch(
    /^Monthly spending limit reached: budget all: .*; resets 2026-12-01T00:00:00Z$/,
  )
  expect(words('hour')).toMatch(/^Usage limit reached: budget all: .*; try again 2026-11-21T11:00:00Z$/)
  expect(words('lifetime')).toMatch(
    /^Usage limit reached: budget all: .*; try again once the limit is raised$/,
  )
  for (const window of ['day', 'week', 'month', 'hour', 'lifetime', 'request'] as const) {
    expect(words(window)).not.toMatch(/insufficient|credit|top up|upgrade|payment required|quota|balance/i)
  }
})
