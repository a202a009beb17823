/** What every store must remember of payees. */
import { beforeEach, describe, expect, test } from 'vitest'
import { ANY_PAYEE } from '../../core/policy/payees.ts'
import type { Charge, ChargeTerms } from '../../core/charge/charge.ts'
import type { Move } from '../../io/store/contracts/charges.ts'
import type { Store } from '../../io/store/store.ts'
import { claim, NOW, signed, terms } from './samples.ts'
import { chargeKit, sums, to } from './kit.ts'

const OTHER = '0x00000000000000000000000000000000000000cc'

/** @param current the store of the running test */
export function pinsConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { totals } = chargeKit(current)

  /** The nth payment, reserved, signed and moved on. */
  async function paid(n: number, changes: Partial<ChargeTerms> = {}, move: Move = settled): Promise<Charge> {
    await store.reserve(terms(n, changes), [], true)
    await store.authorize(terms(n).id, signed(n), NOW + n)
    return await store.move(terms(n).id, move)
  }
  const settled = to('settled', { pin: true })

  describe('pins', () => {
    test('rule 6: the payee of the first settled payment is pinned per seller, network and asset', async () => {
      await paid(1)
      const { apiBase, network, asset, payTo } = terms(1)
      expect(await store.pins()).toEqual([{ apiBase, network, asset, payTo, pinnedAt: settled.at }])
      expect(await store.pins(apiBase)).toHaveLength(1)
      expect(await store.pins('https://other.example.com')).toEqual([])
      await expect(store.reserve(terms(2, { payTo: OTHER }), [], true)).rejects.toMatchObject({
        code: 'payee_not_allowed',
      })
    })

    test('rule 6: a payment that is reserved, released or uncertain pins nothing', async () => {
      await store.reserve(terms(1), [], true)
      await store.move(terms(1).id, to('released', { pin: true }))
      await paid(2, { payTo: OTHER }, to('uncertain', { pin: true }))
      expect(await store.pins()).toEqual([])
      expect((await store.reserve(terms(3), [], true)).ok).toBe(true)
      expect(await store.pins()).toEqual([])
    })

    test('rule 6: an uncertain payment pins its payee when it is proven, unless another is pinned by then', async () => {
      await paid(1, {}, to('uncertain'))
      await paid(2, { payTo: OTHER }, to('uncertain'))
      const proven = to('settled', { proof: 'chain', pin: true })
      await store.move(terms(2).id, proven)
      await store.move(terms(1).id, proven)
      expect(await store.pins()).toMatchObject([{ payTo: OTHER }])
    })

    test('rule 6: a move that asks for no pin sets none, and a stronger proof later may', async () => {
      await paid(1, {}, to('settled'))
      expect(await store.pins()).toEqual([])
      await store.move(terms(1).id, to('settled', { proof: 'chain', pin: true }))
      expect(await store.pins()).toMatchObject([{ payTo: terms(1).payTo }])
    })

    test('rule 6: of two first payments to different payees at once, one is refused', async () => {
      const both = [terms(1), terms(2, { payTo: OTHER })] as const
      const results = await Promise.allSettled(
        both.map(async (one) => await store.reserve(one, [claim(1n, 10n)], true)),
      )
      // Either may be first.
      const [first, second] = results[0]?.status === 'fulfilled' ? both : [both[1], both[0]]
      expect(results.filter(({ status }) => status === 'rejected')).toMatchObject([
        { reason: { name: 'TollwayError', code: 'payee_not_allowed' } },
      ])
      expect(await totals()).toEqual(sums({ held: 1n }))
      await store.authorize(first.id, signed(1), NOW + 1)
      const { payTo } = second
      await expect(store.reserve(terms(3, { payTo }), [], true)).rejects.toMatchObject({
        code: 'payee_not_allowed',
      })
      await store.move(first.id, to('uncertain'))
      // The seller may have refused it, so it no longer stands in the way.
      expect((await store.reserve(terms(4, { payTo }), [], true)).ok).toBe(true)
    })

    test('another network, asset or path is pinned by itself', async () => {
      const changes = [{ network: 'eip155:8453' }, { asset: '0xother' }, { apiBase: 'https://b.example' }]
      await paid(1)
      for (const [n, change] of changes.entries()) await paid(2 + n, { payTo: OTHER, ...change })
      expect(await store.pins()).toHaveLength(4)
    })

    test('a payee allowed by configuration is not compared, with a pin or with open payments', async () => {
      await paid(1)
      await store.reserve(terms(2), [], true)
      expect((await store.reserve(terms(3, { payTo: OTHER }), [], false)).ok).toBe(true)
      expect(await store.pins()).toMatchObject([{ payTo: terms(1).payTo }])
    })

    test('a pin of any payee lets every payee pass and is not replaced by a payment', async () => {
      const { apiBase, network, asset } = terms(1)
      await store.trustPin({ apiBase, network, asset, payTo: ANY_PAYEE, pinnedAt: NOW })
      await paid(1)
      await paid(2, { payTo: OTHER })
      expect(await store.pins()).toEqual([{ apiBase, network, asset, payTo: ANY_PAYEE, pinnedAt: NOW }])
    })

    test('notePin pins where nothing is pinned, and says whether it did', async () => {
      const { apiBase, network, asset, payTo } = terms(1)
      const pin = { apiBase, network, asset, payTo, pinnedAt: NOW }
      const other = { ...pin, payTo: OTHER }
      const [isFirst, isSecond] = await Promise.all([store.notePin(pin), store.notePin(other)])
      // Either may be first.
      expect(isSecond).toBe(!isFirst)
      expect(await store.pins()).toEqual([isFirst ? pin : other])
    })
  })
}
