import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addTotals,
  claimsFor,
  counted,
  fits,
  isBudgetRule,
  moveTotals,
  needsUsd,
  NO_TOTALS,
  REQUESTS,
  TOKENS,
  type BudgetRule,
  type Spend,
} from '../../src/core/budget/budget.ts'
import { pendingAdvice, refusalMessage } from '../../src/core/budget/budget-messages.ts'
import { formatWindow, parseWindow, windowAt, type Window } from '../../src/core/budget/window.ts'

const at = (text: string): number => Date.parse(text)
const rule = (window: Window, changes: Partial<BudgetRule> = {}): BudgetRule => ({
  name: 'all',
  limit: 5000n,
  window,
  timezone: 'UTC',
  ...(window === 'rolling' ? { lengthMs: 86_400_000 } : {}),
  ...changes,
})
const spend = (changes: Partial<Spend> = {}): Spend => ({
  caller: 'openclaw',
  route: 'paid/*',
  payer: 'base',
  seller: 'https://seller.example.com',
  tags: ['team:a', 'other'],
  symbol: 'USDC',
  amount: 1000n,
  microUsd: 1000n,
  ...changes,
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

  test('every instant is in exactly one window, without gaps', () => {
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
    const [claim] = claimsFor([rule('day')], spend(), at('2026-11-21T10:00:00Z'))
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

describe('claims', () => {
  const subjects = (changes: Partial<BudgetRule>, of: Partial<Spend> = {}): string[] =>
    claimsFor([rule('day', changes)], spend(of), at('2026-11-21T10:00:00Z')).map(({ subject }) => subject)

  test('are for everybody, or for the caller, route, payer, seller or tags of the payment', () => {
    expect(subjects({})).toEqual(['*'])
    expect(subjects({ per: 'caller' })).toEqual(['openclaw'])
    expect(subjects({ per: 'model' })).toEqual(['paid/*'])
    expect(subjects({ per: 'payer' })).toEqual(['base'])
    expect(subjects({ per: 'seller' })).toEqual(['https://seller.example.com'])
    expect(subjects({ per: 'tag' })).toEqual(['team:a', 'other'])
  })

  test('are made once per tag, and for other if a payment has no tags', () => {
    expect(subjects({ per: 'tag' }, { tags: ['a', 'a', 'b'] })).toEqual(['a', 'b'])
    expect(subjects({ per: 'tag' }, { tags: [] })).toEqual(['other'])
  })

  test('on a limit in a token are made by payments in it alone, in its units', () => {
    const obol = { asset: { symbol: 'OBOL', decimals: 18 } }
    expect(subjects(obol)).toEqual([])
    const claims = claimsFor(
      [rule('day'), rule('day', { name: 'obol', ...obol })],
      spend({ symbol: 'OBOL', amount: 20n, microUsd: 1n }),
      0,
    )
    expect(claims.map(({ budget, amount }) => [budget, amount])).toEqual([
      ['all', 1n],
      ['obol', 20n],
    ])
  })

  test('on a rolling window begin at the instant itself and have no end', () => {
    expect(claimsFor([rule('rolling')], spend(), 12_345)).toMatchObject([
      { window: 'rolling', lengthMs: 86_400_000, windowStart: 12_345, windowEnd: undefined },
    ])
  })
})

test('a rule made by hand is taken only when it is whole', () => {
  expect(isBudgetRule(rule('day'))).toBe(true)
  expect(isBudgetRule(rule('rolling'))).toBe(true)
  const wrong: object[] = [
    { limit: 5000 },
    { window: 'fortnight' },
    { window: 'rolling' },
    { lengthMs: 5 },
    { per: 'planet' },
    { soft: 3 },
    { timezone: undefined },
    { name: 7 },
  ]
  for (const change of wrong)
    expect(isBudgetRule({ ...rule('day'), ...change }), JSON.stringify(change)).toBe(false)
  expect(isBudgetRule({ ...rule('rolling'), lengthMs: 0 })).toBe(false)
  expect(isBudgetRule(null)).toBe(false)
})

test('a window is written as it is read', () => {
  const cases: readonly [string, number | undefined, string][] = [
    ['30m', 1_800_000, '30m'],
    ['90m', 5_400_000, '90m'],
    ['60m', 3_600_000, '1h'],
    ['24h', 86_400_000, '24h'],
    ['1d', 86_400_000, '24h'],
    ['7d', 604_800_000, '7d'],
    ['366d', 31_622_400_000, '366d'],
    ['day', undefined, 'day'],
    ['lifetime', undefined, 'lifetime'],
  ]
  for (const [text, lengthMs, written] of cases) {
    const spec = parseWindow(text)
    expect(spec?.lengthMs, text).toBe(lengthMs)
    expect(spec && formatWindow(spec)).toBe(written)
  }
  for (const text of [
    'rolling',
    '0h',
    '01h',
    '367d',
    '8785h',
    '24',
    'h',
    '1.5h',
    '-1h',
    '24H',
    '1w',
    'Day',
    '',
  ])
    expect(parseWindow(text), text).toBeUndefined()
})

function words(window: Window, changes: Partial<BudgetRule> = {}, freeAt?: number): string {
  const [claim] = claimsFor([rule(window, changes)], spend(), at('2026-11-21T10:20:00Z'))
  if (!claim) throw new Error('no claim')
  return refusalMessage(claim, { spent: 4000n, held: 0n, authorized: 500n, uncertain: 0n }, freeAt)
}

test('a refusal says what is pending and how it becomes free, in words that lock no client', () => {
  const [claim] = claimsFor([rule('day')], spend(), at('2026-11-21T10:20:00Z'))
  if (!claim) throw new Error('no claim')
  const advice = (held: bigint, authorized: bigint, uncertain: bigint): string =>
    pendingAdvice(claim, { spent: 4000n, held, authorized, uncertain }).join(' ')
  expect(advice(0n, 0n, 0n)).toBe('')
  expect(advice(200n, 300n, 0n)).toBe('Pending is $0.0005 of requests under way.')
  expect(advice(0n, 0n, 1000n)).toMatch(
    /^Pending is \$0\.001 of payments whose outcome is unknown\. A node of their network, such as chains: /,
  )
  expect(advice(1n, 0n, 1n)).toContain('$0.000001 of requests under way and $0.000001 of payments')
  expect(advice(1n, 1n, 1n)).not.toMatch(/insufficient|credit|top up|upgrade|payment required|quota|balance/i)
})

test('a refusal names budget, amounts, limit and reset, in words that lock no client', () => {
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
  expect(words('rolling', {}, at('2026-11-21T12:00:00.250Z'))).toBe(
    'Usage limit reached: budget all: $0.001 wanted, $0.004 spent and $0.0005 pending of $0.005 in 24h; try again 2026-11-21T12:00:00.250Z',
  )
  expect(words('rolling')).toMatch(/; try again with a cheaper request$/)
  expect(words('day', { name: 'each', per: 'caller' })).toMatch(
    /^Daily spending limit reached: budget each \(caller openclaw\): /,
  )
  expect(words('lifetime', { asset: { symbol: 'USDC', decimals: 4 } })).toContain(
    '0.1 USDC wanted, 0.4 USDC spent and 0.05 USDC pending of 0.5 USDC;',
  )
  for (const window of ['day', 'week', 'month', 'hour', 'lifetime', 'request', 'rolling'] as const) {
    expect(words(window)).not.toMatch(/insufficient|credit|top up|upgrade|payment required|quota|balance/i)
  }
})

describe('sums of several sets of charges', () => {
  const totals = fc.record({
    spent: fc.bigInt({ min: 0n, max: 2n ** 96n }),
    held: fc.bigInt({ min: 0n, max: 2n ** 96n }),
    authorized: fc.bigInt({ min: 0n, max: 2n ** 96n }),
    uncertain: fc.bigInt({ min: 0n, max: 2n ** 96n }),
  })

  test('rule 2: count what both count, state by state', () => {
    fc.assert(
      fc.property(totals, totals, (a, b) => {
        const both = addTotals(a, b)
        expect(counted(both)).toBe(counted(a) + counted(b))
        for (const state of ['spent', 'held', 'authorized', 'uncertain'] as const) {
          expect(both[state]).toBe(a[state] + b[state])
        }
      }),
    )
  })
})

test('a rule that only warns does not rule out assets without a value in USD', () => {
  expect(needsUsd(rule('day'))).toBe(true)
  expect(needsUsd(rule('day', { enforce: true }))).toBe(true)
  expect(needsUsd(rule('day', { enforce: false }))).toBe(false)
})

test('rule 2: a budget of requests takes one for each, whatever it costs; one of tokens takes its tokens', () => {
  const amounts = (asset: BudgetRule['asset'], changes: Partial<Spend>): (bigint | undefined)[] =>
    claimsFor([rule('day', { asset })], spend(changes), 0).map(({ amount }) => amount)
  expect(REQUESTS).toEqual({ symbol: 'requests', decimals: 0, counts: 'requests' })
  expect(TOKENS).toEqual({ symbol: 'tokens', decimals: 0, counts: 'tokens' })
  expect(amounts(REQUESTS, { amount: 77n, microUsd: undefined, symbol: 'OBOL' })).toEqual([1n])
  expect(amounts(TOKENS, { amount: 77n, tokens: 12n })).toEqual([12n])
  expect(amounts(TOKENS, { amount: 77n, tokens: undefined })).toEqual([0n])
})

test('rule 2: a request without tags counts as `other`, and one with a tag twice counts it once', () => {
  const subjects = (tags: readonly string[]): string[] =>
    claimsFor([rule('day', { per: 'tag' })], spend({ tags }), 0).map(({ subject }) => subject)
  expect(subjects([])).toEqual(['other'])
  expect(subjects(['red', 'red', 'blue'])).toEqual(['red', 'blue'])
})
