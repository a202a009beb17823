/** What every store must do with charges. */
import { beforeEach, describe, expect, test } from 'vitest'
import { NO_TOTALS } from '../../core/budget/budget.ts'
import { IllegalMoveError, type Charge, type ChargeState } from '../../core/charge/charge.ts'
import type { Move } from '../../io/store/contracts/charges.ts'
import type { Store } from '../../io/store/store.ts'
import { claim, DAY, LEASE_MS, NOW, signed, terms } from './samples.ts'
import { chargeKit, sums, to } from './kit.ts'

/** @param current the store of the running test */
export function chargesConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { authorized, held, totals } = chargeKit(current)

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
      // Whichever came first.
      expect(results.filter((result) => result === 'nonce_used')).toHaveLength(1)
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
      const charge = await store.move(terms(1).id, to('settled', { transaction: '0xabc', reason: 'receipt' }))
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
      const statuses = results.map((result) => result.status)
      // Either may be first.
      expect(statuses.toSorted()).toEqual(['fulfilled', 'rejected'])
      expect(await totals()).toEqual(sums(statuses[0] === 'fulfilled' ? { spent: 10n } : {}))
    })
  })
}
