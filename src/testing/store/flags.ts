/** What every store must do with flags. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { NOW, terms } from './samples.ts'
import { chargeKit } from './kit.ts'

/** @param current the store of the running test */
export function flagsConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { held } = chargeKit(current)

  describe('flags', () => {
    const finding = { flag: 'amount_mismatch', detail: 'signed 2, moved 1' } as const

    test('are put on a charge once each, the first words stay, and they can be taken off', async () => {
      await held(1)
      const { id } = terms(1)
      expect(await store.flag(id, finding, NOW)).toBe(true)
      expect(await store.flag(id, { ...finding, detail: 'other' }, NOW + 1)).toBe(false)
      expect(await store.flag(id, { ...finding, flag: 'event_missing' }, NOW + 2)).toBe(true)
      expect(await store.flags({ charge: id })).toEqual([
        { charge: id, ...finding, flag: 'event_missing', at: NOW + 2 },
        { charge: id, ...finding, at: NOW },
      ])
      await store.unflag(id, ['event_missing', 'receipt_unproven'])
      expect(await store.flags({ charge: id })).toEqual([{ charge: id, ...finding, at: NOW }])
    })

    test('are listed newest first, and counted', async () => {
      for (const n of [1, 2, 3]) {
        await held(n)
        await store.flag(terms(n).id, n === 2 ? { ...finding, flag: 'event_missing' } : finding, NOW + n)
      }
      expect((await store.flags()).map(({ charge }) => charge)).toEqual([3, 2, 1].map((n) => terms(n).id))
      expect(await store.flags({ limit: 1 })).toHaveLength(1)
      expect(await store.flags({ charge: 'chg_none' })).toEqual([])
      expect(await store.flagCounts()).toEqual([
        { flag: 'amount_mismatch', count: 2 },
        { flag: 'event_missing', count: 1 },
      ])
    })

    test('belong to charges that exist', async () => {
      await expect(store.flag('chg_none', finding, NOW)).rejects.toThrow(/no charge chg_none/)
      expect(await store.flagCounts()).toEqual([])
    })
  })
}
