/** The chain beside the three sums: a node played by a list of transfers, as only its answers matter here. */
import { expect, test } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { watchOutflow } from '../../src/io/consistency/chain-outflow.ts'
import { TOPICS, type LogQuery } from '../../src/io/chain/chain.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { NOW, signed, terms } from '../store/samples.ts'

const PAYER = signed(1).from
const START = Math.floor(NOW / 1000)

function node() {
  const state = { number: 100n, down: false, queries: [] as LogQuery[] }
  const transfers: {
    readonly block: bigint
    readonly amount: bigint
    readonly asset: string
    readonly from: string
  }[] = []
  return {
    state,
    transfers,
    chain: {
      network: 'eip155:84532',
      async finalBlock() {
        if (state.down) throw new Error('unreachable')
        return {
          number: state.number,
          timestamp: START + Number(state.number - 100n),
          hash: `0x${'b'.repeat(64)}`,
        }
      },
      async logs(query: LogQuery) {
        state.queries.push(query)
        return transfers
          .filter(({ block }) => block >= query.from && block <= query.to)
          .filter(
            ({ asset, from }) =>
              asset === query.address && query.topics[1]?.includes(`0x${from.slice(2).padStart(64, '0')}`),
          )
          .map(({ block, amount, asset, from }) => ({
            address: asset,
            topics: [TOPICS.transfer, from],
            data: `0x${amount.toString(16).padStart(64, '0')}`,
            transaction: `0x${'1'.repeat(64)}`,
            blockNumber: block,
          }))
      },
    },
  }
}

async function world() {
  const store = memoryStore()
  const { chain, state, transfers } = node()
  let now = NOW
  let breaths = 0
  const outflow = watchOutflow({
    store,
    chains: [chain],
    assets: BUILT_IN_ASSETS,
    payers: [PAYER],
    clock: { now: () => now },
    intervalMs: 60_000,
    breathe: async () => {
      breaths += 1
    },
  })
  const look = async (): Promise<bigint | undefined> => {
    now += 60_000
    return await outflow()
  }
  const pay = async (n: number): Promise<void> => {
    await store.reserve(terms(n), [], false)
    await store.authorize(terms(n).id, signed(n), NOW + n)
  }
  const left = (amount: bigint, from: string = PAYER): void => {
    state.number += 1n
    transfers.push({ block: state.number, amount, asset: terms(1).asset, from })
  }
  return { store, state, outflow, look, pay, left, breaths: () => breaths }
}

test('payments that the ledger counts explain what left the wallet, taken or not', async () => {
  const { look, pay, left, state } = await world()
  expect(await look()).toBeUndefined()
  await pay(1)
  expect(await look()).toBe(0n)
  left(terms(1).amount)
  expect(await look()).toBe(0n)
  left(5n, `0x${'9'.repeat(40)}`)
  expect(await look()).toBe(0n)
  expect(state.queries.every(({ topics }) => topics[0] === TOPICS.transfer)).toBe(true)
})

test('what left beyond them is told, and so is a payment that was released and taken all the same', async () => {
  const { store, look, pay, left } = await world()
  await look()
  await pay(1)
  left(terms(1).amount + 7n)
  expect(await look()).toBe(7n)
  await store.move(terms(1).id, { to: 'released', at: NOW, reason: 'chain_unused' })
  expect(await look()).toBe(terms(1).amount + 7n)
})

test('a voucher handed over long before the start explains what leaves when it is used; one that has ended does not', async () => {
  const { store, look, left } = await world()
  const days = (count: number): number => count * 86_400
  for (const [n, age, life] of [
    [1, 5, 30],
    [2, 40, 30],
  ] as const) {
    const reservedAt = NOW - days(age) * 1000
    await store.reserve(terms(n, { reservedAt, leaseUntil: reservedAt + 30_000 }), [], false)
    const validBefore = Math.floor(reservedAt / 1000) + days(life)
    await store.authorize(terms(n).id, signed(n, { validBefore }), reservedAt + 1)
    await store.move(terms(n).id, { to: 'uncertain', at: reservedAt + 2, reason: 'instance_closed' })
  }
  await look()
  left(terms(1).amount)
  expect(await look()).toBe(0n)
  left(terms(2).amount)
  expect(await look()).toBe(terms(2).amount)
})

test('requests go on between two pages of a long ledger, and nothing is read before anything left', async () => {
  const { look, pay, left, breaths } = await world()
  await look()
  for (let n = 1; n <= 1100; n++) await pay(n)
  expect(await look()).toBe(0n)
  expect(breaths()).toBe(0)
  left(3n)
  expect(await look()).toBe(0n)
  expect(breaths()).toBeGreaterThanOrEqual(3)
})

test('a node that does not answer gives no number, and nothing is counted twice or lost when it is back', async () => {
  const { look, left, state, outflow } = await world()
  await look()
  left(11n)
  state.number += 4500n
  state.down = true
  expect(await look()).toBeUndefined()
  state.down = false
  expect(await outflow()).toBeUndefined()
  expect(await look()).toBe(11n)
  expect(await look()).toBe(11n)
  const ranges = state.queries.map(({ from, to }) => [from, to])
  expect(ranges).toEqual([
    [101n, 2100n],
    [2101n, 4100n],
    [4101n, 4601n],
  ])
})
