/** Budgets under a clock that jumps: forward, backward, over midnight and over a change of daylight saving. */
import { describe, expect, test } from 'vitest'
import { counted, NO_TOTALS, type BudgetRule } from '../../src/core/budget/budget.ts'
import { TollwayError } from '../../src/core/errors.ts'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { instance, signed } from '../store/samples.ts'
import { FragileAudit, wanted } from './kit.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const at = (text: string): number => Date.parse(text)

/** A ledger whose clock is moved by hand. Each reservation is a tenth of a cent. */
async function open(rules: readonly Partial<BudgetRule>[], start: number) {
  const clock = { time: start, now: () => clock.time }
  const audit = new FragileAudit()
  const events: TollwayEvent[] = []
  let serial = 0
  const ledger = await Ledger.open({
    store: memoryStore(),
    audit,
    clock,
    random: (count) => Uint8Array.from({ length: count }, () => (serial++ * 7) % 32),
    instance: instance('ins_one', { host: 'elsewhere', heartbeatAt: start }),
    observers: [(event) => events.push(event)],
  })
  const budgets = rules.map((rule): BudgetRule => ({
    name: 'all',
    limit: 1000n,
    window: 'day',
    timezone: 'UTC',
    ...rule,
  }))
  const reserve = async (tags?: readonly string[]) => await ledger.reserve(wanted({ tags }), budgets, false)
  const refusal = async (): Promise<string> => {
    const error: unknown = await reserve().catch((caught: unknown) => caught)
    if (error instanceof TollwayError && error.code === 'budget_exhausted') return error.message
    throw new Error('the budget did not refuse', { cause: error })
  }
  const sum = async (): Promise<bigint> => {
    const [status] = await ledger.budgets(budgets)
    return counted(status?.totals ?? NO_TOTALS)
  }
  return { ledger, clock, audit, events, budgets, reserve, refusal, sum }
}

const DAYS = [{ window: 'day' }] as const
const ROLLING = [{ window: 'rolling', lengthMs: DAY }] as const

describe('a clock that jumps forward', () => {
  test('rule 2: frees no hold, which keeps the day of its reservation', async () => {
    const { clock, reserve, refusal, sum } = await open(DAYS, at('2026-11-21T23:59:59.900Z'))
    await reserve()
    clock.time += 200
    await reserve()
    clock.time -= 200
    expect(await sum()).toBe(1000n)
    expect(await refusal()).toContain('resets 2026-11-22T00:00:00Z')
  })

  test('rule 2: ends the lease of an unsigned hold, which can then no longer be authorized', async () => {
    const { ledger, clock, reserve } = await open(DAYS, at('2026-11-21T10:00:00Z'))
    const held = await reserve()
    clock.time += HOUR
    await expect(ledger.authorize(held, signed(1))).rejects.toMatchObject({
      code: 'reservation_lost',
      details: { refusal: 'lease_expired' },
    })
  })

  test('frees a sent payment only when the window of its reservation is over, and never early after the clock is corrected', async () => {
    const { ledger, clock, reserve, refusal, sum } = await open(ROLLING, at('2026-11-21T10:00:00Z'))
    await ledger.uncertain(await ledger.authorize(await reserve(), signed(1)), 'timeout')
    clock.time += DAY
    expect(await sum()).toBe(0n)
    clock.time -= 1
    expect(await sum()).toBe(1000n)
    expect(await refusal()).toContain('in 24h; try again 2026-11-22T10:00:00Z')
  })
})

describe('a clock that jumps backward', () => {
  test('rule 2: does not allow the limit of a day twice, in whatever order the days come', async () => {
    const { clock, reserve, refusal } = await open(DAYS, at('2026-11-21T12:00:00Z'))
    await reserve()
    clock.time += DAY
    await reserve()
    clock.time -= DAY
    await refusal()
    clock.time += DAY
    await refusal()
  })

  test('rule 2: does not double a rolling window, because charges reserved in the future already count', async () => {
    const { clock, reserve, refusal, sum } = await open(ROLLING, at('2026-11-21T12:00:00Z'))
    await reserve()
    clock.time -= 20 * HOUR
    expect(await sum()).toBe(1000n)
    expect(await refusal()).toContain('try again 2026-11-22T12:00:00Z')
    clock.time += 43 * HOUR + 59 * MINUTE
    await refusal()
    clock.time += MINUTE
    await reserve()
  })

  test('keeps the hold of a request in progress, which can still be authorized', async () => {
    const { ledger, clock, reserve } = await open(ROLLING, at('2026-11-21T12:00:00Z'))
    const held = await reserve()
    clock.time -= DAY
    expect(await ledger.authorize(held, signed(1))).toMatchObject({ state: 'authorized' })
  })
})

describe('a change of daylight saving', () => {
  test.each([
    ['the day of 25 hours', '2026-10-25', 25, '2026-10-25T23:00:00Z'],
    ['the day of 23 hours', '2026-03-29', 23, '2026-03-29T22:00:00Z'],
  ])('%s is one day and has one limit', async (_name, date, hours, end) => {
    const rules = [{ window: 'day', timezone: 'Europe/Berlin' }] as const
    const midnight = at(end) - hours * HOUR
    const { clock, reserve, refusal, sum } = await open(rules, midnight - 1)
    await reserve()
    clock.time = midnight
    expect(await sum()).toBe(0n)
    await reserve()
    for (let hour = 1; hour < hours; hour += 1) {
      clock.time = midnight + hour * HOUR
      expect(await refusal()).toContain(`resets ${end}`)
    }
    clock.time = at(end) - 1
    await refusal()
    clock.time = at(end)
    expect(await sum(), date).toBe(0n)
    await reserve()
  })

  test('treats the repeated hour as two hours with a limit each', async () => {
    const rules = [{ window: 'hour', timezone: 'Europe/Berlin' }] as const
    const { clock, reserve, refusal } = await open(rules, at('2026-10-25T00:30:00Z'))
    await reserve()
    expect(await refusal()).toContain('try again 2026-10-25T01:00:00Z')
    clock.time += HOUR
    await reserve()
    expect(await refusal()).toContain('try again 2026-10-25T02:00:00Z')
  })

  test('keeps a rolling day at 24 hours', async () => {
    const { clock, reserve, refusal } = await open(ROLLING, at('2026-10-24T22:00:00Z'))
    await reserve()
    clock.time += DAY - 1
    expect(await refusal()).toContain('try again 2026-10-25T22:00:00Z')
    clock.time += 1
    await reserve()
  })
})

describe('reports', () => {
  test('a passed soft limit with one record and one event per window, without refusing', async () => {
    const { clock, audit, events, reserve } = await open(
      [{ limit: 10_000n, soft: 1500n }],
      at('2026-11-21T12:00:00Z'),
    )
    for (let n = 0; n < 4; n += 1) await reserve()
    clock.time += DAY
    for (let n = 0; n < 3; n += 1) await reserve()
    const records = audit.written.filter(({ type }) => type === 'budget.soft_limit')
    expect(records).toHaveLength(2)
    expect(records[0]?.fields).toMatchObject({
      budget: 'all',
      window: 'day',
      soft_usd: '0.0015',
      limit_usd: '0.01',
      wanted_usd: '0.001',
      pending_usd: '0.002',
      charge: expect.stringMatching(/^chg_/),
    })
    expect(events.filter(({ type }) => type === 'budget_soft_limit')).toHaveLength(2)
  })

  test('each refusal that a budget in dry run would make, while it takes every claim and keeps the sums', async () => {
    const { audit, events, reserve, sum } = await open(
      [
        { name: 'watch', enforce: false },
        { name: 'each', window: 'request', limit: 999n, enforce: false },
      ],
      at('2026-11-21T12:00:00Z'),
    )
    for (let n = 0; n < 3; n += 1) await reserve()
    expect(await sum()).toBe(3000n)
    const would = audit.written.filter(({ type }) => type === 'budget.would_refuse')
    expect(would.map(({ fields }) => [fields['budget'], fields['pending_usd']])).toEqual([
      ['each', '0'],
      ['each', '0'],
      ['watch', '0.001'],
      ['each', '0'],
      ['watch', '0.002'],
    ])
    expect(events.filter(({ type }) => type === 'budget_would_refuse')).toHaveLength(5)
    expect(events.filter(({ type }) => type === 'budget_refused')).toEqual([])
  })

  test('a refusal with its budget and subject, and its amounts in the record', async () => {
    const { reserve, refusal, events, ledger, budgets } = await open(
      [{ name: 'each', per: 'tag' }],
      at('2026-11-21T12:00:00Z'),
    )
    await reserve(['team:a'])
    await reserve(['team:b'])
    await reserve()
    expect(await refusal()).toBe(
      'Daily spending limit reached: budget each (tag other): $0.001 wanted, $0 spent and $0.001 pending of $0.001; resets 2026-11-22T00:00:00Z. Pending is $0.001 of requests under way.',
    )
    await expect(reserve(['team:c', 'team:a'])).rejects.toMatchObject({
      details: { budget: 'each', per: 'tag', subject: 'team:a', wanted_usd: '0.001', early: false },
    })
    expect(events.filter(({ type }) => type === 'budget_refused')).toHaveLength(2)
    // None of the tags of a refused request was charged.
    expect((await ledger.budgets(budgets)).map(({ claim }) => claim.subject)).toEqual([
      'other',
      'team:a',
      'team:b',
    ])
  })
})

describe('an asset without a USD value', () => {
  const unpriced = wanted({ symbol: 'OBOL', decimals: 18, amount: 5n, microUsd: undefined })
  const start = at('2026-11-21T12:00:00Z')

  test('is refused under a budget in USD', async () => {
    const { ledger, budgets } = await open(DAYS, start)
    await expect(ledger.reserve(unpriced, budgets, false)).rejects.toMatchObject({ code: 'unpriced_asset' })
  })

  test('is limited by a budget in that asset, and not stopped by a USD budget that does not refuse', async () => {
    const { ledger, budgets } = await open(
      [
        { name: 'obol', limit: 9n, asset: { symbol: 'OBOL', decimals: 18 } },
        { name: 'watch', enforce: false },
      ],
      start,
    )
    await ledger.reserve(unpriced, budgets, false)
    await expect(ledger.reserve(unpriced, budgets, false)).rejects.toThrow(
      'Daily spending limit reached: budget obol: 0.000000000000000005 OBOL wanted, 0 OBOL spent and 0.000000000000000005 OBOL pending of 0.000000000000000009 OBOL; resets 2026-11-22T00:00:00Z. Pending is 0.000000000000000005 OBOL of requests under way.',
    )
  })
})
