/** What every store must do with tombstones of requests. */
import { describe, expect, test } from 'vitest'
import { property } from '../../core/property.ts'
import { TERMS_CHANGED } from '../../core/charge/judge-paid-answer.ts'
import { REMEMBERED_MS, REPEAT_MS, type Presented, type RequestMark } from '../../core/request/idempotency.ts'
import type { Store } from '../../io/store/store.ts'
import { claim, NOW, signed, terms } from './samples.ts'

const SINCE = NOW - REMEMBERED_MS

/** @param store the store of the running test */
export function idempotencyConformance(store: () => Store): void {
  const reserve = async (n: number, name: string | undefined, body: string, at = NOW + n): Promise<void> => {
    const result = await store().reserve(terms(n, { reservedAt: at }), [], false, { name, body })
    expect(result.ok).toBe(true)
  }
  const found = async (name: string | undefined, body: string, since = SINCE): Promise<unknown[]> => {
    const { named, newest } = await store().tombstones({ name, body }, since)
    return [named?.charge.id, newest?.charge.id]
  }
  const id = (n: number): string => terms(n).id

  test('finds the charge of a name, and the newest one of a body', async () => {
    await reserve(1, 'a', 'x')
    await reserve(2, undefined, 'x')
    await reserve(3, 'b', 'y')
    expect(await found('a', 'x')).toEqual([id(1), id(2)])
    expect(await found('b', 'x')).toEqual([id(3), id(2)])
    expect(await found(undefined, 'z')).toEqual([undefined, undefined])
    expect((await store().tombstones({ name: 'a', body: 'y' }, SINCE)).named?.body).toBe('x')
  })

  test('a name is held by one charge: the second reservation takes nothing', async () => {
    await reserve(1, 'a', 'x')
    await expect(
      store().reserve(terms(2), [claim(10n, 10n)], true, { name: 'a', body: 'x' }),
    ).rejects.toMatchObject({ code: 'request_in_progress', status: 503 })
    expect(await store().charge(id(2))).toBeUndefined()
    expect(await store().pins()).toEqual([])
    expect((await store().reserve(terms(3), [claim(10n, 10n)], false)).ok).toBe(true)
  })

  test('of many reservations under one name at the same time one is taken', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, (_, n) =>
        store().reserve(terms(n), [claim(1n, 100n)], false, { name: 'a', body: 'x' }),
      ),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await store().charges()).toHaveLength(1)
  })

  test('a released charge leaves none, and its name may be taken again', async () => {
    await reserve(1, 'a', 'x')
    await store().move(id(1), { to: 'released', at: NOW, reason: 'signer_unavailable' })
    expect(await found('a', 'x')).toEqual([undefined, undefined])
    await reserve(2, 'a', 'x')
    expect(await found('a', 'x')).toEqual([id(2), id(2)])
  })

  test('the second charge of a request takes its name over, and is the newest of its body', async () => {
    await reserve(1, 'a', 'x', NOW)
    const mark = { name: 'a', body: 'x', after: id(1) }
    const refused = await store().reserve(terms(2), [claim(11n, 10n)], false, mark)
    expect([refused.ok, await found('a', 'x')]).toEqual([false, [id(1), id(1)]])
    const other = { ...mark, after: id(9) }
    await expect(store().reserve(terms(2), [], false, other)).rejects.toMatchObject({
      code: 'request_in_progress',
    })
    // Ids say nothing about the order within a millisecond.
    expect((await store().reserve(terms(0, { reservedAt: NOW }), [], false, mark)).ok).toBe(true)
    expect(await found('a', 'x')).toEqual([id(0), id(0)])
    await store().move(id(0), { to: 'released', at: NOW, reason: 'client_left' })
    expect(await found('a', 'x')).toEqual([undefined, id(1)])
  })

  test('a refused reservation leaves none', async () => {
    const mark = { name: 'a', body: 'x' }
    expect((await store().reserve(terms(1), [claim(2n, 1n)], false, mark)).ok).toBe(false)
    expect(await found('a', 'x')).toEqual([undefined, undefined])
  })

  test('is forgotten after its time, not a millisecond before', async () => {
    await reserve(1, 'a', 'x', NOW)
    expect(await found('a', 'x', NOW)).toEqual([id(1), id(1)])
    expect(await found('a', 'x', NOW + 1)).toEqual([undefined, undefined])
    await expect(reserve(2, 'a', 'x', NOW + REMEMBERED_MS)).rejects.toThrow('same request')
    await reserve(3, 'a', 'x', NOW + REMEMBERED_MS + 1)
    expect(await found('a', 'x', NOW)).toEqual([id(3), id(3)])
  })

  test('forgotten ones are swept away as new ones come', async () => {
    for (let n = 0; n < 6; n++) await reserve(n, undefined, 'x', NOW + n)
    for (let n = 6; n < 9; n++) await reserve(n, undefined, 'y', NOW + REMEMBERED_MS + 100 + n)
    expect(await found(undefined, 'x', 0)).toEqual([undefined, undefined])
    expect(await found(undefined, 'y', 0)).toEqual([undefined, id(8)])
  })

  test('tells what became of the charge, and that its answer was lost', async () => {
    await reserve(1, 'a', 'x')
    await store().authorize(id(1), signed(1), NOW + 2)
    await store().move(id(1), { to: 'settled', at: NOW + 3, reason: 'receipt', proof: 'receipt' })
    const before = await store().tombstones({ name: 'a', body: 'x' }, SINCE)
    expect(before.named).toMatchObject({ charge: { state: 'settled' }, undeliveredAt: undefined })
    await store().markUndelivered(id(1), NOW + 9)
    await store().markUndelivered('chg_unknown', NOW + 9)
    const { named, newest } = await store().tombstones({ name: 'a', body: 'x' }, SINCE)
    expect(named).toEqual({ charge: await store().charge(id(1)), body: 'x', undeliveredAt: NOW + 9 })
    expect(newest).toEqual(named)
  })

  test('finds what the same call for other models left without an answer, newest first', async () => {
    const call = 'c'
    const mark = (body: string, at: string = call) => ({ name: undefined, body, call: at })
    const reserveFor = async (n: number, body: string, at?: string): Promise<void> => {
      await store().reserve(terms(n, { reservedAt: NOW + n }), [], false, mark(body, at))
      await store().authorize(id(n), signed(n), NOW + n)
    }
    const others = async (body: string): Promise<unknown[]> =>
      (await store().tombstones(mark(body), SINCE)).others.map(({ charge }) => charge.id)
    for (const [n, body] of ['a', 'b', 'c', 'd'].entries()) await reserveFor(n, body)
    await reserveFor(4, 'e', 'another call')
    expect(await others('z')).toEqual([3, 2, 1, 0].map(id))
    const settled = { to: 'settled', at: NOW + 9, reason: 'receipt', proof: 'receipt' } as const
    await store().move(id(0), settled)
    await store().move(id(1), settled)
    await store().markUndelivered(id(1), NOW + 10)
    await store().move(id(2), { to: 'uncertain', at: NOW + 9, reason: 'timeout' })
    // Answered; its answer was lost; uncertain; still open.
    expect(await others('z')).toEqual([3, 2, 1].map(id))
    expect(await others('c')).toEqual([3, 1].map(id))
    expect((await store().tombstones({ name: undefined, body: 'z' }, SINCE)).others).toEqual([])
    expect((await store().tombstones(mark('z'), NOW + 3)).others).toHaveLength(1)
    for (let n = 10; n < 40; n += 1) await reserveFor(n, `body-${n}`)
    expect(await others('z')).toHaveLength(16)
  })

  describe('rule 5: a request that another process pays for', () => {
    const PLAIN: Presented = { named: undefined, isRetry: false }
    const RETRY: Presented = { named: undefined, isRetry: true }
    const FIRST = { body: 'x', call: 'c', presented: PLAIN }

    /** Reserves in one process or the other. @returns `paid`, or the code of the refusal */
    const ask = async (
      n: number,
      process: 'here' | 'elsewhere',
      mark: Partial<RequestMark>,
      at = NOW + n,
    ): Promise<unknown> => {
      const changes = { reservedAt: at, instance: process === 'here' ? 'ins_one' : 'ins_two' }
      return await store()
        .reserve(terms(n, changes), [], false, { name: undefined, ...FIRST, ...mark })
        .then(
          ({ ok }) => ok && 'paid',
          (error: unknown) => property(error, 'code'),
        )
    }
    const settle = async (n: number, at = NOW + 20): Promise<void> => {
      await store().authorize(id(n), signed(n), NOW + n)
      await store().move(id(n), { to: 'settled', at, reason: 'receipt', proof: 'receipt' })
    }

    test.each(['held', 'authorized', 'uncertain', 'settled'] as const)(
      'a retry takes nothing while the first attempt is %s there, and until two minutes later',
      async (state) => {
        expect(await ask(1, 'elsewhere', {})).toBe('paid')
        if (state === 'settled') await settle(1)
        else if (state !== 'held') await store().authorize(id(1), signed(1), NOW + 2)
        if (state === 'uncertain') await store().move(id(1), { to: state, at: NOW + 20, reason: 'timeout' })
        expect(await ask(2, 'here', { presented: RETRY })).toBe('request_in_progress')
        expect(await store().charge(id(2))).toBeUndefined()
        const isOpen = state === 'held' || state === 'authorized'
        const later = await ask(3, 'here', { presented: RETRY, cameAt: NOW }, NOW + 21 + REPEAT_MS)
        expect(later).toBe(isOpen ? 'request_in_progress' : 'paid')
      },
    )

    test('the first attempt takes nothing once its retry has reserved there', async () => {
      expect(await ask(1, 'elsewhere', { presented: RETRY, cameAt: NOW })).toBe('paid')
      await settle(1)
      expect(await ask(2, 'here', { cameAt: NOW - 5 })).toBe('request_in_progress')
      // It came later: the retry was another request's.
      expect(await ask(3, 'here', { cameAt: NOW + 30 })).toBe('paid')
    })

    test('is a new one to a retry whose latest attempt here paid nothing', async () => {
      await ask(1, 'elsewhere', {})
      await settle(1)
      expect(await ask(2, 'here', { presented: RETRY, earlier: id(0) })).toBe('request_in_progress')
      expect(await ask(3, 'here', { presented: RETRY, earlier: id(1) })).toBe('paid')
    })

    test('after a release both may reserve', async () => {
      await ask(1, 'elsewhere', { presented: RETRY })
      await store().move(id(1), { to: 'released', at: NOW, reason: 'signer_unavailable' })
      expect(await ask(2, 'here', { cameAt: NOW - 5 })).toBe('paid')
    })

    test('a plain repeat takes nothing when nobody got the answer there', async () => {
      await ask(1, 'elsewhere', {})
      expect(await ask(2, 'here', {})).toBe('paid')
      await settle(1)
      await store().move(id(2), { to: 'released', at: NOW + 3, reason: 'client_left' })
      await store().markUndelivered(id(1), NOW + 21)
      expect(await ask(3, 'here', {})).toBe('request_in_progress')
      expect(await ask(4, 'here', {}, NOW + 22 + REPEAT_MS)).toBe('paid')
    })

    test('nor does the same call for another model', async () => {
      await ask(1, 'elsewhere', { body: 'for one model' })
      expect(await ask(2, 'here', { body: 'for another' })).toBe('paid')
      await store().markUndelivered(id(1), NOW + 3)
      expect(await ask(3, 'here', { body: 'for a third' })).toBe('request_in_progress')
    })

    test('is paid by its client, who was asked for other terms, but not by a retry', async () => {
      await ask(1, 'elsewhere', {})
      await store().authorize(id(1), signed(1), NOW + 2)
      await store().move(id(1), { to: 'uncertain', at: NOW + 3, reason: TERMS_CHANGED })
      expect(await ask(2, 'here', { presented: RETRY })).toBe('request_in_progress')
      expect(await ask(3, 'here', {})).toBe('paid')
    })

    test('is another request with a key of its own, and what this process pays it knows itself', async () => {
      await ask(1, 'elsewhere', {})
      const named = { named: 'idempotency-key', isRetry: true } as const
      expect(await ask(2, 'here', { name: 'k', presented: named })).toBe('paid')
      await store().move(id(1), { to: 'released', at: NOW, reason: 'client_left' })
      expect(await ask(3, 'here', { presented: RETRY })).toBe('paid')
    })

    test('of many retries at once in two processes one is taken', async () => {
      const all = Array.from({ length: 20 }, (_, n) =>
        ask(n, n % 2 ? 'here' : 'elsewhere', { presented: RETRY, cameAt: NOW }),
      )
      expect(new Set(await Promise.all(all))).toEqual(new Set(['paid', 'request_in_progress']))
      // Requests of one process know each other before they reserve.
      expect(new Set((await store().charges()).map(({ instance }) => instance)).size).toBe(1)
    })
  })

  test('gives the same secret each time', async () => {
    const key = await store().digestKey()
    expect(key).toHaveLength(32)
    expect(Buffer.from(await store().digestKey()).equals(key)).toBe(true)
  })
}
