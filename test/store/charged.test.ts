/** What the chain proves of an `upto` payment lowers what the budgets count, and nothing else does. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import * as fc from 'fast-check'
import { chargedShare, takenOf, type Charge } from '../../src/core/charge/charge.ts'
import type { Store } from '../../src/io/store/store.ts'
import { keptStore, onEachStore } from './each-store.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { claim, NOW, signed, terms } from './samples.ts'

const DAY_MS = 86_400_000
const day = claim(23_000n, 100_000n)
const rolling = claim(23_000n, 100_000n, {
  budget: 'rolling',
  window: 'rolling',
  lengthMs: DAY_MS,
  windowStart: NOW + 1,
  windowEnd: NOW + 1 + DAY_MS,
})
const micro = claim(11_501n, 100_000n, { budget: 'micro' })

async function settled(store: Store, scheme: 'exact' | 'upto' = 'upto'): Promise<Charge> {
  await store.reserve(terms(1), [day, rolling, micro], false)
  await store.authorize(terms(1).id, signed(1, { method: 'permit2', scheme }), NOW + 2)
  return await store.move(terms(1).id, { to: 'settled', at: NOW + 3, reason: 'receipt', proof: 'receipt' })
}

const proven = (charged: bigint) =>
  ({ to: 'settled', at: NOW + 4, reason: 'chain_used', proof: 'chain', charged }) as const

onEachStore('an upto charge', (store) => {
  const spent = async (): Promise<bigint[]> =>
    (await store().totals([day, { ...rolling, windowStart: NOW + 10 }, micro])).map((sums) => sums.spent)

  test('counts its maximum until the chain proves less, in every window that it is in', async () => {
    await settled(store())
    expect(await spent()).toEqual([23_000n, 23_000n, 11_501n])
    const charge = await store().move(terms(1).id, proven(10_000n))
    expect(charge).toMatchObject({ amount: 23_000n, charged: 10_000n, proof: 'chain' })
    // A share in another unit is lowered in proportion, rounded up.
    expect(await spent()).toEqual([10_000n, 10_000n, 5_001n])
    expect(await store().charge(terms(1).id)).toMatchObject({
      charged: 10_000n,
      authorization: { scheme: 'upto' },
    })
  })

  test('counts what the chain proved in every sum, and keeps what was signed', async () => {
    await settled(store())
    await store().reserve(terms(2), [], false)
    const { route, remoteModel: model, payer, seller, caller, microUsd = 0n } = terms(1)
    const sums = async (): Promise<bigint[]> => [
      (await store().spentBy(0)).reduce((sum, row) => sum + row.microUsd, 0n),
      (await store().spend({ states: ['settled'], by: 'route' })).reduce(
        (sum, row) => sum + row.microUsd,
        0n,
      ),
      (await store().sum('settled')).microUsd,
      (await store().consumption({ since: 0, caller })).microUsd - microUsd,
      (await store().consumption({ since: 0 })).microUsd - microUsd,
    ]
    expect(await sums()).toEqual(Array(5).fill(microUsd))
    await store().move(terms(1).id, proven(10_000n))
    const taken = chargedShare(microUsd, 10_000n, terms(1).amount)
    expect(taken).toBeLessThan(microUsd)
    expect(await sums()).toEqual(Array(5).fill(taken))
    expect(await store().spentBy(0)).toEqual([
      { route, model, payer, seller, caller, charges: 1, microUsd: taken },
    ])
    expect(await store().charge(terms(1).id)).toMatchObject({ amount: terms(1).amount, microUsd })
  })

  test('frees what was not taken for the next payment, to the unit', async () => {
    await settled(store())
    await store().move(terms(1).id, proven(1n))
    const next = (amount: bigint, n: number) =>
      store().reserve(
        terms(n),
        [claim(amount, 100_000n), { ...rolling, amount, windowStart: NOW + n }],
        false,
      )
    expect(await next(100_000n, 2)).toMatchObject({ ok: false })
    expect(await next(99_999n, 3)).toMatchObject({ ok: true })
  })

  test('may turn out to have taken nothing: it is settled, and counts nothing', async () => {
    await settled(store())
    await store().move(terms(1).id, proven(0n))
    expect(await spent()).toEqual([0n, 0n, 0n])
  })

  test('an uncertain one settles at what was taken in one step', async () => {
    await store().reserve(terms(1), [day], false)
    await store().authorize(terms(1).id, signed(1, { method: 'permit2', scheme: 'upto' }), NOW + 2)
    await store().move(terms(1).id, { to: 'uncertain', at: NOW + 3, reason: 'timeout' })
    await store().move(terms(1).id, proven(7n))
    expect((await store().totals([day]))[0]).toEqual({ spent: 7n, held: 0n, authorized: 0n, uncertain: 0n })
  })

  test.each([
    ['more than was signed', 'upto', { ...proven(23_001n) }],
    ['less than nothing', 'upto', { ...proven(-1n) }],
    ['on a receipt', 'upto', { ...proven(1n), proof: 'receipt' as const }],
    ['of an exact payment', 'exact', { ...proven(1n) }],
  ] as const)('is never booked at an amount %s', async (_what, scheme, move) => {
    await settled(store(), scheme)
    await expect(store().move(terms(1).id, move)).rejects.toThrow()
    expect(await spent()).toEqual([23_000n, 23_000n, 11_501n])
  })

  test('is lowered once: what the chain proved does not change', async () => {
    await settled(store())
    await store().move(terms(1).id, proven(10n))
    await expect(store().move(terms(1).id, proven(5n))).rejects.toThrow()
    expect((await spent())[0]).toBe(10n)
  })
})

test('whatever sellers took of what was signed, every sum of every store is the sum of what was taken', async () => {
  const big = fc.bigInt(1n, 10n ** 24n)
  const payment = fc.record({
    amount: big,
    microUsd: fc.option(fc.oneof(fc.bigInt(0n, 10n ** 9n), big), { nil: undefined }),
    part: fc.option(fc.bigInt(0n, 1000n), { nil: undefined }),
    route: fc.constantFrom('a', 'b'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(payment, { maxLength: 8 }), async (payments) => {
      const directory = mkdtempSync(join(tmpdir(), 'tollway-charged-'))
      const stores = [memoryStore(), await keptStore(join(directory, 'ledger.db'))]
      for (const store of stores) {
        for (const [n, { amount, microUsd, part, route }] of payments.entries()) {
          const { id } = terms(n)
          await store.reserve(terms(n, { amount, microUsd, route }), [], false)
          await store.authorize(id, signed(n, { method: 'permit2', scheme: 'upto' }), NOW + n)
          const charged = part === undefined ? {} : { charged: (amount * part) / 1000n }
          await store.move(id, {
            to: 'settled',
            at: NOW + n,
            reason: 'chain_used',
            proof: 'chain',
            ...charged,
          })
        }
        const charges = await store.charges()
        const taken = (route?: string): bigint =>
          charges
            .filter((charge) => route === undefined || charge.route === route)
            .reduce((sum, charge) => sum + (takenOf(charge).microUsd ?? 0n), 0n)
        for (const row of await store.spend({ by: 'route' })) expect(row.microUsd).toBe(taken(row.group))
        expect((await store.sum('settled')).microUsd).toBe(taken())
        expect((await store.consumption({ since: 0 })).microUsd).toBe(taken())
        // The gauge's sum is for display, and refuses what does not fit 64 bits.
        const fits = charges.every(({ microUsd = 0n }) => microUsd < 10n ** 12n)
        if (fits) for (const row of await store.spentBy(0)) expect(row.microUsd).toBe(taken(row.route))
        await store.close()
      }
      rmSync(directory, { recursive: true })
    }),
    { numRuns: 25 },
  )
})

test('a share never falls below its exact part, nor rises above what it was', () => {
  const amount = fc.bigInt(1n, 10n ** 30n)
  fc.assert(
    fc.property(amount, amount, fc.double({ min: 0, max: 1, noNaN: true }), (signedAmount, share, part) => {
      const charged = (signedAmount * BigInt(Math.floor(part * 1e6))) / 1_000_000n
      const left = chargedShare(share, charged, signedAmount)
      expect(left * signedAmount >= share * charged).toBe(true)
      expect((left - 1n) * signedAmount < share * charged).toBe(true)
      expect(left <= share).toBe(true)
    }),
  )
  expect(takenOf({ amount: 10n, microUsd: 3n, charged: 1n })).toEqual({ amount: 1n, microUsd: 1n })
  expect(takenOf({ amount: 10n, microUsd: undefined })).toEqual({ amount: 10n, microUsd: undefined })
})
