/** A long history beside paid calls: short slices, one asker at a time, and no work done twice. The store's time is played. */
import { expect, test } from 'vitest'
import { SpendTurns } from '../../src/app/spend-page/spend-turns.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** A store that takes so long for each hour it adds up. */
function slowStore(msPerHour: number) {
  let now = 0
  const slices: { readonly from: number; readonly to: number }[] = []
  const rests: number[] = []
  const turns = new SpendTurns({
    store: {
      async spend({ from = 0, to = 0 }) {
        slices.push({ from, to })
        now += ((to - from) / HOUR) * msPerHour
        return [{ group: '*', state: 'settled', charges: 1, unpriced: 0, microUsd: BigInt(to - from) }]
      },
    },
    elapsed: () => now,
    rest: async (ms) => {
      rests.push(ms)
      now += ms
    },
  })
  return { turns, slices, rests, wait: (ms: number) => void (now += ms) }
}

test('a piece of any length is added up whole, in slices that grow no longer than paid calls may wait', async () => {
  const { turns, slices, rests } = slowStore(0.05)
  const rows = await turns.between({ from: 0, to: 30 * DAY })
  expect(rows.reduce((sum, { microUsd }) => sum + microUsd, 0n)).toBe(BigInt(30 * DAY))
  slices.reduce((end, { from, to }) => {
    expect(from).toBe(end)
    return to
  }, 0)
  expect(slices.at(-1)?.to).toBe(30 * DAY)
  // After the first, which nothing was known about.
  expect(Math.max(...slices.slice(1).map(({ from, to }) => ((to - from) / HOUR) * 0.05))).toBeLessThanOrEqual(
    10,
  )
  expect(rests.reduce((sum, ms) => sum + ms, 0)).toBeCloseTo(3 * 30 * 24 * 0.05)
})

test('a day is read at once, however slow the machine is, and slices end where days do', async () => {
  const { turns, slices } = slowStore(15)
  await turns.between({ from: DAY / 2, to: 10 * DAY + 1 })
  expect(slices.map(({ from }) => from)).toEqual([
    DAY / 2,
    ...Array.from({ length: 10 }, (_, n) => (n + 1) * DAY),
  ])
})

test('a history that is quickly read is read in few slices', async () => {
  const { turns, slices } = slowStore(0.001)
  await turns.between({ from: 0, to: 365 * DAY })
  expect(slices.length).toBeLessThan(30)
})

test('the same question asked meanwhile or shortly after is worked out once; later anew', async () => {
  const { turns, wait } = slowStore(1)
  let worked = 0
  const work = async (): Promise<object> => {
    wait(100)
    return { worked: (worked += 1) }
  }
  expect(await Promise.all([turns.take('a', work), turns.take('a', work)])).toEqual([
    { worked: 1 },
    { worked: 1 },
  ])
  wait(1999)
  expect(await turns.take('a', work)).toEqual({ worked: 1 })
  wait(2)
  expect(await turns.take('a', work)).toEqual({ worked: 2 })
  // What took no time is always worked out anew.
  const quick = async (): Promise<object> => ({ worked: (worked += 1) })
  expect(await turns.take('b', quick)).toEqual({ worked: 3 })
  expect(await turns.take('b', quick)).toEqual({ worked: 4 })
})

test('other questions wait for their turn, also behind one that fails, and a failure is not kept', async () => {
  const { turns } = slowStore(1)
  const order: string[] = []
  let release = (): void => undefined
  const first = turns.take('a', async () => {
    await new Promise<void>((resolve) => {
      release = resolve
    })
    order.push('a')
    throw new Error('locked')
  })
  const second = turns.take('b', async () => ({ order: order.push('b') }))
  await new Promise(setImmediate)
  expect(order).toEqual([])
  release()
  await expect(first).rejects.toThrow('locked')
  expect(await second).toEqual({ order: 2 })
  expect(await turns.take('a', async () => ({ again: true }))).toEqual({ again: true })
})

test('what is kept does not grow with the questions', async () => {
  const { turns, wait } = slowStore(1)
  let worked = 0
  const ask = (n: number) =>
    turns.take(`q${n}`, async () => {
      wait(1)
      return { n, worked: (worked += 1) }
    })
  for (let n = 0; n < 100; n++) await ask(n)
  await ask(0)
  await ask(99)
  expect(worked).toBe(101)
})
