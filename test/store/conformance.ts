/** What every store must do. store.test.ts runs it for each of them. */
import { beforeEach, describe, expect, test } from 'vitest'
import { NO_TOTALS, type Totals } from '../../src/core/budget/budget.ts'
import { IllegalMoveError, type Charge, type ChargeState } from '../../src/core/charge/charge.ts'
import type { Move } from '../../src/io/store/contracts/charges.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, DAY, instance, LEASE_MS, NOW, signed, terms } from './samples.ts'

const sums = (changes: Partial<Totals>): Totals => ({ ...NO_TOTALS, ...changes })
const to = (state: ChargeState, changes: Partial<Move> = {}): Move => ({
  to: state,
  at: NOW + 500,
  reason: 'why',
  ...(state === 'settled' ? { proof: 'receipt' } : {}),
  ...changes,
})

/** @param current the store of the running test */
export function storeConformance(current: () => Store): void {
  describe('a store', () => {
    let store: Store
    beforeEach(() => {
      store = current()
    })

    async function held(n: number, amount = 10n, limit = 1000n): Promise<Charge> {
      const result = await store.reserve(terms(n), [claim(amount, limit)], false)
      if (!result.ok) throw new Error('the reservation was refused')
      return result.charge
    }
    async function authorized(n: number): Promise<Charge> {
      await held(n)
      const result = await store.authorize(terms(n).id, signed(n), NOW + n)
      if (typeof result === 'string') throw new Error(result)
      return result
    }
    const totals = async (changes: Parameters<typeof claim>[2] = {}): Promise<Totals | undefined> =>
      (await store.totals([claim(0n, 0n, changes)]))[0]

    describe('what was spent', () => {
      test('is told by route, payer, seller and caller, of settled charges since an instant', async () => {
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
        const { route, payer, seller } = terms(1)
        expect(await store.spentBy(NOW + 2)).toEqual([
          { route, payer, seller, caller: 'another', charges: 1, microUsd: 9n },
          { route, payer, seller, caller: 'openclaw', charges: 2, microUsd: 7n },
        ])
        expect(await store.spentBy(NOW + 1)).toContainEqual({
          route,
          payer,
          seller,
          caller: 'openclaw',
          charges: 3,
          microUsd: 12n,
        })
        expect(await store.spentBy(NOW + 1, NOW + 2)).toEqual([
          { route, payer, seller, caller: 'openclaw', charges: 1, microUsd: 5n },
        ])
        expect(await store.spentBy(NOW + 5)).toEqual([])
      })
    })

    describe('reserving', () => {
      test('keeps a charge as it was given, held', async () => {
        const result = await store.reserve(terms(1), [claim(10n, 10n)], false)
        const expected: Charge = {
          ...terms(1),
          state: 'held',
          proof: undefined,
          authorization: undefined,
          transaction: undefined,
          reason: undefined,
          updatedAt: terms(1).reservedAt,
        }
        expect(result).toEqual({ ok: true, charge: expected })
        expect(await store.charge(terms(1).id)).toEqual(expected)
      })

      test('keeps amounts of any size, and a missing USD value', async () => {
        const amount = 10n ** 77n + 1n
        await store.reserve(terms(1, { amount, microUsd: undefined }), [claim(amount, amount)], false)
        expect(await store.charge(terms(1).id)).toMatchObject({ amount, microUsd: undefined })
        expect(await totals()).toEqual(sums({ held: amount }))
      })

      test('rule 2: takes exactly the limit and refuses one atomic unit more', async () => {
        expect((await store.reserve(terms(1), [claim(999n, 1000n)], false)).ok).toBe(true)
        expect(await store.reserve(terms(2), [claim(2n, 1000n)], false)).toEqual({
          ok: false,
          claim: claim(2n, 1000n),
          totals: sums({ held: 999n }),
        })
        expect((await store.reserve(terms(3), [claim(1n, 1000n)], false)).ok).toBe(true)
        expect((await store.reserve(terms(4), [claim(1n, 1000n)], false)).ok).toBe(false)
        expect((await store.reserve(terms(5), [claim(0n, 1000n)], false)).ok).toBe(true)
      })

      test('rule 2: takes all claims or none, and names the first that does not fit', async () => {
        const full = claim(5n, 4n, { budget: 'small' })
        const alsoFull = claim(5n, 3n, { budget: 'smaller' })
        const result = await store.reserve(terms(1), [claim(5n, 100n), full, alsoFull], true)
        expect(result).toEqual({ ok: false, claim: full, totals: NO_TOTALS })
        expect(await store.charge(terms(1).id)).toBeUndefined()
        expect(await store.windows(0)).toEqual([])
        expect(await store.pins()).toEqual([])
      })

      test('counts two claims on the same window together', async () => {
        const result = await store.reserve(terms(1), [claim(6n, 10n), claim(6n, 10n)], false)
        expect(result).toMatchObject({ ok: false, totals: sums({ held: 6n }) })
        expect(await totals()).toEqual(NO_TOTALS)
        expect((await store.reserve(terms(2), [claim(5n, 10n), claim(5n, 10n)], false)).ok).toBe(true)
        await store.move(terms(2).id, to('released'))
        expect(await totals()).toEqual(NO_TOTALS)
      })

      test('rule 2: lets concurrent reservations take a limit exactly once', async () => {
        const results = await Promise.all(
          Array.from({ length: 50 }, (_, n) => store.reserve(terms(n), [claim(3n, 50n)], false)),
        )
        expect(results.filter((result) => result.ok)).toHaveLength(16)
        expect(await totals()).toEqual(sums({ held: 48n }))
      })

      test('keeps windows, subjects and budgets apart', async () => {
        const others = [
          { subject: 'openclaw' },
          { budget: 'other' },
          { windowStart: DAY - 86_400_000 },
          { window: 'hour' },
        ] as const
        await store.reserve(terms(1), [claim(7n, 7n)], false)
        for (const other of others) expect(await totals(other)).toEqual(NO_TOTALS)
        for (const [n, other] of others.entries()) {
          expect((await store.reserve(terms(10 + n), [claim(7n, 7n, other)], false)).ok).toBe(true)
        }
      })

      test('refuses an id that is taken and a negative claim, and changes nothing', async () => {
        await held(1)
        await expect(store.reserve(terms(1), [claim(1n, 1000n)], false)).rejects.toThrow(/already/)
        await expect(store.reserve(terms(2), [claim(-1n, 1000n)], false)).rejects.toThrow(/negative/)
        expect(await totals()).toEqual(sums({ held: 10n }))
        expect(await store.charges()).toHaveLength(1)
      })

      test('does not change with the objects it was given', async () => {
        const share = { ...claim(5n, 10n) }
        await store.reserve(terms(1), [share], false)
        Object.assign(share, { amount: 1n, budget: 'else' })
        await store.move(terms(1).id, to('released'))
        expect(await totals()).toEqual(NO_TOTALS)
      })
    })

    describe('pins', () => {
      test('the first payee of a seller, network and asset is pinned', async () => {
        await store.reserve(terms(1), [], true)
        const { apiBase, network, asset, payTo, reservedAt } = terms(1)
        expect(await store.pins()).toEqual([{ apiBase, network, asset, payTo, pinnedAt: reservedAt }])
        expect(await store.pins(apiBase)).toHaveLength(1)
        expect(await store.pins('https://other.example.com')).toEqual([])
      })

      test('of two requests that meet a seller at once with different payees, one is refused', async () => {
        const payTo = '0x00000000000000000000000000000000000000cc'
        const results = await Promise.allSettled([
          store.reserve(terms(1), [claim(1n, 10n)], true),
          store.reserve(terms(2, { payTo }), [claim(1n, 10n)], true),
        ])
        expect(results).toMatchObject([
          { status: 'fulfilled' },
          { status: 'rejected', reason: { name: 'TollwayError', code: 'payee_not_allowed' } },
        ])
        expect(await totals()).toEqual(sums({ held: 1n }))
        expect(await store.pins()).toMatchObject([{ payTo: terms(1).payTo }])
      })

      test('another network, asset or path is pinned by itself', async () => {
        const payTo = '0x00000000000000000000000000000000000000cc'
        const changes = [{ network: 'eip155:8453' }, { asset: '0xother' }, { apiBase: 'https://b.example' }]
        await store.reserve(terms(1), [], true)
        for (const [n, change] of changes.entries()) {
          await store.reserve(terms(2 + n, { payTo, ...change }), [], true)
        }
        expect(await store.pins()).toHaveLength(4)
      })

      test('a payee allowed by configuration neither pins nor is compared', async () => {
        await store.reserve(terms(1), [], true)
        const payTo = '0x00000000000000000000000000000000000000cc'
        expect((await store.reserve(terms(2, { payTo }), [], false)).ok).toBe(true)
        expect(await store.pins()).toMatchObject([{ payTo: terms(1).payTo }])
      })
    })

    describe('what the chain may still speak about', () => {
      const network = terms(1).network
      const unproven = async (query: object = {}): Promise<string[]> =>
        (await store.unproven({ network, ...query })).map(({ id }) => id)
      const uncertain = async (n: number): Promise<string> => {
        await authorized(n)
        return (await store.move(terms(n).id, to('uncertain'))).id
      }

      test('is uncertain, or settled without its proof, of any owner, oldest first', async () => {
        const second = await uncertain(2)
        const first = await uncertain(1)
        await held(3)
        await authorized(4)
        await authorized(5)
        await store.move(terms(5).id, to('settled', { proof: 'receipt' }))
        await authorized(6)
        await store.move(terms(6).id, to('settled', { proof: 'assumed' }))
        await authorized(7)
        await store.move(terms(7).id, to('settled', { proof: 'chain' }))
        await store.move(await uncertain(8), to('released'))
        expect(await unproven()).toEqual([first, second, terms(5).id, terms(6).id])
      })

      test('is listed in pages, and by network', async () => {
        const ids = [await uncertain(1), await uncertain(2), await uncertain(3)]
        expect(await unproven({ limit: 2 })).toEqual(ids.slice(0, 2))
        expect(await unproven({ limit: 2, after: ids[1] })).toEqual(ids.slice(2))
        expect(await unproven({ after: ids[2] })).toEqual([])
        expect(await unproven({ limit: 0 })).toEqual([])
        expect(await unproven({ network: 'eip155:1' })).toEqual([])
      })

      test('is over once it said that a receipt lied', async () => {
        const id = await uncertain(1)
        await store.flag(id, { flag: 'event_missing', detail: 'x' }, NOW)
        expect(await unproven()).toEqual([id])
        await store.flag(id, { flag: 'receipt_unproven', detail: 'x' }, NOW)
        expect(await unproven()).toEqual([])
      })

      test('keeps how it was signed', async () => {
        for (const [n, method] of (['permit2', 'eip3009', undefined] as const).entries()) {
          await held(n)
          await store.authorize(terms(n).id, signed(n, { method }), NOW)
          expect((await store.charge(terms(n).id))?.authorization).toEqual(signed(n, { method }))
        }
      })
    })

    describe('flags', () => {
      const finding = { flag: 'amount_mismatch', detail: 'signed 2, moved 1' } as const

      test('are put on a charge once each, the first words stay, and they can be taken off', async () => {
        await held(1)
        const { id } = terms(1)
        expect(await store.flag(id, finding, NOW)).toBe(true)
        expect(await store.flag(id, { ...finding, detail: 'other' }, NOW + 1)).toBe(false)
        expect(await store.flag(id, { ...finding, flag: 'event_missing' }, NOW + 2)).toBe(true)
        expect(await store.flags({ charge: id })).toEqual([
          { charge: id, ...finding, flag: 'event_missing', at: NOW + 2 },
          { charge: id, ...finding, at: NOW },
        ])
        await store.unflag(id, ['event_missing', 'receipt_unproven'])
        expect(await store.flags({ charge: id })).toEqual([{ charge: id, ...finding, at: NOW }])
      })

      test('are listed newest first, and counted', async () => {
        for (const n of [1, 2, 3]) {
          await held(n)
          await store.flag(terms(n).id, n === 2 ? { ...finding, flag: 'event_missing' } : finding, NOW + n)
        }
        expect((await store.flags()).map(({ charge }) => charge)).toEqual([3, 2, 1].map((n) => terms(n).id))
        expect(await store.flags({ limit: 1 })).toHaveLength(1)
        expect(await store.flags({ charge: 'chg_none' })).toEqual([])
        expect(await store.flagCounts()).toEqual([
          { flag: 'amount_mismatch', count: 2 },
          { flag: 'event_missing', count: 1 },
        ])
      })

      test('belong to charges that exist', async () => {
        await expect(store.flag('chg_none', finding, NOW)).rejects.toThrow(/no charge chg_none/)
        expect(await store.flagCounts()).toEqual([])
      })
    })

    describe('authorizing', () => {
      test('records what was signed and counts it as authorized', async () => {
        await held(1)
        const charge = await store.authorize(terms(1).id, signed(1), NOW + 5)
        expect(charge).toMatchObject({ state: 'authorized', authorization: signed(1), updatedAt: NOW + 5 })
        expect(await store.charge(terms(1).id)).toEqual(charge)
        expect(await totals()).toEqual(sums({ authorized: 10n }))
      })

      test('rule 2: is refused from the instant the lease ends', async () => {
        await held(1)
        const end = terms(1).reservedAt + LEASE_MS
        expect(await store.authorize(terms(1).id, signed(1), end)).toBe('lease_expired')
        expect(await store.charge(terms(1).id)).toMatchObject({ state: 'held', authorization: undefined })
        expect(await store.authorize(terms(1).id, signed(1), end - 1)).toMatchObject({ state: 'authorized' })
      })

      test('is refused for anything that is not held', async () => {
        await authorized(1)
        expect(await store.authorize(terms(1).id, signed(2), NOW)).toBe('not_held')
        await held(2)
        await store.move(terms(2).id, to('released'))
        expect(await store.authorize(terms(2).id, signed(2), NOW)).toBe('not_held')
        await expect(store.authorize('chg_unknown', signed(3), NOW)).rejects.toThrow(/no charge chg_unknown/)
      })

      test('rule 5: never takes a nonce twice, not even of a released charge or in other case', async () => {
        await authorized(10)
        await store.move(terms(10).id, to('released'))
        await held(2)
        expect(await store.authorize(terms(2).id, signed(10), NOW)).toBe('nonce_used')
        const shouted = signed(10, {
          from: signed(10).from.toUpperCase().replace('0X', '0x'),
          nonce: signed(10).nonce.toUpperCase().replace('0X', '0x'),
        })
        expect(await store.authorize(terms(2).id, shouted, NOW)).toBe('nonce_used')
        expect(await totals()).toEqual(sums({ held: 10n }))
        const results = await Promise.all([held(3), held(4)]).then(
          async ([a, b]) =>
            await Promise.all([store.authorize(a.id, signed(9), NOW), store.authorize(b.id, signed(9), NOW)]),
        )
        expect(results[1]).toBe('nonce_used')
      })

      test('takes the same nonce for another address, network or asset', async () => {
        await authorized(1)
        const others = [{ network: 'eip155:8453' }, { asset: '0xother' }]
        for (const [n, change] of others.entries()) {
          await store.reserve(terms(2 + n, change), [], false)
          expect(await store.authorize(terms(2 + n).id, signed(1), NOW)).toMatchObject({
            state: 'authorized',
          })
        }
        await held(9)
        expect(await store.authorize(terms(9).id, signed(1, { from: '0xother' }), NOW)).toMatchObject({
          state: 'authorized',
        })
      })
    })

    describe('moving', () => {
      test('settles with proof and transaction, and counts as spent', async () => {
        await authorized(1)
        const charge = await store.move(
          terms(1).id,
          to('settled', { transaction: '0xabc', reason: 'receipt' }),
        )
        expect(charge).toMatchObject({
          state: 'settled',
          proof: 'receipt',
          transaction: '0xabc',
          reason: 'receipt',
          updatedAt: NOW + 500,
          authorization: signed(1),
        })
        expect(await store.charge(terms(1).id)).toEqual(charge)
        expect(await totals()).toEqual(sums({ spent: 10n }))
      })

      test('rule 4: what is uncertain stays counted until it is settled or released', async () => {
        await authorized(1)
        await authorized(2)
        for (const n of [1, 2]) await store.move(terms(n).id, to('uncertain', { reason: 'timeout' }))
        expect(await totals()).toEqual(sums({ uncertain: 20n }))
        await store.move(terms(1).id, to('settled', { proof: 'chain', transaction: '0x1' }))
        expect(await totals()).toEqual(sums({ uncertain: 10n, spent: 10n }))
        await store.move(terms(2).id, to('released', { reason: 'chain' }))
        expect(await totals()).toEqual(sums({ spent: 10n }))
      })

      test('a stronger proof replaces a weaker one and keeps the transaction; a weaker or equal one does not', async () => {
        await authorized(1)
        const { id } = terms(1)
        await store.move(id, to('settled', { proof: 'assumed' }))
        await expect(store.move(id, to('settled', { proof: 'assumed' }))).rejects.toThrow(IllegalMoveError)
        await store.move(id, to('settled', { proof: 'receipt', transaction: '0x1' }))
        await expect(store.move(id, to('released'))).rejects.toThrow(IllegalMoveError)
        const charge = await store.move(id, to('settled', { proof: 'chain' }))
        expect(charge).toMatchObject({ state: 'settled', proof: 'chain', transaction: '0x1' })
        await expect(store.move(id, to('settled', { proof: 'receipt' }))).rejects.toThrow(IllegalMoveError)
        expect(await totals()).toEqual(sums({ spent: 10n }))
      })

      test('what was settled without a receipt can be released', async () => {
        await authorized(1)
        await store.move(terms(1).id, to('settled', { proof: 'assumed' }))
        await store.move(terms(1).id, to('released'))
        expect(await totals()).toEqual(NO_TOTALS)
        expect(await store.windows(0)).toHaveLength(1)
      })

      test('moves that do not exist throw and change nothing', async () => {
        const reach: Record<ChargeState, readonly Move[] | undefined> = {
          held: undefined,
          authorized: [],
          settled: [to('settled')],
          uncertain: [to('uncertain')],
          released: [to('released')],
        }
        const illegal: readonly [ChargeState, readonly ChargeState[]][] = [
          ['held', ['held', 'authorized', 'settled', 'uncertain']],
          ['authorized', ['held', 'authorized']],
          ['settled', ['held', 'authorized', 'uncertain', 'released', 'settled']],
          ['uncertain', ['held', 'authorized', 'uncertain']],
          ['released', ['held', 'authorized', 'settled', 'uncertain', 'released']],
        ]
        for (const [n, [state, targets]] of illegal.entries()) {
          const moves = reach[state]
          await (moves ? authorized(n) : held(n))
          for (const move of moves ?? []) await store.move(terms(n).id, move)
          const before = [await store.charge(terms(n).id), await totals()]
          for (const target of targets) {
            await expect(store.move(terms(n).id, to(target)), `${state} to ${target}`).rejects.toThrow(
              IllegalMoveError,
            )
          }
          expect([await store.charge(terms(n).id), await totals()]).toEqual(before)
        }
        await expect(store.move('chg_unknown', to('released'))).rejects.toThrow(/no charge chg_unknown/)
      })

      test('nothing is settled without a proof', async () => {
        await authorized(1)
        await expect(store.move(terms(1).id, to('settled', { proof: undefined }))).rejects.toThrow(/proof/)
        expect(await totals()).toEqual(sums({ authorized: 10n }))
      })

      test('of two verdicts on one charge, one is booked', async () => {
        await authorized(1)
        const results = await Promise.allSettled([
          store.move(terms(1).id, to('settled')),
          store.move(terms(1).id, to('released')),
        ])
        expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected'])
        expect(await totals()).toEqual(sums({ spent: 10n }))
      })
    })

    describe('lists', () => {
      test('charges come newest first, by state, by instance and at most as many as asked for', async () => {
        for (const n of [2, 1, 3]) await held(n)
        await store.reserve(terms(4, { instance: 'ins_two', reservedAt: terms(3).reservedAt }), [], false)
        await store.authorize(terms(1).id, signed(1), NOW)
        const ids = async (query?: Parameters<Store['charges']>[0]): Promise<number[]> =>
          (await store.charges(query)).map((charge) => Number(charge.id.slice(4)))
        expect(await ids()).toEqual([4, 3, 2, 1])
        expect(await ids({ limit: 2 })).toEqual([4, 3])
        expect(await ids({ limit: 0 })).toEqual([])
        expect(await ids({ limit: 5000 })).toEqual([4, 3, 2, 1])
        expect(await ids({ states: ['held'], instance: 'ins_one' })).toEqual([3, 2])
        expect(await ids({ states: ['held', 'authorized'] })).toEqual([4, 3, 2, 1])
        expect(await ids({ states: [] })).toEqual([])
        expect(await ids({ instance: 'ins_two' })).toEqual([4])
        for (const limit of [-1, 1.5, Number.NaN]) {
          await expect(store.charges({ limit })).rejects.toThrow(RangeError)
        }
      })

      test('lists 100 charges unless asked otherwise, and never over 1000', async () => {
        await Promise.all(Array.from({ length: 1001 }, (_, n) => store.reserve(terms(n), [], false)))
        expect(await store.charges()).toHaveLength(100)
        expect(await store.charges({ limit: 2000 })).toHaveLength(1000)
      })

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

    test('answers pings, and refuses everything once closed', async () => {
      await store.ping()
      const last = store.reserve(terms(1), [], false)
      await store.close()
      await store.close()
      expect((await last).ok).toBe(true)
      const closed = { name: 'TollwayError', code: 'store_unavailable' }
      await expect(store.ping()).rejects.toMatchObject(closed)
      await expect(store.reserve(terms(1), [], false)).rejects.toMatchObject(closed)
      await expect(store.charge('x')).rejects.toMatchObject(closed)
      await expect(store.instances()).rejects.toMatchObject(closed)
    })
  })
}
