/** What comes at once, to several processes: no budget is overrun, none that fits is refused, and no nonce is used twice. */
import * as fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { counted, type Claim } from '../../src/core/budget/budget.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, NOW, signed, terms } from '../../src/testing/store/samples.ts'
import { freshLedger, openPatiently } from '../kit/postgres-stores.ts'

const opened: Store[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()))
})

/** Several replicas of one ledger. */
async function replicas(count: number): Promise<readonly Store[]> {
  const address = `${freshLedger()}&pool_max=4`
  const stores = await Promise.all(Array.from({ length: count }, () => openPatiently(address)))
  opened.push(...stores)
  return stores
}

const of = <T>(list: readonly T[], index: number): T => {
  const found = list[index % list.length]
  if (found === undefined) throw new Error('an empty list')
  return found
}

test('rule 2: of 400 calls at 4 replicas, nested and per caller, exactly those pass that fit, to the last atom', async () => {
  const stores = await replicas(4)
  // 60 fit the month; of two callers one fits 25, the other as many as the month has left.
  const claimsOf = (n: number): Claim[] => [
    claim(10n, 600n, { budget: 'month', window: 'month' }),
    claim(10n, n % 2 === 0 ? 250n : 10_000n, { budget: 'caller', subject: n % 2 === 0 ? 'a' : 'b' }),
    claim(10n, 100_000n, { budget: 'rolling', window: 'rolling', windowStart: NOW, lengthMs: 3_600_000 }),
  ]
  const results = await Promise.all(
    Array.from({ length: 400 }, async (_, n) => {
      const { ok } = await of(stores, n).reserve(terms(n), claimsOf(n), false)
      return { n, ok }
    }),
  )
  const passed = results.filter(({ ok }) => ok)
  expect(passed).toHaveLength(60)
  expect(passed.filter(({ n }) => n % 2 === 0).length).toBeLessThanOrEqual(25)
  const sums = await of(stores, 0).totals(claimsOf(1))
  expect(sums.map(counted)[0]).toBe(600n)
  expect(sums.map(counted)[2]).toBe(600n)
})

test('rule 5: of 40 charges at 4 replicas that record one nonce at once, one does', async () => {
  const stores = await replicas(4)
  const charges = Array.from({ length: 40 }, (_, n) => terms(n))
  await Promise.all(charges.map((one, n) => of(stores, n).reserve(one, [claim(10n, 1000n)], false)))
  const results = await Promise.all(charges.map(({ id }, n) => of(stores, n).authorize(id, signed(7), NOW)))
  expect(results.filter((result) => result !== 'nonce_used')).toHaveLength(1)
  const [totals] = await of(stores, 0).totals([claim(0n, 0n)])
  expect(totals).toMatchObject({ held: 390n, authorized: 10n })
})

test('rule 5: of 12 repeats of one request at 4 replicas, one reserves', async () => {
  const stores = await replicas(4)
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, (_, n) =>
      of(stores, n).reserve(terms(n, { instance: `ins_${n % 4}` }), [], false, { name: 'n', body: 'b' }),
    ),
  )
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'request_in_progress' })
  }
})

test('rule 6: of first payments to different payees at once, those to one payee pass', async () => {
  const stores = await replicas(4)
  const payees = ['0x01', '0x02', '0x03']
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, (_, n) => of(stores, n).reserve(terms(n, { payTo: of(payees, n) }), [], true)),
  )
  const passed = results.flatMap((result) =>
    result.status === 'fulfilled' && result.value.ok ? [result.value.charge] : [],
  )
  expect(passed.length).toBeGreaterThan(0)
  expect(new Set(passed.map(({ payTo }) => payTo)).size).toBe(1)
})

test('rule 10: a dead instance that three replicas retire at once gives each charge to one of them', async () => {
  const stores = await replicas(3)
  for (let n = 0; n < 30; n += 1) {
    await of(stores, n).reserve(terms(n, { instance: 'ins_dead' }), [claim(10n, 1000n)], false)
    if (n % 3 === 0) await of(stores, n).authorize(terms(n).id, signed(n), NOW)
  }
  const moved = await Promise.all(
    stores.map((store, n) => store.retire('ins_dead', NOW + 1, 'instance_dead', `ins_${n}`)),
  )
  expect(moved.flat()).toHaveLength(30)
  expect(new Set(moved.flat().map(({ id }) => id)).size).toBe(30)
  const [totals] = await of(stores, 0).totals([claim(0n, 0n)])
  expect(totals).toEqual({ spent: 0n, held: 0n, authorized: 0n, uncertain: 100n })
})

test('rule 2: whatever happens to charges at once, the sums are those of the charges, and no limit is passed', async () => {
  const stores = await replicas(3)
  let next = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({
          amount: fc.bigInt({ min: 1n, max: 60n }),
          end: fc.constantFrom('released', 'settled', 'uncertain', 'held', 'authorized'),
          budgets: fc.subarray(['a', 'b', 'c'], { minLength: 1 }),
        }),
        { minLength: 12, maxLength: 12 },
      ),
      async (calls) => {
        const run = `${(next += 1)}`
        const limit = 200n
        const on = (budget: string, amount: bigint): Claim =>
          claim(amount, limit, { budget: `${budget}${run}` })
        const ended = await Promise.all(
          calls.map(async ({ amount, end, budgets }, index) => {
            const n = next * 100 + index
            const store = of(stores, index)
            const claims = (index % 2 === 0 ? budgets : budgets.toReversed()).map((budget) =>
              on(budget, amount),
            )
            const reserved = await store.reserve(terms(n), claims, false)
            if (!reserved.ok) return []
            if (end === 'held') return budgets.map((budget) => ({ budget, amount }))
            if (end === 'released') {
              await store.move(terms(n).id, { to: 'released', at: NOW + 1, reason: 'x' })
              return []
            }
            await store.authorize(terms(n).id, signed(n), NOW)
            const proof = end === 'settled' ? ({ proof: 'receipt' } as const) : {}
            if (end !== 'authorized')
              await store.move(terms(n).id, { to: end, at: NOW + 1, reason: 'x', ...proof })
            return budgets.map((budget) => ({ budget, amount }))
          }),
        )
        const kept = ended.flat()
        for (const budget of ['a', 'b', 'c']) {
          const [totals] = await of(stores, 0).totals([on(budget, 0n)])
          const sum = kept.reduce((total, one) => (one.budget === budget ? total + one.amount : total), 0n)
          expect(totals && counted(totals)).toBe(sum)
          expect(sum).toBeLessThanOrEqual(limit)
        }
      },
    ),
    { numRuns: 10 },
  )
})
