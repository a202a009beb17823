/** What every store must do with the processes that share it. */
import { beforeEach, describe, expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { claim, instance, NOW, terms } from './samples.ts'
import { chargeKit, sums, to } from './kit.ts'

/** @param current the store of the running test */
export function instancesConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { authorized, held, totals } = chargeKit(current)

  describe('instances', () => {
    test('are listed from registering to retiring, with their last heartbeat', async () => {
      await store.register(instance('ins_one'))
      await store.register(instance('ins_two', { startedAt: NOW + 1, processStart: '', host: 'other' }))
      await store.heartbeat('ins_one', NOW + 10_000)
      expect(await store.instances()).toEqual([
        instance('ins_one', { heartbeatAt: NOW + 10_000 }),
        instance('ins_two', { startedAt: NOW + 1, processStart: '', host: 'other' }),
      ])
      expect(await store.retire('ins_one', NOW + 1, 'instance_closed')).toEqual([])
      expect((await store.instances()).map((found) => found.id)).toEqual(['ins_two'])
      await expect(store.heartbeat('ins_none', NOW)).rejects.toThrow(/not registered/)
    })

    test('rule 10: retiring one makes its signed charges uncertain, releases its unsigned ones, and touches no others', async () => {
      await store.register(instance('ins_one'))
      await authorized(1)
      await held(2)
      await authorized(3)
      await store.move(terms(3).id, to('settled'))
      await store.reserve(terms(4, { instance: 'ins_two' }), [claim(10n, 1000n)], false)
      const moved = await store.retire('ins_one', NOW + 9, 'instance_dead')
      expect(moved.map((charge) => [charge.id, charge.state, charge.reason, charge.updatedAt])).toEqual([
        [terms(1).id, 'uncertain', 'instance_dead', NOW + 9],
        [terms(2).id, 'released', 'instance_dead', NOW + 9],
      ])
      expect(await totals()).toEqual(sums({ held: 10n, uncertain: 10n, spent: 10n }))
      expect(await store.retire('ins_one', NOW + 10, 'instance_dead')).toEqual([])
    })

    test('one that was retired while it lived is listed again as soon as it owns open charges', async () => {
      await store.register(instance('ins_one'))
      await store.retire('ins_one', NOW, 'instance_dead')
      await held(1)
      await store.heartbeat('ins_one', NOW + 60_000)
      expect(await store.instances()).toEqual([instance('ins_one', { heartbeatAt: NOW + 60_000 })])
      await store.move(terms(1).id, to('released'))
      expect(await store.instances()).toEqual([])
    })
  })
}
