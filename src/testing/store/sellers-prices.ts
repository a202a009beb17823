/** What every store must remember of the prices that sellers were paid. */
import { expect, test } from 'vitest'
import type { PriceKey } from '../../io/store/contracts/sellers.ts'
import type { Store } from '../../io/store/store.ts'
import { NOW, terms } from './samples.ts'

const { apiBase, network, asset } = terms(1)
const key: PriceKey = { apiBase, endpoint: '/chat/completions', model: 'qwen', network, asset }

/** @param store the store of the running test */
export function pricesConformance(store: () => Store): void {
  test('a trusted payee replaces the pinned one, and is the one reservations are held to', async () => {
    await store().reserve(terms(1, { payTo: '0xaa' }), [], true)
    await store().trustPin({ apiBase, network, asset, payTo: '0xbb', pinnedAt: NOW + 5 })
    expect(await store().pins(apiBase)).toEqual([
      { apiBase, network, asset, payTo: '0xbb', pinnedAt: NOW + 5 },
    ])
    await expect(store().reserve(terms(2, { payTo: '0xaa' }), [], true)).rejects.toMatchObject({
      code: 'payee_not_allowed',
    })
    expect((await store().reserve(terms(3, { payTo: '0xbb' }), [], true)).ok).toBe(true)
  })

  test('prices: the first is kept, a rise changes the last one only, a drop lowers what is pinned', async () => {
    expect(await store().price(key)).toBeUndefined()
    const seen: unknown[] = []
    for (const [at, amount] of [1000n, 1100n, 900n, 1000n].entries()) {
      await store().notePrice(key, amount, NOW + at)
      const price = await store().price(key)
      seen.push([price?.first, price?.pinned, price?.last, price?.updatedAt])
    }
    expect(seen).toEqual([
      [1000n, 1000n, 1000n, NOW],
      [1000n, 1000n, 1100n, NOW + 1],
      [1000n, 900n, 900n, NOW + 2],
      [1000n, 900n, 1000n, NOW + 3],
    ])
  })

  test('prices are kept apart by seller, path, model, network and asset, whatever their size', async () => {
    const others: PriceKey[] = [
      { ...key, apiBase: 'https://other' },
      { ...key, endpoint: '/embeddings' },
      { ...key, model: 'llama' },
      { ...key, network: 'eip155:1' },
      { ...key, asset: '0xff' },
    ]
    const huge = 10n ** 77n
    for (const [n, other] of others.entries()) await store().notePrice(other, huge + BigInt(n), NOW)
    expect(await store().price(key)).toBeUndefined()
    for (const [n, other] of others.entries()) {
      expect(await store().price(other)).toMatchObject({ pinned: huge + BigInt(n) })
    }
    expect(await store().prices()).toHaveLength(5)
    expect((await store().prices(apiBase)).map(({ endpoint, model }) => `${endpoint} ${model}`)).toEqual([
      '/chat/completions llama',
      '/chat/completions qwen',
      '/chat/completions qwen',
      '/embeddings qwen',
    ])
  })

  test('price ranges: the highest pinned price of a path in each token, of all models or one', async () => {
    await store().notePrice(key, 1000n, NOW)
    await store().notePrice({ ...key, model: 'llama' }, 999n, NOW)
    await store().notePrice({ ...key, model: 'llama' }, 10n ** 20n, NOW)
    await store().notePrice({ ...key, model: 'glm', network: 'eip155:1' }, 9n, NOW)
    await store().notePrice({ ...key, endpoint: '/embeddings' }, 5000n, NOW)
    await store().notePrice({ ...key, apiBase: 'https://other' }, 6000n, NOW)
    const path = { apiBase, endpoint: key.endpoint }
    const sorted = async (model?: string): Promise<unknown[]> =>
      (await store().priceRanges({ ...path, model })).toSorted((a, b) => (a.highest < b.highest ? 1 : -1))
    const [first, other] = [
      { network, asset, highest: 1000n },
      { network: 'eip155:1', asset, highest: 9n },
    ]
    expect(await sorted()).toEqual([first, other])
    expect(await sorted('llama')).toEqual([{ ...first, highest: 999n }])
    expect(await sorted('mistral')).toEqual([])
  })

  test('trusting a price changes the known prices that match, and no others', async () => {
    await store().notePrice(key, 1000n, NOW)
    await store().notePrice({ ...key, model: 'llama' }, 5000n, NOW)
    const changed = await store().trustPrice({ apiBase, model: 'qwen' }, 2000n, NOW + 9)
    expect(changed).toEqual([{ ...key, first: 1000n, pinned: 2000n, last: 1000n, updatedAt: NOW + 9 }])
    expect(await store().price(key)).toEqual(changed[0])
    expect(await store().price({ ...key, model: 'llama' })).toMatchObject({ pinned: 5000n })
    expect(await store().trustPrice({ apiBase: 'https://unknown' }, 1n, NOW)).toEqual([])
    expect(await store().trustPrice({ apiBase }, 3000n, NOW)).toHaveLength(2)
  })

  test('forgetting a seller takes its pins and prices away, and leaves the others', async () => {
    const { payTo } = terms(1)
    await store().notePin({ apiBase, network, asset, payTo, pinnedAt: NOW })
    await store().notePrice(key, 1000n, NOW)
    await store().notePrice({ ...key, apiBase: 'https://other' }, 1n, NOW)
    expect(await store().forgetSeller(apiBase)).toEqual({ pins: 1, prices: 1 })
    expect(await store().forgetSeller(apiBase)).toEqual({ pins: 0, prices: 0 })
    expect([await store().pins(), (await store().prices()).length]).toEqual([[], 1])
  })
}
