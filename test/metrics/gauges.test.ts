import { expect, test } from 'vitest'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { watchSpending } from '../../src/io/metrics/spending.ts'
import type { SpentBy } from '../../src/io/store/contracts/spending.ts'
import { watchWalletBalances } from '../../src/io/metrics/wallet-balances.ts'
import { send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { ManualTimers } from '../kit/manual-timers.ts'

const DAY = Date.parse('2026-11-21T00:00:00Z')
const MONTH = Date.parse('2026-11-01T00:00:00Z')
const NAMES = { route: 'r', model: 'm', payer: 'p', seller: 's', caller: 'c' }
const OWNER = '0x00000000000000000000000000000000000000aa'
const REFRESH_MS = 10_000

test('spending is read for the day and the month of UTC, again and again, and never at a scrape', async () => {
  const timers = new ManualTimers()
  const asked: { since: number; until: number | undefined }[] = []
  let rows: SpentBy[] = [{ ...NAMES, charges: 1, microUsd: 5n }]
  const days = (DAY - MONTH) / 86_400_000 + 1
  const spending = watchSpending({
    store: {
      spentBy: async (since, until) => {
        asked.push({ since, until })
        return rows
      },
    },
    clock: { now: () => Date.parse('2026-11-21T23:59:59.999Z') },
    timers,
    stopwatch: () => 0,
    onFailure: () => undefined,
  })
  await timers.armed(REFRESH_MS)
  // Every instant of the month is asked for once, a day at a time, and the last day has no end.
  expect(asked).toHaveLength(days)
  expect(asked[0]?.since).toBe(MONTH)
  for (const [index, { until }] of asked.entries()) expect(until).toBe(asked[index + 1]?.since)
  for (let scrape = 0; scrape < 3; scrape++) {
    expect(spending.newest()).toEqual([
      { window: 'day', ...NAMES, microUsd: 5n },
      { window: 'month', ...NAMES, microUsd: BigInt(days) * 5n },
    ])
  }
  expect(asked).toHaveLength(days)
  rows = []
  await timers.fire(REFRESH_MS)
  await timers.armed(REFRESH_MS)
  expect(spending.newest()).toEqual([])
  spending.close()
})

test('a month of made-up models takes the room of a thousand, and its sum stays right', async () => {
  const timers = new ManualTimers()
  const spending = watchSpending({
    store: {
      spentBy: async (since) =>
        since === MONTH
          ? Array.from({ length: 5000 }, (_, n) => ({ ...NAMES, model: `m${n}`, charges: 1, microUsd: 1n }))
          : [],
    },
    clock: { now: () => DAY },
    timers,
    stopwatch: () => 0,
    onFailure: () => undefined,
  })
  await timers.armed(REFRESH_MS)
  const month = spending.newest()?.filter(({ window }) => window === 'month') ?? []
  expect(month).toHaveLength(1001)
  expect(month.reduce((sum, { microUsd }) => sum + microUsd, 0n)).toBe(5000n)
  expect(month.find(({ model }) => model === 'other')?.microUsd).toBe(4000n)
  spending.close()
})

test('spending that cannot be read is unknown, reported, and read again', async () => {
  const timers = new ManualTimers()
  const failures: unknown[] = []
  let broken = false
  const spending = watchSpending({
    store: { spentBy: async () => (broken ? Promise.reject(new Error('locked')) : []) },
    clock: { now: () => DAY },
    timers,
    stopwatch: () => 0,
    onFailure: (error) => failures.push(error),
  })
  await timers.armed(REFRESH_MS)
  broken = true
  await timers.fire(REFRESH_MS)
  await timers.armed(REFRESH_MS)
  expect(spending.newest()).toBeUndefined()
  expect(failures).toHaveLength(1)
  await expect(spending.refresh()).rejects.toThrow('locked')
  broken = false
  await timers.fire(REFRESH_MS)
  await timers.armed(REFRESH_MS)
  expect(spending.newest()).toEqual([])
  spending.close()
})

test('a month that takes long to add up is added up seldom: a hundredth of the time at most', async () => {
  const timers = new ManualTimers()
  let now = 0
  const spending = watchSpending({
    store: { spentBy: async () => [] },
    clock: { now: () => DAY },
    timers,
    stopwatch: () => (now += 1000),
    onFailure: () => undefined,
  })
  await timers.armed(100_000)
  spending.close()
  expect(timers.size).toBe(0)
})

/** A stand-in for a node: what it says is the subject, not a chain. */
async function startNode(chainId: number, balance: bigint): Promise<ScriptedSeller> {
  return await startScriptedSeller(({ body }, response) => {
    const { id, method } = JSON.parse(body.toString()) as { id: number; method: string }
    const result = method === 'eth_chainId' ? chainId : balance
    const hex = method === 'eth_chainId' ? result.toString(16) : result.toString(16).padStart(64, '0')
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: `0x${hex}` })
    send(response, { status: 200, headers: { 'content-type': 'application/json' }, body: answer })
  })
}

test('a balance is read if there is a node, and unknown if the node is gone or serves another network', async () => {
  const right = await startNode(84_532, 2_500_000n)
  const wrong = await startNode(1, 7n)
  const timers = new ManualTimers()
  const wallets = watchWalletBalances({
    wallets: [
      { payer: 'base', address: OWNER, networks: ['eip155:84532', 'eip155:8453', 'eip155:1'] },
      { payer: 'none', address: OWNER, networks: ['eip155:1'] },
    ],
    assets: BUILT_IN_ASSETS.filter(({ symbol }) => symbol === 'USDC'),
    nodes: new Map([
      ['eip155:84532', right.url],
      ['eip155:8453', wrong.url],
    ]),
    timers,
  })
  await timers.armed(60_000)
  expect(wallets.newest()).toEqual([
    { payer: 'base', address: OWNER, network: 'eip155:8453', asset: 'USDC', microUsd: undefined },
    { payer: 'base', address: OWNER, network: 'eip155:84532', asset: 'USDC', microUsd: 2_500_000n },
  ])
  await right.close()
  await timers.fire(60_000)
  await timers.armed(60_000)
  expect(wallets.newest().map(({ microUsd }) => microUsd)).toEqual([undefined, undefined])
  wallets.close()
  await wrong.close()
})

test('without a node nothing is read and no timer is set', async () => {
  const timers = new ManualTimers()
  const wallets = watchWalletBalances({
    wallets: [{ payer: 'base', address: OWNER, networks: ['eip155:1'] }],
    assets: BUILT_IN_ASSETS,
    nodes: new Map(),
    timers,
  })
  await wallets.refresh()
  expect(wallets.newest()).toEqual([])
  await timers.idle()
  wallets.close()
})
