/** What every store must answer about budgets. */
import { beforeEach, describe, expect, test } from 'vitest'
import { NO_TOTALS, REQUESTS, TOKENS, type Claim } from '../../core/budget/budget.ts'
import { METERED_NETWORK, meteredRecord } from '../../core/charge/metered.ts'
import type { Store } from '../../io/store/store.ts'
import { claim, DAY, NOW, signed, terms } from './samples.ts'
import { chargeKit, sums, to } from './kit.ts'

/** @param current the store of the running test */
export function budgetsConformance(current: () => Store): void {
  let store: Store
  beforeEach(() => {
    store = current()
  })
  const { held } = chargeKit(current)

  describe('budget sums', () => {
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

    test('rule 2: a charge takes overlapping budgets all or none, each subject up to a limit of its own', async () => {
      const per = (subject: string, amount: bigint, limit: bigint): Claim =>
        claim(amount, limit, { budget: 'callers', per: 'caller', subject })
      const team = (amount: bigint): Claim =>
        claim(amount, 12n, { budget: 'teams', per: 'team', subject: 'search' })
      const ask = async (n: number, claims: readonly Claim[]): Promise<boolean> =>
        (await store.reserve(terms(n), claims, false)).ok
      expect(await ask(1, [per('ci', 5n, 5n), team(5n)])).toBe(true)
      expect(await ask(2, [per('ci', 1n, 5n), team(1n)])).toBe(false)
      expect(await ask(3, [per('prod-1', 8n, 20n), team(8n)])).toBe(false)
      expect(await ask(4, [per('prod-1', 7n, 20n), team(7n)])).toBe(true)
      const taken = await store.totals([per('ci', 0n, 0n), per('prod-1', 0n, 0n), team(0n)])
      expect(taken).toEqual([sums({ held: 5n }), sums({ held: 7n }), sums({ held: 12n })])
    })

    test('a level is announced once per budget, subject, window and level, beside the soft limit', async () => {
      const half = 500_000n
      const soft = claim(8n, 10n, { soft: 1n })
      expect(await store.reserve(terms(1), [soft], false)).toMatchObject({ notices: [{ kind: 'soft' }] })
      expect(await store.announce(claim(0n, 9n), half)).toBe(true)
      expect(await store.announce(claim(5n, 99n), half)).toBe(false)
      const others = [
        [claim(0n, 9n), 800_000n],
        [claim(0n, 9n, { subject: 'ci' }), half],
        [claim(0n, 9n, { budget: 'dear' }), half],
        [claim(0n, 9n, { windowStart: DAY + 86_400_000 }), half],
        [claim(0n, 9n, { window: 'week' }), half],
      ] as const
      for (const [other, level] of others) expect(await store.announce(other, level)).toBe(true)
      for (const [other, level] of others) expect(await store.announce(other, level)).toBe(false)
    })

    test('a level of a rolling window is announced again once the window has passed it', async () => {
      const hour = 3_600_000
      const at = (windowStart: number): Claim =>
        claim(0n, 9n, { window: 'rolling', lengthMs: hour, windowStart, windowEnd: undefined })
      expect(await store.announce(at(NOW), 500_000n)).toBe(true)
      expect(await store.announce(at(NOW + hour - 1), 500_000n)).toBe(false)
      expect(await store.announce(at(NOW + hour), 500_000n)).toBe(true)
    })

    test('a claim with levels tells of every sum that reaches one', async () => {
      const levels = [500_000n, 1_000_000n]
      const take = async (n: number, amount: bigint) =>
        await store.reserve(terms(n), [claim(amount, 10n, { levels })], false)
      expect(await take(1, 4n)).toEqual({ ok: true, charge: expect.anything() })
      expect(await take(2, 1n)).toMatchObject({ notices: [{ kind: 'level', totals: sums({ held: 5n }) }] })
      expect(await take(3, 5n)).toMatchObject({ notices: [{ kind: 'level', totals: sums({ held: 10n }) }] })
      expect((await take(4, 1n)).ok).toBe(false)
    })

    test('of more than a thousand subjects those with most spending are listed, all of them counted', async () => {
      const per = (subject: string, amount: bigint): Claim =>
        claim(amount, 10n, { budget: 'sessions', per: 'tag.session', subject })
      const name = (n: number): string => `s${String(n).padStart(4, '0')}`
      await Promise.all(
        Array.from({ length: 1005 }, async (_, n) => {
          await store.reserve(terms(n), [per(name(n), n % 200 === 7 ? 1n : 2n)], false)
        }),
      )
      const listed = await store.subjects(per('*', 0n))
      expect(listed).toHaveLength(1000)
      expect(listed.map(({ subject }) => subject).toSorted()).toEqual(listed.map(({ subject }) => subject))
      expect(listed.map(({ subject }) => subject)).not.toContain(name(7))
      expect(listed.map(({ subject }) => subject)).toContain(name(1004))
      expect(await store.totals([per(name(7), 0n)])).toEqual([sums({ held: 1n })])
      expect((await store.reserve(terms(2000), [per(name(7), 10n)], false)).ok).toBe(false)
    })

    test('a budget in tokens counts the most until the answer tells what it took; requests stay one each', async () => {
      const tokens = claim(900n, 1000n, { budget: 'tokens', asset: TOKENS })
      const requests = claim(1n, 2n, { budget: 'requests', asset: REQUESTS })
      const usd = claim(23_000n, 99_000n)
      const all = [tokens, requests, usd]
      const rolling = claim(900n, 1000n, {
        budget: 'rolling',
        asset: TOKENS,
        window: 'rolling',
        lengthMs: 1000,
        windowStart: NOW + 1,
      })
      await store.reserve(terms(1), [...all, rolling], false)
      await store.authorize(terms(1).id, signed(1), NOW + 1)
      expect((await store.reserve(terms(2), [{ ...tokens, amount: 101n }], false)).ok).toBe(false)
      await store.settleTokens(terms(1).id, 300)
      expect(await store.totals([...all, rolling])).toEqual([
        sums({ authorized: 300n }),
        sums({ authorized: 1n }),
        sums({ authorized: 23_000n }),
        sums({ authorized: 300n }),
      ])
      await store.move(terms(1).id, to('settled'))
      expect(await store.totals(all)).toEqual([
        sums({ spent: 300n }),
        sums({ spent: 1n }),
        sums({ spent: 23_000n }),
      ])
      expect((await store.reserve(terms(3), [{ ...tokens, amount: 700n }], false)).ok).toBe(true)
      await store.move(terms(3).id, to('released'))
      await store.settleTokens(terms(3).id, 5)
      await store.settleTokens('chg_unknown', 5)
      expect(await store.totals([tokens])).toEqual([sums({ spent: 300n })])
    })

    test('a call without a payment settles at what its usage costs, also at more, and counts in full when its process dies', async () => {
      const metered = { network: METERED_NETWORK, asset: METERED_NETWORK, payTo: '', symbol: 'USD' }
      const day = claim(23_000n, 60_000n)
      for (const n of [1, 2]) {
        await store.reserve(terms(n, metered), [day], false)
        const one = await store.charge(terms(n).id)
        if (one) await store.authorize(one.id, meteredRecord(one), NOW + n)
      }
      await store.move(terms(1).id, to('settled', { charged: 5_000n }))
      expect(await store.totals([day])).toEqual([sums({ spent: 5_000n, authorized: 23_000n })])
      const [moved] = await store.retire('ins_one', NOW + 9, 'instance_dead')
      expect(moved).toMatchObject({ state: 'settled', proof: 'assumed', reason: 'instance_dead' })
      expect(await store.totals([day])).toEqual([sums({ spent: 28_000n })])
      await store.reserve(terms(3, metered), [day], false)
      const last = await store.charge(terms(3).id)
      if (last) await store.authorize(last.id, meteredRecord(last), NOW + 3)
      await store.move(terms(3).id, to('settled', { charged: 40_000n }))
      expect(await store.totals([day])).toEqual([sums({ spent: 68_000n })])
      expect((await store.spend({}))[0]).toMatchObject({ state: 'settled', microUsd: 68_000n })
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
}
