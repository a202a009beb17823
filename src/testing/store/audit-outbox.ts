/** Moves that the audit file does not contain yet: stored with the move until a process has recorded them. */
import { expect, test } from 'vitest'
import type { Store } from '../../io/store/store.ts'
import { claim, instance, NOW, signed, terms } from './samples.ts'

async function authorized(store: Store, n: number): Promise<string> {
  await store.reserve(terms(n), [claim(1n, 9n)], false)
  await store.authorize(terms(n).id, signed(n), NOW + n)
  return terms(n).id
}

const idsOf = (charges: readonly { readonly id: string }[]): string[] => charges.map(({ id }) => id)
const uncertain = { to: 'uncertain', at: NOW, reason: 'timeout' } as const
const settled = { to: 'settled', at: NOW, reason: 'chain_used', proof: 'chain' } as const

/** @param store the store of the running test */
export function auditOutboxConformance(store: () => Store): void {
  test('holds the moves of a process until it marks them as published', async () => {
    const [one, two] = [await authorized(store(), 1), await authorized(store(), 2)]
    const moved = await store().move(one, { ...uncertain, by: 'ins_one' })
    await store().move(two, { ...uncertain, by: 'ins_one' })
    await store().outbox.markPublished([moved])
    expect(await store().outbox.adopt('ins_one', 'ins_two')).toMatchObject([{ id: two, state: 'uncertain' }])
  })

  test('does not hold a move that no process publishes', async () => {
    await store().move(await authorized(store(), 1), uncertain)
    expect(await store().outbox.adopt('ins_one', 'ins_two')).toEqual([])
  })

  test('holds a charge that moved again after its previous move was published', async () => {
    const id = await authorized(store(), 1)
    const first = await store().move(id, { ...uncertain, by: 'ins_one' })
    await store().move(id, { ...settled, by: 'ins_two' })
    await store().outbox.markPublished([first])
    expect(await store().outbox.adopt('ins_one', 'ins_three')).toEqual([])
    expect(await store().outbox.adopt('ins_two', 'ins_three')).toMatchObject([
      { id, state: 'settled', proof: 'chain' },
    ])
  })

  test('a stronger proof of the same state is a move of its own', async () => {
    const id = await authorized(store(), 1)
    const receipt = await store().move(id, { ...settled, proof: 'receipt', by: 'ins_one' })
    await store().move(id, { ...settled, by: 'ins_one' })
    await store().outbox.markPublished([receipt])
    expect(idsOf(await store().outbox.adopt('ins_one', 'ins_two'))).toEqual([id])
  })

  test('gives each move to one of two processes that adopt it at once', async () => {
    const ids = [await authorized(store(), 1), await authorized(store(), 2)]
    for (const id of ids) await store().move(id, { ...uncertain, by: 'ins_dead' })
    const found = await Promise.all(
      ['ins_two', 'ins_three'].map((to) => store().outbox.adopt('ins_dead', to)),
    )
    expect(found.map(idsOf)).toEqual([ids, []])
    expect(idsOf(await store().outbox.adopt('ins_two', 'ins_four'))).toEqual(ids)
  })

  test('rule 10: the process that retires another publishes what became of its charges', async () => {
    await store().register(instance('ins_one'))
    const id = await authorized(store(), 1)
    await store().retire('ins_one', NOW, 'instance_dead', 'ins_two')
    expect(idsOf(await store().outbox.adopt('ins_two', 'ins_three'))).toEqual([id])
  })

  test('rule 10: a retired process with unpublished moves is listed until another adopts them', async () => {
    await store().register(instance('ins_one'))
    const moved = await store().move(await authorized(store(), 1), { ...uncertain, by: 'ins_one' })
    await store().retire('ins_one', NOW, 'instance_closed')
    expect(idsOf(await store().instances())).toEqual(['ins_one'])
    await store().outbox.adopt('ins_one', 'ins_two')
    expect(await store().instances()).toEqual([])
    await store().outbox.markPublished([moved])
    expect(await store().outbox.adopt('ins_two', 'ins_three')).toEqual([])
  })
}
