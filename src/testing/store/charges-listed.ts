/** What every store must list of charges. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { NOW, signed, terms } from './samples.ts'
import { chargeKit, to } from './kit.ts'

/** @param current the store of the running test */
export function listedChargesConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { authorized, held } = chargeKit(current)

  describe('what the chain may still speak about', () => {
    const network = terms(1).network
    const unproven = async (query: object = {}): Promise<string[]> =>
      (await store.unproven({ network, ...query })).map(({ id }) => id)
    const uncertain = async (n: number): Promise<string> => {
      await authorized(n)
      return (await store.move(terms(n).id, to('uncertain'))).id
    }

    test('is uncertain, or settled without its proof, of any owner, oldest first', async () => {
      const second = await uncertain(2)
      const first = await uncertain(1)
      await held(3)
      await authorized(4)
      await authorized(5)
      await store.move(terms(5).id, to('settled', { proof: 'receipt' }))
      await authorized(6)
      await store.move(terms(6).id, to('settled', { proof: 'assumed' }))
      await authorized(7)
      await store.move(terms(7).id, to('settled', { proof: 'chain' }))
      await store.move(await uncertain(8), to('released'))
      expect(await unproven()).toEqual([first, second, terms(5).id, terms(6).id])
      expect(await unproven({ state: 'uncertain' })).toEqual([first, second])
      expect(await unproven({ state: 'settled' })).toEqual([terms(5).id, terms(6).id])
      expect(await unproven({ state: 'settled', after: terms(5).id })).toEqual([terms(6).id])
      expect(await unproven({ limit: 3 })).toEqual([first, second, terms(5).id])
    })

    test('is listed by the transactions that sellers named, where they are uncertain', async () => {
      const tx = `0x${'12'.repeat(32)}`
      await uncertain(1)
      await authorized(2)
      await store.move(terms(2).id, to('uncertain', { transaction: tx }))
      await authorized(3)
      await store.move(terms(3).id, to('settled', { proof: 'receipt', transaction: tx }))
      await authorized(4)
      await store.move(terms(4).id, to('uncertain', { transaction: `0x${'34'.repeat(32)}` }))
      expect(await unproven({ claimed: true })).toEqual([terms(2).id, terms(4).id])
      expect(await unproven({ claimed: true, after: terms(2).id })).toEqual([terms(4).id])
      expect(await unproven({ claimed: true, limit: 1 })).toEqual([terms(2).id])
      expect((await store.withTransaction(network, tx)).map(({ id }) => id)).toEqual([
        terms(2).id,
        terms(3).id,
      ])
      expect(await store.withTransaction('eip155:1', tx)).toEqual([])
      expect(await store.withTransaction(network, `0x${'56'.repeat(32)}`)).toEqual([])
    })

    test('is listed in pages, and by network', async () => {
      const ids = [await uncertain(1), await uncertain(2), await uncertain(3)]
      expect(await unproven({ limit: 2 })).toEqual(ids.slice(0, 2))
      expect(await unproven({ limit: 2, after: ids[1] })).toEqual(ids.slice(2))
      expect(await unproven({ after: ids[2] })).toEqual([])
      expect(await unproven({ limit: 0 })).toEqual([])
      expect(await unproven({ network: 'eip155:1' })).toEqual([])
    })

    test('is over once it said that a receipt lied', async () => {
      const id = await uncertain(1)
      await store.flag(id, { flag: 'event_missing', detail: 'x' }, NOW)
      expect(await unproven()).toEqual([id])
      await store.flag(id, { flag: 'receipt_unproven', detail: 'x' }, NOW)
      expect(await unproven()).toEqual([])
    })

    test('keeps how it was signed', async () => {
      for (const [n, method] of (['permit2', 'eip3009', undefined] as const).entries()) {
        await held(n)
        await store.authorize(terms(n).id, signed(n, { method }), NOW)
        expect((await store.charge(terms(n).id))?.authorization).toEqual(signed(n, { method }))
      }
    })
  })

  describe('listing charges', () => {
    test('charges come newest first, by state, by instance and at most as many as asked for', async () => {
      for (const n of [2, 1, 3]) await held(n)
      await store.reserve(terms(4, { instance: 'ins_two', reservedAt: terms(3).reservedAt }), [], false)
      await store.authorize(terms(1).id, signed(1), NOW)
      const ids = async (query?: Parameters<Store['charges']>[0]): Promise<number[]> =>
        (await store.charges(query)).map((charge) => Number(charge.id.slice(4)))
      expect(await ids()).toEqual([4, 3, 2, 1])
      expect(await ids({ limit: 2 })).toEqual([4, 3])
      expect(await ids({ limit: 0 })).toEqual([])
      expect(await ids({ limit: 5000 })).toEqual([4, 3, 2, 1])
      expect(await ids({ states: ['held'], instance: 'ins_one' })).toEqual([3, 2])
      expect(await ids({ states: ['held', 'authorized'] })).toEqual([4, 3, 2, 1])
      expect(await ids({ states: [] })).toEqual([])
      expect(await ids({ instance: 'ins_two' })).toEqual([4])
      for (const limit of [-1, 1.5, Number.NaN]) {
        await expect(store.charges({ limit })).rejects.toThrow(RangeError)
      }
    })

    test('lists 100 charges unless asked otherwise, and never over 1000', async () => {
      await Promise.all(Array.from({ length: 1001 }, (_, n) => store.reserve(terms(n), [], false)))
      expect(await store.charges()).toHaveLength(100)
      expect(await store.charges({ limit: 2000 })).toHaveLength(1000)
    })
  })
}
