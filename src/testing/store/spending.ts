/** What every store must add up. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { claim, NOW, signed, terms } from './samples.ts'
import { chargeKit, to } from './kit.ts'

/** @param current the store of the running test */
export function spendingConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { authorized, held } = chargeKit(current)

  describe('what was spent', () => {
    test('is told by route, model, payer, seller and caller, of settled charges since an instant', async () => {
      const settle = async (n: number, changes: Parameters<typeof terms>[1]): Promise<void> => {
        const result = await store.reserve(terms(n, changes), [claim(1n, 1000n)], false)
        if (!result.ok) throw new Error('the reservation was refused')
        await store.authorize(terms(n).id, signed(n), NOW + n)
        await store.move(terms(n).id, to('settled'))
      }
      await settle(1, { microUsd: 5n })
      await settle(2, { microUsd: 7n })
      await settle(3, { microUsd: undefined })
      await settle(4, { caller: 'another', microUsd: 9n })
      await authorized(5)
      await held(6)
      const { route, remoteModel: model, payer, seller } = terms(1)
      expect(await store.spentBy(NOW + 2)).toEqual([
        { route, model, payer, seller, caller: 'another', charges: 1, microUsd: 9n },
        { route, model, payer, seller, caller: 'openclaw', charges: 2, microUsd: 7n },
      ])
      expect(await store.spentBy(NOW + 1)).toContainEqual({
        route,
        model,
        payer,
        seller,
        caller: 'openclaw',
        charges: 3,
        microUsd: 12n,
      })
      expect(await store.spentBy(NOW + 1, NOW + 2)).toEqual([
        { route, model, payer, seller, caller: 'openclaw', charges: 1, microUsd: 5n },
      ])
      expect(await store.spentBy(NOW + 5)).toEqual([])
    })
  })

  describe('what was spent on', () => {
    test('is grouped by the model that the seller was asked for, or as the client named it where that is not known', async () => {
      await store.reserve(terms(1), [], false)
      await store.reserve(terms(2, { remoteModel: 'llama' }), [], false)
      await store.reserve(terms(3, { remoteModel: undefined }), [], false)
      await store.reserve(terms(4, { remoteModel: '' }), [], false)
      const groups = (await store.spend({ by: 'model' })).map(({ group, charges }) => [group, charges])
      expect(groups).toEqual([
        ['llama', 1],
        ['paid/qwen', 2],
        ['qwen', 1],
      ])
    })

    test('tells the tokens that answers told, beside amounts beyond 64 bits', async () => {
      const huge = 10n ** 21n
      await store.reserve(terms(1, { amount: 7n, microUsd: 7n }), [], false)
      await store.reserve(terms(2, { amount: huge, microUsd: huge }), [], false)
      await store.noteUsage(terms(1).id, { inputTokens: 100, outputTokens: 20 })
      await store.noteUsage(terms(2).id, { inputTokens: 1, outputTokens: 2 })
      const row = { group: '*', state: 'held', charges: 2, unpriced: 0, microUsd: huge + 7n }
      expect(await store.spend({})).toEqual([{ ...row, tokens: 123n }])
    })

    test('is grouped by the values of one tag, the first where there are several', async () => {
      await store.reserve(terms(1), [], false)
      await store.reserve(terms(2, { tags: ['agents:x', 'agent:writer', 'agent:coder'] }), [], false)
      await store.reserve(terms(3, { tags: undefined }), [], false)
      await store.reserve(terms(4, { tags: ['agent:coder'] }), [], false)
      const groups = (await store.spend({ by: 'tag.agent' })).map(({ group, charges }) => [group, charges])
      expect(groups).toEqual([
        ['coder', 2],
        ['other', 1],
        ['writer', 1],
      ])
    })
  })

  describe('sums', () => {
    test('sums the charges of a state', async () => {
      await authorized(1)
      await authorized(2)
      await store.reserve(terms(3, { microUsd: undefined }), [], false)
      await store.authorize(terms(3).id, signed(3), NOW)
      expect(await store.sum('authorized')).toEqual({ count: 3, microUsd: 46_000n })
      expect(await store.sum('uncertain')).toEqual({ count: 0, microUsd: 0n })
    })

    test('adds up what a caller bought since an instant: charges, money and the tokens of the answers', async () => {
      for (const n of [1, 2, 3, 4]) await held(n)
      await store.reserve(terms(5, { caller: 'somebody' }), [], false)
      await store.reserve(terms(6, { microUsd: undefined }), [], false)
      await store.move(terms(4).id, to('released'))
      await store.noteUsage(terms(2).id, { inputTokens: 7, outputTokens: 3 })
      await store.noteUsage(terms(2).id, { inputTokens: 9_000, outputTokens: 9_000 })
      await store.noteUsage(terms(3).id, { inputTokens: 2 ** 40, outputTokens: 0 })
      await store.noteUsage(terms(4).id, { inputTokens: 5, outputTokens: 5 })
      await store.noteUsage('chg_of_nobody', { inputTokens: 5, outputTokens: 5 })
      expect(await store.usages([1, 2, 3].map((n) => terms(n).id).concat('chg_of_nobody'))).toEqual(
        new Map([
          [terms(2).id, { inputTokens: 7, outputTokens: 3 }],
          [terms(3).id, { inputTokens: 2 ** 40, outputTokens: 0 }],
        ]),
      )
      expect(await store.usages([])).toEqual(new Map())
      expect(await store.consumption({ since: 0 })).toEqual({
        charges: 5,
        microUsd: 92_000n,
        inputTokens: 2 ** 40 + 7,
        outputTokens: 3,
      })
      expect(await store.consumption({ caller: 'somebody', since: 0 })).toMatchObject({
        charges: 1,
        inputTokens: 0,
      })
      expect(await store.consumption({ since: terms(3).reservedAt })).toMatchObject({ charges: 3 })
      expect(await store.consumption({ caller: 'nobody', since: 0 })).toEqual({
        charges: 0,
        microUsd: 0n,
        inputTokens: 0,
        outputTokens: 0,
      })
    })
  })
}
