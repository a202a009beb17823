import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Charge, ChargeTerms } from '../../src/core/charge/charge.ts'
import type { ChargeFilter } from '../../src/io/store/contracts/charges.ts'
import type { SpendGroup } from '../../src/io/store/contracts/spending.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { keptStore, onEachStore } from './each-store.ts'
import { NOW, signed, terms } from './samples.ts'

async function hold(store: Store, n: number, changes: Partial<ChargeTerms> = {}): Promise<void> {
  await store.reserve(terms(n, changes), [], false)
}

const numbers = (charges: readonly Charge[]): number[] => charges.map(({ id }) => Number(id.slice(4)))

onEachStore('lists of charges', (store) => {
  test('a filter by any field, or by several, keeps what has all of them', async () => {
    await hold(store(), 1)
    await hold(store(), 2, { route: 'other/*' })
    await hold(store(), 3, { payer: 'blockrun' })
    await hold(store(), 4, { seller: 'https://elsewhere.example.com', caller: 'cron' })
    await hold(store(), 5, { caller: 'cron' })
    const listed = async (filter: ChargeFilter): Promise<number[]> => numbers(await store().charges(filter))
    expect(await listed({ route: 'other/*' })).toEqual([2])
    expect(await listed({ payer: 'blockrun' })).toEqual([3])
    expect(await listed({ seller: 'https://elsewhere.example.com' })).toEqual([4])
    expect(await listed({ caller: 'cron' })).toEqual([5, 4])
    expect(await listed({ caller: 'cron', seller: 'https://seller.example.com' })).toEqual([5])
    expect(await listed({ caller: "cron' OR TRUE --" })).toEqual([])
  })

  test('a time range takes its first instant and leaves out its last', async () => {
    for (const n of [1, 2, 3, 4]) await hold(store(), n)
    expect(numbers(await store().charges({ from: NOW + 2, to: NOW + 4 }))).toEqual([3, 2])
    expect(numbers(await store().charges({ from: NOW + 5 }))).toEqual([])
  })

  test('pages by cursor give every charge once, also where many were reserved in one instant', async () => {
    for (let n = 0; n < 25; n += 1) await hold(store(), n, { reservedAt: NOW + Math.floor(n / 10) })
    const seen: number[] = []
    let before: Charge | undefined
    do {
      const page: Charge[] = await store().charges({ limit: 4, before })
      seen.push(...numbers(page))
      before = page.at(-1)
    } while (before)
    expect(seen).toEqual(Array.from({ length: 25 }, (_, at) => 24 - at))
  })

  test('a page goes on behind its cursor although newer charges came meanwhile', async () => {
    for (const n of [1, 2, 3]) await hold(store(), n)
    const [newest] = await store().charges({ limit: 1 })
    await hold(store(), 4)
    expect(numbers(await store().charges({ before: newest }))).toEqual([2, 1])
  })
})

onEachStore('sums of charges', (store) => {
  test('tell states and groups apart, and count what has no USD value beside the sum', async () => {
    await hold(store(), 1)
    await hold(store(), 2, { caller: 'cron', microUsd: 7n })
    await hold(store(), 3, { microUsd: undefined })
    await hold(store(), 4)
    await store().authorize(terms(4).id, signed(4), NOW + 5)
    expect(await store().spend({})).toEqual([
      { group: '*', state: 'authorized', charges: 1, unpriced: 0, microUsd: 23_000n },
      { group: '*', state: 'held', charges: 3, unpriced: 1, microUsd: 23_007n },
    ])
    expect(await store().spend({ by: 'caller', states: ['held'] })).toEqual([
      { group: 'cron', state: 'held', charges: 1, unpriced: 0, microUsd: 7n },
      { group: 'openclaw', state: 'held', charges: 2, unpriced: 1, microUsd: 23_000n },
    ])
    expect(await store().spend({ from: NOW + 5 })).toEqual([])
  })

  test('stay exact beyond what 64 bits hold', async () => {
    const huge = 10n ** 21n + 1n
    for (const [n, microUsd] of [huge, huge, 999_999_999_999n, 1n].entries()) {
      await hold(store(), n, { microUsd })
    }
    expect(await store().spend({})).toEqual([
      { group: '*', state: 'held', charges: 4, unpriced: 0, microUsd: 2n * huge + 1_000_000_000_000n },
    ])
  })
})

describe('memory and sqlite', () => {
  const name = fc.constantFrom('a', 'b', 'c*')
  const filter = fc.record(
    {
      route: name,
      payer: name,
      seller: name,
      caller: name,
      from: fc.integer({ min: NOW, max: NOW + 20 }),
      to: fc.integer({ min: NOW, max: NOW + 20 }),
    },
    { requiredKeys: [] },
  )
  const charges = fc.array(
    fc.record({
      route: name,
      payer: name,
      seller: name,
      caller: name,
      model: name,
      remoteModel: fc.option(fc.constantFrom('', 'a', 'b'), { nil: undefined }),
      tags: fc.option(
        fc.uniqueArray(fc.constantFrom('agent:a', 'agent:b', 'agents:c', 'agent', 'red'), { minLength: 1 }),
        {
          nil: undefined,
        },
      ),
      reservedAt: fc.integer({ min: NOW, max: NOW + 20 }),
      microUsd: fc.option(fc.bigInt({ min: 0n, max: 10n ** 15n }), { nil: undefined }),
    }),
    { maxLength: 12 },
  )
  const by = fc.option(
    fc.constantFrom<SpendGroup>('route', 'model', 'payer', 'seller', 'caller', 'tag.agent'),
    { nil: undefined },
  )

  test('list and add up the same charges for any filter, page and group', async () => {
    await fc.assert(
      fc.asyncProperty(charges, filter, by, fc.nat(12), async (kept, wanted, group, cursor) => {
        const directory = mkdtempSync(join(tmpdir(), 'tollway-charges-'))
        const stores = [memoryStore(), await keptStore(join(directory, 'ledger.db'))]
        const told: unknown[] = []
        for (const store of stores) {
          for (const [n, changes] of kept.entries()) await hold(store, n, changes)
          const before = await store.charge(terms(cursor).id)
          told.push([await store.charges({ ...wanted, before }), await store.spend({ ...wanted, by: group })])
          await store.close()
        }
        rmSync(directory, { recursive: true })
        expect(told[1]).toEqual(told[0])
      }),
      { numRuns: 30 },
    )
  })
})
