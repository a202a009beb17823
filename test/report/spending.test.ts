import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Charge, ChargeState } from '../../src/core/charge/charge.ts'
import { periodOf } from '../../src/app/report/period.ts'
import { ASSUMPTIONS, replay, replaySince, type ReplayPolicy } from '../../src/app/report/replay.ts'
import { addUp, dimensionOf, DIMENSIONS, type ReportedCharge } from '../../src/app/report/spending.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { BudgetRule } from '../../src/core/budget/budget.ts'
import { NOW, signed, terms } from '../store/samples.ts'

/** The nth charge, as a ledger tells it. */
export function charge(n: number, state: ChargeState, changes: Partial<Charge> = {}): Charge {
  return {
    ...terms(n),
    state,
    proof: state === 'settled' ? 'receipt' : undefined,
    authorization: undefined,
    transaction: undefined,
    reason: undefined,
    updatedAt: NOW + n + 500,
    ...changes,
  }
}

async function* each(charges: readonly ReportedCharge[]): AsyncGenerator<ReportedCharge> {
  yield* charges
}

describe('periods', () => {
  const now = Date.parse('2026-11-21T23:30:00Z')
  const told = (words: Parameters<typeof periodOf>[0]): string[] => {
    const { since, until } = periodOf(words, now)
    return [since, until].map((at) => new Date(at).toISOString())
  }

  test('begin and end where the calendar of the time zone has them, also over a clock change', () => {
    expect(told({ unit: 'day', timezone: 'UTC' })).toEqual([
      '2026-11-21T00:00:00.000Z',
      '2026-11-22T00:00:00.000Z',
    ])
    expect(told({ unit: 'day', timezone: 'Europe/Berlin' })).toEqual([
      '2026-11-21T23:00:00.000Z',
      '2026-11-22T23:00:00.000Z',
    ])
    expect(told({ unit: 'week', timezone: 'UTC' })[0]).toBe('2026-11-16T00:00:00.000Z')
    expect(told({ unit: 'month', back: 1, timezone: 'Europe/Berlin' })).toEqual([
      '2026-09-30T22:00:00.000Z',
      '2026-10-31T23:00:00.000Z',
    ])
  })

  test('of dates include the last one as a whole, of instants end there', () => {
    expect(told({ from: '2026-10-25', to: '2026-10-25', timezone: 'Europe/Berlin' })).toEqual([
      '2026-10-24T22:00:00.000Z',
      '2026-10-25T23:00:00.000Z',
    ])
    expect(told({ from: '2026-11-01T10:00:00Z', to: '2026-11-01T11:00:00Z', timezone: 'UTC' })).toEqual([
      '2026-11-01T10:00:00.000Z',
      '2026-11-01T11:00:00.000Z',
    ])
    expect(() => told({ from: 'yesterday', timezone: 'UTC' })).toThrow(/--from "yesterday" is not a date/)
    expect(() => told({ from: '2026-11-02', to: '2026-11-01', timezone: 'UTC' })).toThrow(
      /the period is empty/,
    )
  })
})

describe('sums', () => {
  test('count settled and open apart, released not at all, each asset by itself', async () => {
    const rows = await addUp(
      each([
        {
          ...charge(1, 'settled', { amount: 5n, microUsd: 5n }),
          usage: { inputTokens: 10, outputTokens: 2 },
        },
        {
          ...charge(2, 'uncertain', { amount: 7n, microUsd: 7n }),
          usage: { inputTokens: 1, outputTokens: 1 },
        },
        { ...charge(3, 'released'), usage: { inputTokens: 9, outputTokens: 9 } },
        charge(4, 'settled', { symbol: 'OBOL', decimals: 18, amount: 10n ** 20n, microUsd: undefined }),
        charge(5, 'settled', { amount: 100n, microUsd: 100n, charged: 33n }),
      ]),
      ['route'],
      'UTC',
    )
    const empty = {
      spentMicroUsd: 0n,
      signedMicroUsd: 0n,
      open: 0n,
      openMicroUsd: 0n,
      released: 0,
      inputTokens: 0,
      outputTokens: 0,
    }
    expect(rows).toEqual([
      {
        ...empty,
        keys: ['paid/*'],
        asset: 'OBOL',
        decimals: 18,
        charges: 1,
        spent: 10n ** 20n,
        signed: 10n ** 20n,
      },
      {
        keys: ['paid/*'],
        asset: 'USDC',
        decimals: 6,
        charges: 3,
        spent: 38n,
        spentMicroUsd: 38n,
        signed: 105n,
        signedMicroUsd: 105n,
        open: 7n,
        openMicroUsd: 7n,
        released: 1,
        inputTokens: 11,
        outputTokens: 3,
      },
    ])
  })

  test('name the model that was asked for, and the values of a tag', async () => {
    const charges = [
      charge(1, 'settled', { remoteModel: 'a', tags: ['agent:x'] }),
      charge(2, 'settled', { remoteModel: 'a', tags: ['agent:y', 'agent:x'] }),
      charge(3, 'settled', { remoteModel: undefined, tags: undefined }),
    ]
    const keys = (await addUp(each(charges), ['remote_model', 'tag.agent'], 'UTC')).map((row) => row.keys)
    expect(keys).toEqual([
      ['a', 'x'],
      ['a', 'y'],
      ['paid/qwen', 'other'],
    ])
    expect([dimensionOf('tag.agent'), dimensionOf('model')]).toEqual(['tag.agent', 'model'])
    expect([dimensionOf('tag.'), dimensionOf("tag.x'"), dimensionOf('tags')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  test('however they are broken down, the rows add up to the same', async () => {
    const one = fc.record({
      state: fc.constantFrom<ChargeState>('settled', 'uncertain', 'released', 'held', 'authorized'),
      amount: fc.bigInt({ min: 1n, max: 10n ** 30n }),
      route: fc.constantFrom('a', 'b', 'c/*'),
      caller: fc.constantFrom('x', 'y'),
      reservedAt: fc.integer({ min: NOW - 90 * 86_400_000, max: NOW }),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(one, { maxLength: 30 }),
        fc.uniqueArray(fc.constantFrom(...DIMENSIONS), { maxLength: 4 }),
        async (list, by) => {
          const charges = list.map(({ state, ...changes }, n) =>
            charge(n, state, { ...changes, microUsd: changes.amount }),
          )
          const sum = (rows: Awaited<ReturnType<typeof addUp>>): bigint[] =>
            [
              rows.map(({ spent }) => spent),
              rows.map(({ open }) => open),
              rows.map(({ charges: count, released }) => BigInt(count + released)),
            ].map((column) => column.reduce((total, value) => total + value, 0n))
          const whole = sum(await addUp(each(charges), [], 'UTC'))
          expect(sum(await addUp(each(charges), by, 'Pacific/Auckland'))).toEqual(whole)
          expect(whole[2]).toBe(BigInt(list.length))
        },
      ),
    )
  })
})

describe('another policy', () => {
  const DAY_MS = 86_400_000
  const rule = (changes: Partial<BudgetRule>): BudgetRule => ({
    name: 'all',
    limit: 100n,
    window: 'day',
    timezone: 'UTC',
    ...changes,
  })
  const policy = (changes: Partial<ReplayPolicy['policy']>, budgets: BudgetRule[] = []): ReplayPolicy => ({
    budgets,
    policy: {
      maxMicroUsd: 1_000_000n,
      maxValiditySeconds: 600,
      maxPriceChange: undefined,
      offerOrder: 'seller',
      signIn: false,
      terms: 'remember',
      onChangedTerms: 'fail',
      payTo: new Map(),
      ...changes,
    },
    assets: BUILT_IN_ASSETS,
    payers: new Map(),
  })
  const period = { since: 0, until: NOW + 10 * DAY_MS }
  const paid = (n: number, microUsd: bigint, changes: Partial<Charge> = {}): Charge =>
    charge(n, 'settled', { amount: microUsd, microUsd, ...changes })

  test('a budget refuses exactly what would not have fitted, and smaller payments after it still pass', async () => {
    const history = [
      paid(1, 60n),
      paid(2, 50n),
      paid(3, 40n),
      paid(4, 1n),
      paid(5, 100n, { reservedAt: NOW + DAY_MS }),
    ]
    expect(await replay(each(history), policy({}, [rule({})]), period)).toEqual({
      paid: { charges: 5, microUsd: 251n },
      allowed: { charges: 3, microUsd: 200n },
      refused: [{ code: 'budget_exhausted', budget: 'all', charges: 2, microUsd: 51n }],
      examples: [
        { code: 'budget_exhausted', budget: 'all', charge: paid(2, 1n).id },
        { code: 'budget_exhausted', budget: 'all', charge: paid(4, 1n).id },
      ],
    })
  })

  test('a payment that was given back frees its budget at the instant it was given back', async () => {
    const released = charge(1, 'released', { amount: 100n, microUsd: 100n, updatedAt: NOW + 50 })
    const history = [released, paid(10, 100n), paid(60, 100n)]
    const { allowed, refused } = await replay(each(history), policy({}, [rule({})]), period)
    expect(allowed).toEqual({ charges: 1, microUsd: 100n })
    expect(refused).toMatchObject([{ charges: 1 }])
  })

  test('of an upto payment counts what was taken, and frees the rest at the instant it was proven', async () => {
    const upto = paid(1, 100n, {
      charged: 30n,
      authorization: signed(1, { method: 'permit2', scheme: 'upto' }),
      updatedAt: NOW + 50,
    })
    const history = [upto, paid(10, 70n), paid(60, 70n), paid(61, 1n)]
    const result = await replay(each(history), policy({}, [rule({})]), period)
    expect(result.paid).toEqual({ charges: 4, microUsd: 171n })
    expect(result.allowed).toEqual({ charges: 2, microUsd: 100n })
  })

  test('what was paid before the period fills the windows and is not told', async () => {
    const history = [paid(1, 90n), paid(2, 20n, { reservedAt: NOW + 1000 })]
    const later = { since: NOW + 500, until: NOW + 2000 }
    const rolling = [rule({ window: 'rolling', lengthMs: 3_600_000 })]
    expect(replaySince(rolling, later)).toBe(later.since - 3_600_000)
    expect(replaySince([rule({ window: 'lifetime' })], later)).toBe(0)
    const result = await replay(each(history), policy({}, rolling), later)
    expect(result).toMatchObject({ paid: { charges: 1 }, allowed: { charges: 0 }, refused: [{ charges: 1 }] })
  })

  test('ceilings, payees, networks and tokens refuse as a gateway does', async () => {
    const other = `0x${'7'.repeat(40)}`
    const cases: [ReplayPolicy, Partial<Charge>, string][] = [
      [policy({ maxMicroUsd: 9n }), {}, 'price_above_limit'],
      [policy({ payTo: new Map([['https://seller.example.com', [other]]]) }), {}, 'payee_not_allowed'],
      [policy({}), { asset: other }, 'asset_not_allowed'],
      [policy({}, [rule({ window: 'request', limit: 9n })]), {}, 'budget_exhausted'],
    ]
    for (const [strict, changes, code] of cases) {
      const { refused, allowed } = await replay(each([paid(1, 10n, changes)]), strict, period)
      expect(refused).toMatchObject([{ code, charges: 1 }])
      expect(allowed.charges).toBe(0)
    }
    expect((await replay(each([paid(1, 10n)]), policy({ maxMicroUsd: 10n }), period)).allowed.charges).toBe(1)
  })

  test('the policy that was in force refuses nothing of what it let pass', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.bigInt({ min: 1n, max: 40n }), fc.integer({ min: 0, max: 3 * DAY_MS })), {
          maxLength: 40,
        }),
        fc.constantFrom<Partial<BudgetRule>>(
          {},
          { window: 'rolling', lengthMs: 7_200_000 },
          { window: 'lifetime' },
        ),
        async (asked, window) => {
          const strict = policy({}, [rule(window)])
          const ordered = asked.toSorted((a, b) => a[1] - b[1])
          const history = ordered.map(([amount, ms], n) => paid(n, amount, { reservedAt: NOW + ms }))
          const first = await replay(each(history), strict, period)
          const refused = new Set(first.examples.map((one) => one.charge))
          const passed = history.filter(({ id }) => !refused.has(id))
          const second = await replay(each(passed), strict, period)
          expect(second.refused).toEqual([])
          expect(second.allowed).toEqual(first.allowed)
        },
      ),
      { numRuns: 50 },
    )
  })

  test('what it cannot know is said', () => {
    expect(ASSUMPTIONS.length).toBeGreaterThan(3)
  })
})
