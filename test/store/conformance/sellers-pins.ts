/** What every store must remember of payees. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Store } from '../../../src/io/store/store.ts'
import { claim, terms } from '../samples.ts'
import { chargeKit, sums } from './kit.ts'

/** @param current the store of the running test */
export function pinsConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { totals } = chargeKit(current)

  describe('pins', () => {
    test('the first payee of a seller, network and asset is pinned', async () => {
      await store.reserve(terms(1), [], true)
      const { apiBase, network, asset, payTo, reservedAt } = terms(1)
      expect(await store.pins()).toEqual([{ apiBase, network, asset, payTo, pinnedAt: reservedAt }])
      expect(await store.pins(apiBase)).toHaveLength(1)
      expect(await store.pins('https://other.example.com')).toEqual([])
    })

    test('of two requests that meet a seller at once with different payees, one is refused', async () => {
      const payTo = '0x00000000000000000000000000000000000000cc'
      const results = await Promise.allSettled([
        store.reserve(terms(1), [claim(1n, 10n)], true),
        store.reserve(terms(2, { payTo }), [claim(1n, 10n)], true),
      ])
      expect(results).toMatchObject([
        { status: 'fulfilled' },
        { status: 'rejected', reason: { name: 'TollwayError', code: 'payee_not_allowed' } },
      ])
      expect(await totals()).toEqual(sums({ held: 1n }))
      expect(await store.pins()).toMatchObject([{ payTo: terms(1).payTo }])
    })

    test('another network, asset or path is pinned by itself', async () => {
      const payTo = '0x00000000000000000000000000000000000000cc'
      const changes = [{ network: 'eip155:8453' }, { asset: '0xother' }, { apiBase: 'https://b.example' }]
      await store.reserve(terms(1), [], true)
      for (const [n, change] of changes.entries()) {
        await store.reserve(terms(2 + n, { payTo, ...change }), [], true)
      }
      expect(await store.pins()).toHaveLength(4)
    })

    test('a payee allowed by configuration neither pins nor is compared', async () => {
      await store.reserve(terms(1), [], true)
      const payTo = '0x00000000000000000000000000000000000000cc'
      expect((await store.reserve(terms(2, { payTo }), [], false)).ok).toBe(true)
      expect(await store.pins()).toMatchObject([{ payTo: terms(1).payTo }])
    })
  })
}
