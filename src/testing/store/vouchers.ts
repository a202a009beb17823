/** Vouchers in every store: each is used at most once, and follows its charge. */
import { expect, test } from 'vitest'
import { voucherRecord, type VoucherCounts } from '../../core/vouchers/voucher.ts'
import type { Store } from '../../io/store/store.ts'
import type { Claimed } from '../../io/store/contracts/vouchers.ts'
import { instance, NOW, terms } from './samples.ts'
import { LIMITS, pool, voucher } from './voucher-samples.ts'

const none: VoucherCounts = { ready: 0, held: 0, spent: 0, uncertain: 0, expired: 0, dropped: 0 }
const options = { limits: LIMITS, at: NOW, signed: false }
const base = terms(1).payer

async function counts(store: Store, at = NOW): Promise<Partial<VoucherCounts>> {
  const [status] = await store.vouchers.pools({ at })
  return Object.fromEntries(Object.entries(status?.counts ?? {}).filter(([, count]) => count > 0))
}

async function fill(store: Store, count: number): Promise<void> {
  await store.vouchers.define(pool(), NOW)
  await store.vouchers.add(
    Array.from({ length: count }, (_, n) => voucher(n + 1)),
    options,
  )
}

/** Reserves the nth charge and claims a voucher for it. */
async function claimFor(
  store: Store,
  n: number,
  changes: Parameters<typeof terms>[1] = {},
): Promise<Claimed> {
  await store.reserve(terms(n, changes), [], false)
  return await store.vouchers.claim({ charge: terms(n).id, method: 'eip3009', at: NOW })
}

/** @param store the store of the running test */
export function vouchersConformance(store: () => Store): void {
  test('a claim takes the voucher that ends first, with its signature, and no other charge gets it', async () => {
    await fill(store(), 2)
    const claims = [await claimFor(store(), 1), await claimFor(store(), 2), await claimFor(store(), 3)]
    expect(claims.map((claim) => claim.ok && claim.voucher)).toEqual([voucher(1), voucher(2), false])
    expect(claims[2]).toEqual({ ok: false, reason: 'empty', others: undefined })
    expect(await counts(store())).toEqual({ held: 2 })
  })

  test('a hundred claims at once get a hundred different vouchers', async () => {
    await fill(store(), 100)
    const claims = await Promise.all(Array.from({ length: 120 }, (_, n) => claimFor(store(), n + 1)))
    const nonces = claims.flatMap((claim) => (claim.ok ? [claim.voucher.nonce] : []))
    expect([nonces.length, new Set(nonces).size]).toEqual([100, 100])
  })

  test('a charge released before it was recorded gives its voucher back, first in line', async () => {
    await fill(store(), 2)
    await claimFor(store(), 1)
    await store().move(terms(1).id, { to: 'released', at: NOW, reason: 'client_left' })
    expect(await counts(store())).toEqual({ ready: 2 })
    expect(await claimFor(store(), 2)).toEqual({ ok: true, voucher: voucher(1) })
  })

  test.each([
    ['is gone', (open: Store) => open.vouchers.remove(base, 'qwen')],
    ['has another price now', (open: Store) => open.vouchers.define(pool({ amount: 24_000n }), NOW)],
  ])('a charge released before it was recorded drops its voucher when the pool %s', async (_how, change) => {
    await fill(store(), 1)
    await claimFor(store(), 1)
    await change(store())
    await store().move(terms(1).id, { to: 'released', at: NOW, reason: 'client_left' })
    expect(await store().vouchers.list({ at: NOW })).toMatchObject([{ state: 'dropped', charge: undefined }])
    expect(await claimFor(store(), 2)).toMatchObject({ ok: false, reason: 'empty' })
    // What comes back with its pool can be used.
    await store().vouchers.define(pool(), NOW)
    expect(await store().vouchers.add([voucher(1)], options)).toMatchObject({ added: 1 })
    expect(await claimFor(store(), 3)).toEqual({ ok: true, voucher: voucher(1) })
  })

  test('a voucher that another payer had and paid with is not added, and one that lies here goes when it is found out', async () => {
    await fill(store(), 1)
    // The same two authorizations came through a payer that keeps its own.
    for (const n of [1, 2]) {
      await store().reserve(terms(n, { payer: 'sidecar' }), [], false)
      await store().authorize(terms(n).id, voucherRecord(voucher(n)), NOW)
    }
    expect(await store().vouchers.add([voucher(2)], options)).toMatchObject({ added: 0, known: 1 })
    const claim = await claimFor(store(), 3)
    if (!claim.ok) throw new Error('no voucher')
    expect(await store().authorize(terms(3).id, voucherRecord(claim.voucher), NOW)).toBe('nonce_used')
    await store().move(terms(3).id, { to: 'released', at: NOW, reason: 'signer_unavailable' })
    expect(await counts(store())).toEqual({ spent: 1 })
    expect(await claimFor(store(), 4)).toMatchObject({ ok: false, reason: 'empty' })
    expect(await store().vouchers.usedKeys(base)).toEqual(new Map([['qwen', [voucher(1).key]]]))
  })

  test('a voucher that was sent is never free again, whatever becomes of its charge', async () => {
    await fill(store(), 3)
    const states = []
    for (const [n, move] of [
      { to: 'settled' as const, proof: 'receipt' as const },
      { to: 'uncertain' as const },
      { to: 'released' as const },
    ].entries()) {
      const claim = await claimFor(store(), n + 1)
      if (!claim.ok) throw new Error('no voucher')
      await store().authorize(terms(n + 1).id, voucherRecord(claim.voucher), NOW)
      states.push(await counts(store()))
      await store().move(terms(n + 1).id, { ...move, at: NOW, reason: 'test' })
    }
    expect(states).toEqual([
      { ready: 2, held: 1 },
      { ready: 1, spent: 1, held: 1 },
      { spent: 1, uncertain: 1, held: 1 },
    ])
    expect(await counts(store())).toEqual({ spent: 1, uncertain: 1, expired: 1 })
    expect(await claimFor(store(), 9)).toMatchObject({ ok: false, reason: 'empty' })
    expect(await store().vouchers.usedKeys(base)).toEqual(
      new Map([['qwen', [1, 2, 3].map((n) => voucher(n).key)]]),
    )
  })

  test('after a crash a voucher that was only claimed is ready again, and one that was recorded is uncertain', async () => {
    await store().register(instance('ins_one'))
    await fill(store(), 2)
    await claimFor(store(), 1)
    const second = await claimFor(store(), 2)
    if (!second.ok) throw new Error('no voucher')
    await store().authorize(terms(2).id, voucherRecord(second.voucher), NOW)
    await store().retire('ins_one', NOW, 'instance_dead')
    expect(await counts(store())).toEqual({ ready: 1, uncertain: 1 })
    expect(await claimFor(store(), 3)).toEqual({ ok: true, voucher: voucher(1) })
  })

  test('adding again changes nothing: a voucher that is held, spent or free stays what it is', async () => {
    await fill(store(), 3)
    await claimFor(store(), 1)
    await store().vouchers.spentElsewhere(base, 'qwen', [voucher(2).key])
    expect(await store().vouchers.add([voucher(1), voucher(2), voucher(3), voucher(3)], options)).toEqual({
      added: 0,
      known: 4,
      refused: {},
    })
    expect(await counts(store())).toEqual({ held: 1, spent: 1, ready: 1 })
  })

  test('claims are for exactly the terms of the charge, and say whether the pool is empty or the terms moved', async () => {
    await fill(store(), 1)
    const { payer, seller, network, asset, payTo, amount, method } = voucher(1)
    const others = { seller, network, asset, payTo, amount, method }
    const wrong = [{ amount: 22_999n }, { payTo: '0xcc' }, { asset: '0xdd' }, { network: 'eip155:1' }]
    for (const [n, changes] of wrong.entries()) {
      expect(await claimFor(store(), n + 1, changes)).toMatchObject({
        ok: false,
        reason: 'terms_changed',
        others,
      })
    }
    expect(await claimFor(store(), 10, { apiBase: 'https://other/v1' })).toMatchObject({ reason: 'empty' })
    expect(await claimFor(store(), 11, { payer: `${payer}2` })).toMatchObject({ reason: 'empty' })
    await store().reserve(terms(12), [], false)
    const claim = { charge: terms(12).id, method: 'eip3009' as const, at: NOW }
    expect(await store().vouchers.claim({ ...claim, method: 'permit2' })).toMatchObject({
      reason: 'terms_changed',
    })
    expect(await store().vouchers.claim({ ...claim, pool: 'other' })).toMatchObject({ reason: 'empty' })
    expect(await store().vouchers.claim({ ...claim, at: NOW + 86_400_000 })).toMatchObject({
      reason: 'expired',
    })
    expect(await store().vouchers.claim({ ...claim, pool: 'qwen' })).toMatchObject({ ok: true })
  })

  test('a claim needs a held charge that has none yet', async () => {
    await fill(store(), 2)
    const claim = { method: 'eip3009' as const, at: NOW }
    await expect(store().vouchers.claim({ ...claim, charge: 'chg_none' })).rejects.toThrow('no charge')
    await claimFor(store(), 1)
    await expect(store().vouchers.claim({ ...claim, charge: terms(1).id })).rejects.toThrow('already')
    await store().move(terms(1).id, { to: 'released', at: NOW, reason: 'test' })
    await expect(store().vouchers.claim({ ...claim, charge: terms(1).id })).rejects.toThrow('released')
  })

  test('vouchers end ten seconds before their validity, or when they have lain too long', async () => {
    await store().vouchers.define(pool(), NOW)
    const now = Math.floor(NOW / 1000)
    const list = [
      voucher(1, { validBefore: now + 10 }),
      voucher(2, { validBefore: now + 11 }),
      voucher(3, { validBefore: now + 999 }),
    ]
    const limits = { ...LIMITS, maxAgeMs: 60_000 }
    expect(await store().vouchers.add(list, { ...options, limits })).toEqual({
      added: 2,
      known: 0,
      refused: { expired: 1 },
    })
    expect(await counts(store(), NOW + 999)).toEqual({ ready: 2 })
    expect(await counts(store(), NOW + 1000)).toEqual({ ready: 1, expired: 1 })
    expect(await counts(store(), NOW + 60_000)).toEqual({ expired: 2 })
  })

  test('vouchers that are valid for longer than the limit are not taken, to the second', async () => {
    await store().vouchers.define(pool(), NOW)
    const now = Math.floor(NOW / 1000)
    const list = [
      voucher(1, { validBefore: now + 3600 }),
      voucher(2, { validBefore: now + 3601 }),
      voucher(3, { validBefore: 4_294_967_295 }),
    ]
    const limits = { ...LIMITS, maxLifeMs: 3_600_000 }
    expect(await store().vouchers.add(list, { ...options, at: now * 1000, limits })).toEqual({
      added: 1,
      known: 0,
      refused: { too_long: 2 },
    })
  })

  test('changed terms drop the whole pool, and its signatures do not lie in the store any more', async () => {
    await fill(store(), 3)
    await claimFor(store(), 1)
    expect(await store().vouchers.define(pool(), NOW)).toBe(0)
    expect(await store().vouchers.define(pool({ amount: 24_000n }), NOW)).toBe(2)
    expect(await counts(store())).toEqual({ held: 1, dropped: 2 })
    const [status] = await store().vouchers.pools({ at: NOW })
    expect([status?.exposure, status?.exposureMicroUsd, status?.earliestExpiry]).toEqual([0n, 0n, undefined])
    expect(await store().vouchers.add([voucher(2)], options)).toMatchObject({ refused: { other_terms: 1 } })
  })

  test('a dropped voucher that comes again is taken back, no younger than it was', async () => {
    await store().vouchers.define(pool(), NOW)
    const limits = { ...LIMITS, maxAgeMs: 60_000 }
    await store().vouchers.add([voucher(1)], { ...options, limits })
    expect(await store().vouchers.drop([voucher(1).id, 'unknown'])).toBe(1)
    expect(await counts(store())).toEqual({ dropped: 1 })
    const later = { limits, at: NOW + 30_000, signed: false }
    expect(await store().vouchers.add([voucher(1)], later)).toMatchObject({ added: 1 })
    expect(await store().vouchers.list({ at: NOW })).toMatchObject([
      { state: 'ready', addedAt: NOW, usableUntil: NOW + 60_000 },
    ])
    expect(await claimFor(store(), 1)).toEqual({ ok: true, voucher: voucher(1) })
  })

  test('limits on count and exposure hold to the atom; what is claimed makes room', async () => {
    await store().vouchers.define(pool(), NOW)
    const limits = { ...LIMITS, maxCount: 3, maxMicroUsd: 69_000n }
    const list = [1, 2, 3, 4].map((n) => voucher(n))
    expect(await store().vouchers.add(list, { ...options, limits })).toMatchObject({
      added: 3,
      refused: { count: 1 },
    })
    const tight = { ...LIMITS, maxMicroUsd: 91_999n }
    expect(await store().vouchers.add(list, { ...options, limits: tight })).toMatchObject({
      added: 0,
      known: 3,
      refused: { exposure: 1 },
    })
    await claimFor(store(), 1)
    expect(await store().vouchers.add(list, { ...options, limits })).toMatchObject({ added: 1, known: 3 })
    const unpriced = voucher(5, { microUsd: undefined })
    expect(await store().vouchers.add([unpriced], options)).toMatchObject({ refused: { unpriced: 1 } })
    const [status] = await store().vouchers.pools({ payer: base, at: NOW })
    expect([status?.exposure, status?.exposureMicroUsd, status?.earliestExpiry]).toEqual([
      69_000n,
      69_000n,
      voucher(2).validBefore,
    ])
    expect(status?.oldestAddedAt).toBe(options.at)
  })

  test('max_total and max_spend_per_day bind what is signed, across days and drops, and not what is loaded', async () => {
    const refill = { threshold: 1, count: 2, maxTotal: 5, maxPerDay: 46_000n, maxPrice: undefined }
    await store().vouchers.define(pool({ refill }), NOW)
    const sign = (from: number, at: number) =>
      store().vouchers.add(
        [0, 1, 2].map((n) => voucher(from + n, { validBefore: Math.floor(at / 1000) + 3600 })),
        { limits: LIMITS, at, signed: true },
      )
    expect(await sign(1, NOW)).toMatchObject({ added: 2, refused: { per_day: 1 } })
    await store().vouchers.drop([voucher(1).id])
    expect(await sign(10, NOW + 1000)).toMatchObject({ added: 0, refused: { per_day: 3 } })
    const tomorrow = NOW + 86_400_000
    expect(await sign(20, tomorrow)).toMatchObject({ added: 2, refused: { per_day: 1 } })
    expect(await sign(30, tomorrow + 86_400_000)).toMatchObject({ added: 1, refused: { total: 2 } })
    const loaded = { limits: LIMITS, at: NOW, signed: false }
    expect(await store().vouchers.add([voucher(90)], loaded)).toMatchObject({ added: 1 })
  })

  test('a draining pool takes nothing in and is used up; removing it drops what is left and lets claims run on', async () => {
    await fill(store(), 3)
    await store().vouchers.drain(base, 'qwen', NOW)
    await store().vouchers.drain(base, 'unknown', NOW)
    expect(await store().vouchers.add([voucher(9)], options)).toMatchObject({ refused: { draining: 1 } })
    const first = await claimFor(store(), 1)
    if (!first.ok) throw new Error('no voucher')
    expect(await store().vouchers.remove(base, 'qwen')).toBe(2)
    expect(await store().vouchers.pools({ at: NOW })).toEqual([])
    expect(await store().authorize(terms(1).id, voucherRecord(first.voucher), NOW)).toMatchObject({
      state: 'authorized',
    })
    expect(await store().vouchers.list({ at: NOW, states: ['held'] })).toHaveLength(1)
    expect(await claimFor(store(), 2)).toMatchObject({ ok: false, reason: 'empty' })
  })

  test('what another program used is spent; what a charge of ours holds is left to the charge', async () => {
    await fill(store(), 3)
    await claimFor(store(), 1)
    const keys = [voucher(1).key, voucher(2).key, 'unknown']
    expect(await store().vouchers.spentElsewhere(base, 'qwen', keys)).toBe(1)
    expect(await store().vouchers.spentElsewhere(base, 'other', [voucher(3).key])).toBe(0)
    expect(await counts(store())).toEqual({ held: 1, spent: 1, ready: 1 })
  })

  test('lists show state, charge and age, and never a signature', async () => {
    await fill(store(), 3)
    await claimFor(store(), 1)
    const all = await store().vouchers.list({ payer: base, pool: 'qwen', at: NOW })
    expect(all.map(({ state, charge }) => [state, charge])).toEqual([
      ['held', terms(1).id],
      ['ready', undefined],
      ['ready', undefined],
    ])
    expect(
      JSON.stringify(all, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value)),
    ).not.toContain('secret')
    expect(await store().vouchers.list({ states: ['ready'], limit: 1, at: NOW })).toHaveLength(1)
    expect(await store().vouchers.list({ payer: 'nobody', at: NOW })).toEqual([])
  })

  test('pools keep every field, and vouchers of several pools are never mixed in one call', async () => {
    const refill = { threshold: 0, count: 9, maxTotal: 7, maxPerDay: 10n ** 20n, maxPrice: 5n }
    const full = pool({ refill, method: 'permit2', remoteModel: undefined, amount: 10n ** 30n })
    await store().vouchers.define(full, NOW)
    await store().vouchers.define(pool({ name: 'a' }), NOW)
    const [a, b] = await store().vouchers.pools({ at: NOW })
    expect([a?.pool, b?.pool, b?.counts]).toEqual([pool({ name: 'a' }), full, none])
    await expect(store().vouchers.add([voucher(1, { pool: 'unknown' })], options)).rejects.toThrow('define')
    await expect(store().vouchers.add([voucher(1), voucher(2, { pool: 'a' })], options)).rejects.toThrow(
      'several',
    )
    expect(await store().vouchers.add([], options)).toEqual({ added: 0, known: 0, refused: {} })
  })
}
