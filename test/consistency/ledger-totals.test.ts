/** The total of the ledger's rows: charges that can no longer change are not read at each check. */
import { expect, test } from 'vitest'
import { LedgerTotals } from '../../src/io/consistency/ledger-totals.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { NOW, signed, terms } from '../store/samples.ts'

const MINUTE = 60_000

async function world() {
  const store = memoryStore()
  let now = NOW
  const read: string[] = []
  const instance = terms(1).instance
  const totals = new LedgerTotals({
    store: {
      async history(query) {
        const page = await store.history(query)
        read.push(...page.map(({ id }) => id))
        return page
      },
      async charge(id) {
        read.push(id)
        return await store.charge(id)
      },
    },
    instance,
    startedAt: NOW,
    clock: { now: () => now },
    breathe: async () => undefined,
  })
  return {
    store,
    read,
    pass: (ms: number) => void (now += ms),
    total: async () => {
      read.length = 0
      return await totals.read()
    },
    settle: async (n: number, proof: 'receipt' | 'assumed' = 'receipt'): Promise<void> => {
      await store.reserve(terms(n, { microUsd: 10n, reservedAt: now, leaseUntil: now + 1000 }), [], false)
      await store.authorize(terms(n).id, signed(n), now)
      await store.move(terms(n).id, { to: 'settled', at: now, reason: 'x', proof })
    },
  }
}

const move = { at: NOW, reason: 'x' }

test('of charges older than a minute, those that may still change are read again, and no others', async () => {
  const { settle, total, read, pass, store } = await world()
  await settle(1)
  await settle(2, 'assumed')
  await settle(3)
  expect(await total()).toEqual({ authorized: 30n, settled: 30n })
  pass(2 * MINUTE)
  await total()
  await settle(4)
  expect(await total()).toEqual({ authorized: 40n, settled: 40n })
  expect(read).toEqual([terms(2).id, terms(4).id])
  await store.move(terms(2).id, { to: 'released', ...move })
  expect(await total()).toEqual({ authorized: 40n, settled: 30n })
  expect(await total()).toEqual({ authorized: 40n, settled: 30n })
  expect(read).toEqual([terms(4).id])
})

test('everything is read again once an hour, and after the clock was set back as far', async () => {
  const { settle, total, read, pass } = await world()
  for (let n = 1; n <= 3; n += 1) await settle(n)
  pass(2 * MINUTE)
  await total()
  await total()
  expect(read).toEqual([])
  pass(60 * MINUTE)
  await total()
  expect(read).toHaveLength(3)
  pass(-90 * MINUTE)
  await total()
  expect(read).toHaveLength(3)
})
