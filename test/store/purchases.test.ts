/** Purchases in every store: they follow their pools, so that an order is delivered in full and never twice. */
import { expect, test } from 'vitest'
import type { Purchase } from '../../src/core/purchase.ts'
import { onEachStore } from './each-store.ts'
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
  ...changes,
})
const ordered = { limits: LIMITS, at: NOW, signed: true, ordered: true }

onEachStore('purchases', (store) => {
  test('a purchase is kept as it was given, and delivers what is added to its order', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase())
    await store().vouchers.add([voucher(1), voucher(2)], ordered)
    // Not ordered: loaded, or a refill.
    await store().vouchers.add([voucher(3)], { ...ordered, ordered: false })
    // Known already: not delivered again.
    await store().vouchers.add([voucher(2), voucher(4)], ordered)
    expect(await store().purchases.list()).toEqual([{ ...purchase(), delivered: 3 }])
  })

  test('a changed purchase keeps what was delivered and when it began', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase({ maxPrice: undefined }))
    await store().vouchers.add([voucher(1)], ordered)
    await store().purchases.save(purchase({ ordered: 20, createdAt: NOW + 5, maxPrice: 7n }))
    expect(await store().purchases.list({ name: 'qwen' })).toEqual([
      { ...purchase({ ordered: 20, maxPrice: 7n }), delivered: 1 },
    ])
  })

  test('vouchers dropped for other terms are not delivered any more, and never below nothing', async () => {
    await store().vouchers.define(pool(), NOW)
    await store().purchases.save(purchase())
    await store().vouchers.add([voucher(1)], ordered)
    await store().vouchers.add([voucher(2)], { ...ordered, ordered: false })
    await store().vouchers.define(pool({ amount: pool().amount + 1n }), NOW)
    expect(await store().purchases.list()).toMatchObject([{ delivered: 0 }])
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
})
