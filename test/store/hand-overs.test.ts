/** Vouchers in other hands: a request that is paid with one by a payer of ours takes it over, and it counts once. */
import { expect, test } from 'vitest'
import type { ChargeTerms } from '../../src/core/charge/charge.ts'
import { compileRoutes } from '../../src/core/routing/route.ts'
import { EXPORT_ROUTE, voucherRecord } from '../../src/core/vouchers/voucher.ts'
import type { Store } from '../../src/io/store/store.ts'
import { onEachStore } from './each-store.ts'
import { claim, instance, NOW, signed, terms } from './samples.ts'
import { LIMITS, pool, voucher } from './voucher-samples.ts'

const record = voucherRecord(voucher(1))
const limit = claim(23_000n, 60_000n)
const idOf = (n: number): string => terms(n).id

/** Charge 1 hands the first of two vouchers over. */
async function handOver(store: Store, changes: Partial<ChargeTerms> = {}): Promise<void> {
  await store.register(instance('ins_one'))
  await store.vouchers.define(pool(), NOW)
  await store.vouchers.add([voucher(1), voucher(2)], { limits: LIMITS, at: NOW, signed: true })
  await store.reserve(terms(1, { route: EXPORT_ROUTE, ...changes }), [limit], false)
  await store.vouchers.claim({ charge: idOf(1), method: 'eip3009', at: NOW })
  await store.authorize(idOf(1), record, NOW)
}

/** Charge n is a request's. */
async function request(store: Store, n: number, changes: Partial<ChargeTerms> = {}): Promise<void> {
  await store.reserve(terms(n, { payer: 'sidecar', ...changes }), [limit], false)
}

onEachStore('hand-overs', (store) => {
  test.each(['authorized', 'uncertain'] as const)(
    'one that stands %s is taken over by the request that sends it: one charge holds the nonce, and it counts once',
    async (state) => {
      await handOver(store())
      if (state === 'uncertain') await store().retire('ins_one', NOW, 'instance_closed')
      await request(store(), 2)
      expect(await store().authorize(idOf(2), record, NOW)).toBe('nonce_used')
      const taken = await store().takeOver(idOf(2), record, NOW)
      expect(taken).toMatchObject({
        charge: { id: idOf(2), state: 'authorized', authorization: { nonce: record.nonce } },
        handOver: {
          before: { id: idOf(1), state },
          now: { id: idOf(1), state: 'released', reason: 'taken_over', authorization: undefined },
        },
      })
      expect(await store().totals([limit])).toEqual([
        { spent: 0n, held: 0n, authorized: 23_000n, uncertain: 0n },
      ])
      // The voucher stands as the request's charge stands, and cannot be written into a file again.
      expect(await store().vouchers.exported(terms(1).payer, 'qwen', NOW)).toEqual([])
      await store().move(idOf(2), { to: 'settled', proof: 'receipt', at: NOW, reason: 'receipt' })
      expect(await store().vouchers.list({ states: ['spent'], at: NOW })).toMatchObject([
        { nonce: record.nonce, charge: idOf(2) },
      ])
      expect(await store().charge(idOf(1))).toMatchObject({ state: 'released' })
    },
  )

  test('a second request with the same one is refused, and whoever died before is told by the process that took it', async () => {
    await handOver(store())
    await request(store(), 2, { instance: 'ins_two' })
    await store().register(instance('ins_two'))
    await store().takeOver(idOf(2), record, NOW)
    await request(store(), 3)
    expect(await store().takeOver(idOf(3), record, NOW)).toBe('nonce_used')
    expect(await store().outbox.adopt('ins_two', 'ins_one')).toMatchObject([
      { id: idOf(1), state: 'released' },
    ])
  })

  test('one request takes it of two at once', async () => {
    await handOver(store())
    await request(store(), 2)
    await store().reserve(terms(3, { payer: 'sidecar' }), [], false)
    const both = await Promise.all([2, 3].map((n) => store().takeOver(idOf(n), record, NOW)))
    // Of two transactions at once either may be first.
    const outcomes = both.map((taken) => (typeof taken === 'string' ? taken : taken.charge.id))
    expect([
      [idOf(2), 'nonce_used'],
      ['nonce_used', idOf(3)],
    ]).toContainEqual(outcomes)
  })

  test('nothing else is taken over: what was sent, settled, is of other terms or belongs to a request', async () => {
    await handOver(store())
    await request(store(), 2, { payTo: '0x00000000000000000000000000000000000000cc' })
    expect(await store().takeOver(idOf(2), record, NOW)).toBe('nonce_used')
    expect(await store().takeOver(idOf(2), signed(9), NOW)).toBe('nonce_used')
    await store().reserve(terms(3), [], false)
    const later = { ...record, validBefore: record.validBefore + 1 }
    expect(await store().takeOver(idOf(3), later, NOW)).toBe('nonce_used')
    expect(await store().takeOver(idOf(3), record, NOW + 60_000)).toBe('lease_expired')
    // It has claimed one of its own.
    await store().vouchers.claim({ charge: idOf(3), method: 'eip3009', at: NOW })
    expect(await store().takeOver(idOf(3), record, NOW)).toBe('nonce_used')
    await store().move(idOf(1), { to: 'uncertain', at: NOW, reason: 'instance_closed' })
    await store().move(idOf(1), { to: 'settled', proof: 'chain', at: NOW, reason: 'chain_used' })
    await store().reserve(terms(4), [], false)
    expect(await store().takeOver(idOf(4), record, NOW)).toBe('nonce_used')
    expect(await store().charge(idOf(4))).toMatchObject({ state: 'held' })
    expect(await store().takeOver(idOf(1), record, NOW)).toBe('not_held')
  })

  test('a route named export is no hand-over: what it sent is never written into a file, nor taken over', async () => {
    await handOver(store(), { route: 'export' })
    await store().move(idOf(1), { to: 'uncertain', at: NOW, reason: 'timeout' })
    expect(await store().vouchers.exported(terms(1).payer, 'qwen', NOW)).toEqual([])
    await request(store(), 2)
    expect(await store().takeOver(idOf(2), record, NOW)).toBe('nonce_used')
  })
})

test('no route can have the name that hand-overs are booked under', () => {
  const apiBase = 'https://a.example/v1'
  const route = { modelName: EXPORT_ROUTE, model: undefined, apiBase, payer: 'p', apiKey: undefined }
  expect(EXPORT_ROUTE).toMatch(/ /)
  expect(() => compileRoutes([{ ...route, order: 1 }])).toThrow('Choose another')
})
