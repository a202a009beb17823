/** What every store must answer about budgets. */
import { beforeEach, describe, expect, test } from 'vitest'
import { NO_TOTALS } from '../../core/budget/budget.ts'
import type { Store } from '../../io/store/store.ts'
import { claim, DAY, terms } from './samples.ts'
import { chargeKit, sums } from './kit.ts'

/** @param current the store of the running test */
export function budgetsConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { held } = chargeKit(current)

  describe('budget sums', () => {
    test('windows are those ever charged, from an instant on', async () => {
      await store.reserve(terms(1), [claim(1n, 9n), claim(1n, 9n, { budget: 'b', subject: 'x' })], false)
      await store.reserve(terms(2), [claim(2n, 9n, { windowStart: DAY - 1, window: 'week' })], false)
      await store.reserve(terms(3), [claim(3n, 9n, { windowStart: 0, window: 'lifetime' })], false)
      await store.totals([claim(1n, 9n, { budget: 'never' })])
      const daily = { budget: 'all', subject: '*', window: 'day', windowStart: DAY }
      expect(await store.windows(DAY)).toEqual([
        { ...daily, totals: sums({ held: 1n }) },
        { ...daily, budget: 'b', subject: 'x', totals: sums({ held: 1n }) },
      ])
      expect((await store.windows(0)).map((found) => [found.window, found.totals.held])).toEqual([
        ['day', 1n],
        ['lifetime', 3n],
        ['week', 2n],
        ['day', 1n],
      ])
    })

    test('totals answer in the order of the claims', async () => {
      await held(1)
      const other = claim(0n, 0n, { budget: 'other' })
      expect(await store.totals([other, claim(0n, 0n), other])).toEqual([
        NO_TOTALS,
        sums({ held: 10n }),
        NO_TOTALS,
      ])
    })
  })
}
