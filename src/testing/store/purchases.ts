/** Purchases in every store: they follow their pools, so that an order is delivered in full and never twice. */
import { expect, test } from 'vitest'
import type { Purchase } from '../../core/vouchers/purchase.ts'
import type { Store } from '../../io/store/store.ts'
import { NOW } from './samples.ts'
import { LIMITS, pool, voucher } from './voucher-samples.ts'

const purchase = (changes: Partial<Purchase> = {}): Purchase => ({
  payer: pool().payer,
  name: 'qwen',
  endpoint: 'https://seller.example.com/v1/chat/completions',
  model: 'qwen3.5:9b',
  signedBy: 'base',
  lifeSeconds: 3600,
  maxPrice: 2n ** 200n,
  ordered: 10,
  createdAt: NOW,
  order: {
    at: NOW,
    count: undefined,
    budget: 2n ** 199n,
    size: 10,
    price: pool().amount,
    ceiling: 2n ** 201n,
    handOver: true,
  },
  ...changes,
})
const cost = (count: bigint): bigint => count * pool().amount
const ordered = { limits: LIMITS, at: NOW, signed: true, ordered: true }

/** @param store the store of the running test */
export function purchasesConformance(store: () => Store): void {
  test('a purchase is kept as it was given, and delivers what is added to its order', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase())
    await store().vouchers.add([voucher(1), voucher(2)], ordered)
    // Not ordered: loaded, or a refill.
    await store().vouchers.add([voucher(3)], { ...ordered, ordered: false })
    // Known already: not delivered again.
    await store().vouchers.add([voucher(2), voucher(4)], ordered)
    expect(await store().purchases.list()).toEqual([{ ...purchase(), delivered: 3, cost: cost(3n) }])
  })

  test('a changed purchase keeps what was delivered and when it began', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase({ maxPrice: undefined }))
    await store().vouchers.add([voucher(1)], ordered)
    const changes = { ordered: 20, maxPrice: 7n, order: undefined }
    await store().purchases.save(purchase({ ...changes, createdAt: NOW + 5 }))
    expect(await store().purchases.list({ name: 'qwen' })).toEqual([
      { ...purchase(changes), delivered: 1, cost: cost(1n) },
    ])
  })

  test('vouchers dropped for other terms are not delivered any more and cost nothing; refills are not of the order', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase())
    await store().vouchers.add([voucher(1), voucher(2)], ordered)
    await store().vouchers.add([voucher(3)], { ...ordered, ordered: false })
    await store().vouchers.spentElsewhere(pool().payer, 'qwen', [voucher(2).key])
    await store().vouchers.define(pool({ amount: pool().amount + 1n }), NOW)
    expect(await store().purchases.list()).toMatchObject([{ delivered: 1, cost: cost(1n) }])
  })

  test('what was ordered costs no more than was said, to one smallest unit', async () => {
    await store().vouchers.define(pool(), NOW)
    const order = {
      ...purchase().order,
      at: NOW,
      size: 10,
      price: 1n,
      count: 10,
      budget: 1n,
      handOver: false,
    }
    const room = async () =>
      await store().vouchers.room(pool().payer, 'qwen', 9, { ...ordered, microUsd: 1n })
    await store().purchases.save(purchase({ order: { ...order, ceiling: cost(3n) - 1n } }))
    expect(await room()).toBe(2)
    expect(await store().vouchers.add([voucher(1), voucher(2), voucher(3)], ordered)).toMatchObject({
      added: 2,
      refused: { budget: 1 },
    })
    await store().purchases.save(purchase({ order: { ...order, ceiling: cost(3n) } }))
    expect(await room()).toBe(1)
    expect((await store().vouchers.add([voucher(3)], ordered)).added).toBe(1)
    expect([await room(), (await store().vouchers.add([voucher(4)], ordered)).added]).toEqual([0, 0])
    // Refills have limits of their own.
    expect((await store().vouchers.add([voucher(4)], { ...ordered, ordered: false })).added).toBe(1)
  })

  test('a removed pool takes its purchase along, and no other', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase())
    await store().purchases.save(purchase({ name: 'other' }))
    await store().purchases.save(purchase({ payer: 'another' }))
    await store().vouchers.remove(pool().payer, 'qwen')
    const left = (await store().purchases.list()).map(({ payer, name }) => `${payer}/${name}`)
    expect(left).toEqual([`another/qwen`, `${pool().payer}/other`].toSorted())
    expect(await store().purchases.list({ payer: 'another' })).toHaveLength(1)
  })
}
