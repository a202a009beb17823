/** What shares a transaction comes to what it would come to one after the other. */
import * as fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import type { Claim } from '../../src/core/budget/budget.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, DAY, NOW, signed, terms } from '../../src/testing/store/samples.ts'
import { freshPostgresStore } from '../kit/postgres-stores.ts'

const opened: Store[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()))
})

async function ledger(): Promise<Store> {
  const store = await freshPostgresStore()
  opened.push(store)
  return store
}

test('a charge that the database cannot keep fails alone: those asked for with it are reserved', async () => {
  const store = await ledger()
  const results = await Promise.allSettled(
    Array.from({ length: 12 }, (_, n) =>
      store.reserve(terms(n, n === 5 ? { amount: 10n ** 80n } : {}), [claim(10n, 1000n)], false),
    ),
  )
  expect(results.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []))).toEqual([5])
  expect(await store.totals([claim(0n, 0n)])).toEqual([
    { spent: 0n, held: 110n, authorized: 0n, uncertain: 0n },
  ])
})

test('a move that does not exist fails alone: those asked for with it are done', async () => {
  const store = await ledger()
  await Promise.all([1, 2, 3].map((n) => store.reserve(terms(n), [claim(10n, 1000n)], false)))
  const results = await Promise.allSettled([
    store.authorize(terms(1).id, signed(1), NOW),
    store.move(terms(2).id, { to: 'settled', at: NOW, reason: 'x', proof: 'receipt' }),
    store.authorize('chg_unknown', signed(9), NOW),
    store.move(terms(3).id, { to: 'released', at: NOW, reason: 'x' }),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
  expect(await store.totals([claim(0n, 0n)])).toEqual([
    { spent: 0n, held: 10n, authorized: 10n, uncertain: 0n },
  ])
})

test('rule 5: of two charges that record one nonce in one transaction, the first does', async () => {
  const store = await ledger()
  await Promise.all([1, 2].map((n) => store.reserve(terms(n), [claim(10n, 1000n)], false)))
  const results = await Promise.all([1, 2].map((n) => store.authorize(terms(n).id, signed(7), NOW)))
  expect(results[0]).toMatchObject({ state: 'authorized' })
  expect(results[1]).toBe('nonce_used')
})

test('rule 6: of first payments to two payees in one transaction, those to the first one pass', async () => {
  const store = await ledger()
  const results = await Promise.allSettled(
    ['0x01', '0x02', '0x01'].map((payTo, n) => store.reserve(terms(n, { payTo }), [], true)),
  )
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
})

test('what was asked for before closing is done', async () => {
  const store = await freshPostgresStore()
  const asked = [1, 2, 3].map((n) => store.reserve(terms(n), [claim(10n, 1000n)], false))
  await store.close()
  expect((await Promise.all(asked)).every(({ ok }) => ok)).toBe(true)
})

const WINDOWS = [
  { budget: 'day', window: 'day' as const, windowStart: DAY },
  { budget: 'rolling', window: 'rolling' as const, lengthMs: 3_600_000 },
  { budget: 'short', window: 'rolling' as const, lengthMs: 1500 },
]

const call = fc.record({
  amount: fc.bigInt({ min: 0n, max: 60n }),
  after: fc.integer({ min: 0, max: 4000 }),
  windows: fc.array(fc.constantFrom(...WINDOWS), { maxLength: 3 }),
  subject: fc.constantFrom('*', 'a', 'b'),
  limit: fc.bigInt({ min: 50n, max: 300n }),
  soft: fc.option(fc.bigInt({ min: 20n, max: 100n }), { nil: undefined }),
  enforce: fc.boolean(),
})

test('rule 2: any reservations at once come to what they come to one after the other, notices included', async () => {
  const store = await ledger()
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 2, maxLength: 16 }), async (calls) => {
      run += 1
      const memory = memoryStore()
      const asked = calls.map(({ amount, after, windows, subject, limit, soft, enforce }, index) => {
        const reservedAt = NOW + after
        const claims = windows.map(({ budget, ...of }): Claim =>
          claim(amount, limit, {
            windowStart: reservedAt,
            ...of,
            budget: `${budget}${run}`,
            subject,
            enforce,
            ...(soft === undefined ? {} : { soft }),
          }),
        )
        return { terms: terms(run * 100 + index, { reservedAt }), claims }
      })
      const together = await Promise.all(
        asked.map(async (one) => await store.reserve(one.terms, one.claims, false)),
      )
      for (const [index, one] of asked.entries()) {
        expect(together[index]).toEqual(await memory.reserve(one.terms, one.claims, false))
      }
      const all = asked.flatMap(({ claims }) => claims)
      expect(await store.totals(all)).toEqual(await memory.totals(all))
      await memory.close()
    }),
    { numRuns: 25 },
  )
})
