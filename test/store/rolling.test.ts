/** Rolling windows, soft limits and limits that only watch, in every store. */
import { expect, test } from 'vitest'
import { NO_TOTALS, type Claim, type Totals } from '../../src/core/budget/budget.ts'
import {
  rollingFreeAt,
  rollingTotals,
  TILES,
  type Dated,
  type RollingReader,
} from '../../src/io/store/rules/rolling-window.ts'
import type { Store } from '../../src/io/store/store.ts'
import { onEachStore } from './each-store.ts'
import { claim, DAY, NOW, terms } from './samples.ts'

const HOUR = 3_600_000
const LENGTH = 24 * HOUR

/** A share of a limit of 100 in 24 hours, asked for at an instant. */
const rolling = (at: number, amount: bigint, changes: Partial<Claim> = {}): Claim =>
  claim(amount, 100n, {
    window: 'rolling',
    lengthMs: LENGTH,
    windowStart: at,
    windowEnd: undefined,
    ...changes,
  })

const sums = (changes: Partial<Totals>): Totals => ({ ...NO_TOTALS, ...changes })

onEachStore('rolling windows', (store) => {
  let next = 0
  async function reserve(at: number, amount: bigint, changes: Partial<Claim> = {}) {
    const n = ++next
    const result = await store().reserve(
      terms(n, { reservedAt: at, leaseUntil: at + 1000 }),
      [rolling(at, amount, changes)],
      false,
    )
    return { result, id: terms(n).id }
  }
  const totals = async (at: number, changes: Partial<Claim> = {}): Promise<Totals | undefined> =>
    (await store().totals([rolling(at, 0n, changes)]))[0]

  test('a charge counts until exactly the length of the window after its reservation', async () => {
    const at = NOW + 123
    await reserve(at, 70n)
    expect(await totals(at)).toEqual(sums({ held: 70n }))
    expect(await totals(at + LENGTH - 1)).toEqual(sums({ held: 70n }))
    expect(await totals(at + LENGTH)).toEqual(NO_TOTALS)
    expect((await reserve(at + LENGTH - 1, 31n)).result.ok).toBe(false)
    expect((await reserve(at + LENGTH, 31n)).result.ok).toBe(true)
  })

  test('it does so in whatever state it is: held, sent, uncertain or spent', async () => {
    const { id } = await reserve(NOW, 70n)
    await store().authorize(
      id,
      { from: '0xa', nonce: '0x1', validAfter: 0, validBefore: Math.floor(NOW / 1000) },
      NOW,
    )
    expect(await totals(NOW + LENGTH - 1)).toEqual(sums({ authorized: 70n }))
    // Its fate is decided long after it aged out: the window of its reservation stays its own.
    await store().move(id, { to: 'uncertain', at: NOW + 3 * LENGTH, reason: 'timeout' })
    expect(await totals(NOW + LENGTH - 1)).toEqual(sums({ uncertain: 70n }))
    expect(await totals(NOW + 3 * LENGTH)).toEqual(NO_TOTALS)
    await store().move(id, { to: 'settled', at: NOW + 3 * LENGTH, reason: 'chain_used', proof: 'chain' })
    expect(await totals(NOW)).toEqual(sums({ spent: 70n }))
  })

  test('charges on the very second, minute, hour and day are counted once, from wherever the window begins', async () => {
    const edges = [DAY, DAY + 1000, DAY + 60_000, DAY + HOUR, DAY + 24 * HOUR]
    for (const at of edges) await reserve(at, 1n)
    for (const at of edges) {
      for (const from of [at - 500, at - 1, at, at + 1]) {
        const expected = BigInt(edges.filter((edge) => edge > from).length)
        expect(await totals(from + LENGTH), `from ${from - DAY}`).toEqual(sums({ held: expected }))
      }
    }
  })

  test('what is released counts no more, at once', async () => {
    const { id } = await reserve(NOW, 70n)
    await store().move(id, { to: 'released', at: NOW + 5, reason: 'client_left' })
    expect(await totals(NOW + 5)).toEqual(NO_TOTALS)
  })

  test('after the clock went back, what was reserved before still counts', async () => {
    await reserve(NOW + 30 * HOUR, 70n)
    expect(await totals(NOW)).toEqual(sums({ held: 70n }))
    expect((await reserve(NOW, 31n)).result.ok).toBe(false)
    expect((await reserve(NOW, 30n)).result.ok).toBe(true)
    // And no 24 hours ever hold more than the limit, once the clock has caught up.
    expect((await reserve(NOW + 25 * HOUR, 31n)).result.ok).toBe(false)
    expect((await reserve(NOW + 25 * HOUR, 30n)).result.ok).toBe(true)
  })

  test('subjects, budgets and calendar windows of the same name are apart', async () => {
    await reserve(NOW, 70n)
    expect(await totals(NOW, { subject: 'openclaw' })).toEqual(NO_TOTALS)
    expect(await totals(NOW, { budget: 'other' })).toEqual(NO_TOTALS)
    expect((await store().totals([claim(0n, 100n)]))[0]).toEqual(NO_TOTALS)
    expect(await store().windows(0)).toEqual([])
  })

  test('two claims of one reservation on one rolling window count together', async () => {
    const claims = [rolling(NOW, 60n), rolling(NOW, 60n)]
    expect((await store().reserve(terms(901), claims, false)).ok).toBe(false)
    expect((await store().reserve(terms(902), [rolling(NOW, 50n), rolling(NOW, 50n)], false)).ok).toBe(true)
    expect(await totals(NOW)).toEqual(sums({ held: 100n }))
  })

  test('the refused are told when enough has aged out, to the millisecond', async () => {
    for (const [at, amount] of [
      [NOW + 1, 20n],
      [NOW + 2 * HOUR + 7, 30n],
      [NOW + 2 * HOUR + 8, 0n],
      [NOW + 20 * HOUR + 999, 50n],
    ] as const)
      await reserve(at, amount)
    const freeAt = (amount: bigint): Promise<number | undefined> =>
      store().freeAt(rolling(NOW + 21 * HOUR, amount))
    expect(await freeAt(0n)).toBe(NOW + 21 * HOUR)
    expect(await freeAt(1n)).toBe(NOW + 1 + LENGTH)
    expect(await freeAt(20n)).toBe(NOW + 1 + LENGTH)
    expect(await freeAt(21n)).toBe(NOW + 2 * HOUR + 7 + LENGTH)
    expect(await freeAt(51n)).toBe(NOW + 20 * HOUR + 999 + LENGTH)
    expect(await freeAt(100n)).toBe(NOW + 20 * HOUR + 999 + LENGTH)
    expect(await freeAt(101n)).toBeUndefined()
    expect(await store().freeAt(claim(101n, 100n))).toBeUndefined()
  })

  test('everybody with something counted is listed, by name', async () => {
    await reserve(NOW, 1n, { subject: 'b' })
    await reserve(NOW + 5, 2n, { subject: 'a' })
    await reserve(NOW - 2 * LENGTH, 3n, { subject: 'long gone' })
    await reserve(NOW, 4n, { subject: 'x', budget: 'other' })
    const { id } = await reserve(NOW, 5n, { subject: 'c' })
    await store().move(id, { to: 'released', at: NOW, reason: 'client_left' })
    expect(await store().subjects(rolling(NOW + 10, 0n))).toEqual([
      { subject: 'a', totals: sums({ held: 2n }) },
      { subject: 'b', totals: sums({ held: 1n }) },
    ])
  })
})

onEachStore('calendar windows', (store) => {
  test('list everybody with something counted in them, by name', async () => {
    const cases: readonly [number, Partial<Claim>][] = [
      [1, { subject: 'b' }],
      [2, { subject: 'a' }],
      [3, { subject: 'yesterday', windowStart: DAY - 86_400_000 }],
      [4, { subject: 'hourly', window: 'hour' }],
      [5, { subject: 'x', budget: 'other' }],
    ]
    for (const [n, change] of cases) await store().reserve(terms(n), [claim(BigInt(n), 100n, change)], false)
    expect(await store().subjects(claim(0n, 100n))).toEqual([
      { subject: 'a', totals: sums({ held: 2n }) },
      { subject: 'b', totals: sums({ held: 1n }) },
    ])
  })
})

onEachStore('limits that do not refuse', (store) => {
  const reserve = async (n: number, claims: readonly Claim[]) =>
    await store().reserve(terms(n), claims, false)
  const noticesOf = (result: Awaited<ReturnType<Store['reserve']>>) =>
    result.ok ? (result.notices ?? []).map(({ kind, totals }) => [kind, totals.held]) : undefined

  test('a soft limit is told by the reservation that passes it, once per window and subject', async () => {
    const soft = (changes: Partial<Claim> = {}): Claim[] => [claim(30n, 1000n, { soft: 60n, ...changes })]
    expect(noticesOf(await reserve(1, soft()))).toEqual([])
    expect(noticesOf(await reserve(2, soft()))).toEqual([])
    expect(noticesOf(await reserve(3, soft()))).toEqual([['soft', 90n]])
    expect(noticesOf(await reserve(4, soft()))).toEqual([])
    await store().move(terms(3).id, { to: 'released', at: NOW, reason: 'x' })
    await store().move(terms(4).id, { to: 'released', at: NOW, reason: 'x' })
    expect(noticesOf(await reserve(5, soft()))).toEqual([])
    for (const [n, change] of [{ subject: 'openclaw' }, { windowStart: DAY + 86_400_000 }].entries()) {
      expect(noticesOf(await reserve(10 + 10 * n, soft({ ...change, amount: 61n })))).toEqual([['soft', 61n]])
      expect(noticesOf(await reserve(11 + 10 * n, soft({ ...change, amount: 1n })))).toEqual([])
    }
  })

  test('of a rolling window it is told again once the last time has aged out', async () => {
    const soft = (at: number): Claim[] => [rolling(at, 30n, { limit: 1000n, soft: 20n })]
    expect(noticesOf(await reserve(1, soft(NOW)))).toEqual([['soft', 30n]])
    expect(noticesOf(await reserve(2, soft(NOW + LENGTH - 1)))).toEqual([])
    expect(noticesOf(await reserve(3, soft(NOW + LENGTH)))).toEqual([['soft', 60n]])
    expect(noticesOf(await reserve(4, soft(NOW - 5)))).toEqual([])
  })

  test('a refused reservation tells of no soft limit, and leaves it to be told', async () => {
    const both = [claim(70n, 1000n, { soft: 60n }), claim(70n, 10n, { budget: 'small' })]
    expect((await reserve(1, both)).ok).toBe(false)
    expect(noticesOf(await reserve(2, both.slice(0, 1)))).toEqual([['soft', 70n]])
  })

  test('a limit that is not enforced takes everything, and tells each time what it did not fit beside', async () => {
    const watch = claim(70n, 100n, { enforce: false })
    expect(noticesOf(await reserve(1, [watch]))).toEqual([])
    expect(noticesOf(await reserve(2, [watch]))).toEqual([['would_refuse', 70n]])
    expect(noticesOf(await reserve(3, [watch]))).toEqual([['would_refuse', 140n]])
    expect((await store().totals([watch]))[0]).toEqual(sums({ held: 210n }))
    const enforced = claim(70n, 69n, { budget: 'real' })
    expect(await reserve(4, [watch, enforced])).toMatchObject({ ok: false, claim: { budget: 'real' } })
    expect((await store().totals([watch]))[0]).toEqual(sums({ held: 210n }))
  })
})

/** A year of one charge a second, told on demand; counts what is read. */
function yearOfSeconds(until: number): { reader: RollingReader; reads: () => number } {
  let reads = 0
  const first = until - 366 * 86_400_000
  const pieces = (from: number, to: number, ms: number, held: bigint): Dated[] => {
    const found: Dated[] = []
    for (let at = Math.ceil(Math.max(from, first) / ms) * ms; at < Math.min(to, until); at += ms) {
      found.push({ at, totals: sums({ held }) })
    }
    reads += found.length
    return found
  }
  const reader: RollingReader = {
    shares: (from, to) => pieces(from, to, 1000, 1n),
    tiles(window, from, to) {
      const ms = TILES.find((tile) => tile.window === window)?.ms ?? 0
      return pieces(from, to, ms, BigInt(ms / 1000))
    },
  }
  return { reader, reads: () => reads }
}

test('sums of a year with a charge every second are read in a few hundred pieces, and are exact', () => {
  // Aligned, so that the charges of the last day are whole tiles.
  const until = Math.ceil(NOW / 86_400_000) * 86_400_000
  for (const at of [until - 1, until - 12_345_678, until - 86_399_999]) {
    const { reader, reads } = yearOfSeconds(until)
    const asked = rolling(at, 10n, { lengthMs: 300 * 86_400_000, limit: 1n })
    const expected = BigInt(Math.floor((until - 1 - (at - 300 * 86_400_000)) / 1000))
    expect(rollingTotals(asked, reader)).toEqual(sums({ held: expected }))
    expect(reads()).toBeLessThan(59 + 59 + 23 + 302)
    // Asking when it is free again costs no more than three further tiles.
    expect(rollingFreeAt({ ...asked, limit: expected }, reader)).toBe(
      Math.ceil((at - 300 * 86_400_000 + 1) / 1000) * 1000 + 9 * 1000 + 300 * 86_400_000,
    )
    expect(reads()).toBeLessThan(2 * (59 + 59 + 23 + 302) + 24 + 60 + 60)
  }
})
