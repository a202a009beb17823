/** The book of vouchers over the ledger: under any interleaving each voucher is used at most once and is counted exactly once. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BudgetRule } from '../../src/core/budget/budget.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { TollwayError } from '../../src/core/errors.ts'
import { voucherRecord, type VoucherPool } from '../../src/core/vouchers/voucher.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'
import { PoolRefiller } from '../../src/io/vouchers/voucher-refill.ts'
import { onEachStore } from '../store/each-store.ts'
import { instance, NOW, terms } from '../store/samples.ts'
import { LIMITS, pool, voucher } from '../store/voucher-samples.ts'
import { FragileAudit, noSpace } from '../ledger/kit.ts'

const { id: _id, instance: _instance, reservedAt: _at, leaseUntil: _lease, ...fixed } = terms(1)

interface Books {
  readonly ledger: Ledger
  readonly book: VoucherBook
  readonly audit: FragileAudit
}

async function openBooks(store: Store, limits = LIMITS): Promise<Books> {
  const audit = new FragileAudit()
  let count = 0
  const ledger = await Ledger.open({
    store,
    audit,
    clock: { now: () => NOW },
    random: (size) => {
      count += 1
      return Buffer.alloc(size)
        .fill(count % 256, 0, 1)
        .fill(Math.floor(count / 256), 1, 2)
    },
    instance: instance('ins_one'),
    observers: [],
  })
  return { ledger, book: new VoucherBook({ ledger, clock: { now: () => NOW }, limits }), audit }
}

async function filled(store: Store, count: number, own: VoucherPool = pool()): Promise<Books> {
  const books = await openBooks(store)
  await books.book.define(own)
  await books.book.add(
    own,
    Array.from({ length: count }, (_, n) => voucher(n + 1)),
    false,
  )
  return books
}

const day = (limit: bigint): BudgetRule => ({ name: 'all', limit, window: 'day', timezone: 'UTC' })

onEachStore('the book', (store) => {
  test('explains a refused claim: empty, expired or other terms', async () => {
    const { ledger, book } = await filled(store(), 1)
    const held = await ledger.reserve({ ...fixed, amount: 24_000n }, [], false)
    await expect(book.claim(held.id, 'eip3009')).rejects.toMatchObject({
      code: 'pool_terms_changed',
      details: { reason: 'terms_changed' },
    })
    const right = await ledger.reserve(fixed, [], false)
    expect((await book.claim(right.id, 'eip3009')).nonce).toBe(voucher(1).nonce)
    const late = await ledger.reserve(fixed, [], false)
    await expect(book.claim(late.id, 'eip3009')).rejects.toMatchObject({ code: 'pool_exhausted' })
  })

  test('rule 8: exports vouchers within the budgets, recorded as authorized, and returns the same ones for the same file', async () => {
    const { ledger, book, audit } = await filled(store(), 5)
    const { vouchers, stopped } = await book.export(pool(), 5, [day(69_000n)], 'req')
    expect([vouchers.length, stopped?.code]).toEqual([3, 'budget_exhausted'])
    expect(new Set(vouchers.map(({ nonce }) => nonce)).size).toBe(3)
    const charges = await store().charges({ states: ['authorized'] })
    expect(charges.map(({ caller, route, amount }) => [caller, route, amount])).toEqual(
      [1, 2, 3].map(() => ['cli', 'handed over', 23_000n]),
    )
    expect(audit.types()).toContain('vouchers.exported')
    const again = await book.exported(pool())
    expect(again.map(({ payment }) => payment).toSorted()).toEqual(
      vouchers.map(({ payment }) => payment).toSorted(),
    )
    expect(await book.pools()).toMatchObject([{ counts: { ready: 2, held: 3 } }])
    // Settled on the chain: it cannot be written again.
    const [first] = charges
    if (!first) throw new Error('no charge')
    await ledger.settle(first, 'assumed', undefined)
    expect(await book.exported(pool())).toHaveLength(2)
    const rest = await book.export(pool(), 5, [], 'req')
    expect([rest.vouchers.length, rest.stopped?.code]).toEqual([2, 'pool_exhausted'])
  })

  test('rule 8: does not write an export at another price into the file again, and keeps counting it', async () => {
    const { book } = await filled(store(), 2)
    await book.export(pool(), 2, [], 'req')
    const dearer = pool({ amount: 24_000n })
    await book.define(dearer)
    await book.add(dearer, [voucher(3, { amount: 24_000n })], true)
    await book.export(dearer, 1, [], 'req')
    expect((await book.exported(dearer)).map(({ amount }) => amount)).toEqual([24_000n])
    expect(await store().charges({ states: ['authorized'] })).toHaveLength(3)
  })

  test('rule 8: counts an exported voucher once when a payer of ours returns it for a request', async () => {
    const { ledger, book, audit } = await filled(store(), 1)
    const { vouchers } = await book.export(pool(), 1, [day(46_000n)], 'req')
    const [voucherOut] = vouchers
    if (!voucherOut) throw new Error('nothing was handed over')
    const held = await ledger.reserve({ ...fixed, payer: 'sidecar' }, [day(46_000n)], false)
    // What cannot be told is not done: the hand-over stands.
    audit.outage = noSpace()
    await expect(ledger.authorize(held, voucherRecord(voucherOut))).rejects.toMatchObject({
      code: 'audit_unavailable',
    })
    expect(await book.exported(pool())).toHaveLength(1)
    audit.outage = undefined
    await ledger.authorize(held, voucherRecord(voucherOut))
    expect(await ledger.budgets([day(46_000n)])).toMatchObject([
      { totals: { held: 0n, authorized: 23_000n, uncertain: 0n } },
    ])
    expect(audit.written.slice(-2)).toMatchObject([
      {
        type: 'charge.released',
        fields: { reason: 'taken_over', was: 'authorized', taken_over_by: held.id },
      },
      { type: 'charge.authorized', fields: { charge: held.id, nonce: voucherOut.nonce } },
    ])
    const again = await ledger.reserve({ ...fixed, payer: 'sidecar' }, [], false)
    await expect(ledger.authorize(again, voucherRecord(voucherOut))).rejects.toMatchObject({
      code: 'signer_unavailable',
      details: { refusal: 'nonce_used' },
    })
  })

  test('answers reservation_lost when the reservation ended during signing, without blaming the store', async () => {
    const { ledger } = await filled(store(), 1)
    const held = await ledger.reserve(fixed, [], false)
    await ledger.release(held, 'test')
    const lost = ledger.authorize(held, voucherRecord(voucher(1)))
    await expect(lost).rejects.toMatchObject({ code: 'reservation_lost', status: 503 })
    // Nothing refuses the next one early.
    await ledger.refuseWhileFailing()
    expect(await store().charge(held.id)).toMatchObject({ state: 'released' })
  })

  test('rule 8: counts exported vouchers as uncertain, never as ready, after the exporting process ended', async () => {
    const { book } = await filled(store(), 2)
    await book.export(pool(), 2, [], 'req')
    await store().retire('ins_one', NOW, 'instance_dead')
    expect(await book.pools()).toMatchObject([{ counts: { ready: 0, uncertain: 2 } }])
    expect(await book.exported(pool())).toHaveLength(2)
  })

  test('drains a pool: adds nothing, uses the rest, and only then removes it', async () => {
    const { ledger, book, audit } = await filled(store(), 1)
    await book.drain(pool())
    expect(await book.add(pool(), [voucher(9)], false)).toMatchObject({ refused: { draining: 1 } })
    expect(await book.removeDrained()).toEqual([])
    const held = await ledger.reserve(fixed, [], false)
    const authorized = await ledger.authorize(held, voucherRecord(await book.claim(held.id, 'eip3009')))
    expect(await book.removeDrained()).toEqual([])
    await ledger.settle(authorized, 'receipt', undefined)
    expect(await book.removeDrained()).toEqual(['qwen'])
    expect(await book.pool(fixed.payer, 'qwen')).toBeUndefined()
    expect(audit.types()).toEqual(expect.arrayContaining(['vouchers.draining', 'vouchers.removed']))
  })
})

describe('the refiller', () => {
  test('runs one at a time in the background, reports failures and ends when it is closed', async () => {
    const refill = { threshold: 3, count: 1, maxTotal: undefined, maxPerDay: undefined, maxPrice: undefined }
    const { book } = await filled(memoryStore(), 2, pool({ refill }))
    let running = 0
    let most = 0
    let next = 100
    const told: string[] = []
    const refiller = new PoolRefiller({
      book,
      payer: fixed.payer,
      refill: async ({ pool: own }) => {
        most = Math.max(most, (running += 1))
        await Promise.resolve()
        running -= 1
        next += 1
        if (next === 102) throw new TollwayError({ code: 'signer_unavailable', message: 'gone' })
        if (next > 103) return { result: 'enough' }
        await book.add(own, [voucher(next)], true)
        return { result: 'refilled' }
      },
      onRun: (name, outcome) =>
        told.push(`${name} ${outcome instanceof TollwayError ? outcome.code : outcome.result}`),
    })
    for (let n = 0; n < 20; n += 1) refiller.look()
    await refiller.settled()
    refiller.look()
    await refiller.settled()
    refiller.look()
    await refiller.settled()
    refiller.look()
    await refiller.settled()
    expect(most).toBe(1)
    expect(told).toEqual(['qwen refilled', 'qwen signer_unavailable', 'qwen refilled'])
    expect(await book.pools()).toMatchObject([{ counts: { ready: 4 } }])
    await refiller.close()
    refiller.look()
    await refiller.settled()
    expect(told).toHaveLength(3)
  })
})

describe('in any order of events', () => {
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('claim' as const) }) },
    ...(['record', 'release', 'settle', 'uncertain', 'unproven'] as const).map((what) => ({
      weight: 2,
      arbitrary: fc.record({ do: fc.constant(what), which: fc.nat(20) }),
    })),
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('reload' as const, 'crash' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('price' as const, 'remove' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('export' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('give back' as const), which: fc.nat(20) }) },
  )

  test('rule 5: each voucher is sent at most once, has exactly one state, and is never free again once recorded', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const store = memoryStore()
        const { ledger, book } = await filled(store, 6)
        const all = Array.from({ length: 6 }, (_, n) => voucher(n + 1))
        const open: Charge[] = []
        const sent = new Map<string, number>()
        for (const each of steps) {
          const index = 'which' in each ? each.which % Math.max(1, open.length) : 0
          const charge = open[index]
          switch (each.do) {
            case 'claim': {
              const held = await ledger.reserve(fixed, [], false)
              const claimed = await book.claim(held.id, 'eip3009').catch(() => undefined)
              if (claimed) open.push({ ...held, reason: claimed.id })
              else await ledger.release(held, 'test')
              break
            }
            case 'record': {
              if (charge?.state !== 'held') break
              const id = charge.reason ?? ''
              const own = all.find((candidate) => candidate.id === id)
              if (!own) throw new Error('claimed what was never there')
              // The moment of sending: everything hangs on this happening once for each voucher.
              open[index] = { ...(await ledger.authorize(charge, voucherRecord(own))), reason: id }
              sent.set(id, (sent.get(id) ?? 0) + 1)
              break
            }
            case 'release':
              if (charge?.state !== 'held') break
              await ledger.release(charge, 'test')
              open.splice(index, 1)
              break
            case 'settle':
            case 'uncertain':
              if (charge?.state !== 'authorized') break
              await (each.do === 'settle'
                ? ledger.settle(charge, 'receipt', undefined)
                : ledger.uncertain(charge, 'test'))
              open.splice(index, 1)
              break
            case 'unproven':
              if (charge?.state !== 'authorized') break
              await ledger.release(await ledger.uncertain(charge, 'test'), 'chain_unused')
              open.splice(index, 1)
              break
            case 'crash':
              await store.retire('ins_one', NOW, 'instance_dead')
              open.splice(0)
              break
            case 'reload':
              await book.define(pool())
              await book.add(pool(), all, false)
              break
            case 'price':
              await book.define(pool({ amount: 5n }))
              break
            case 'remove':
              await book.remove(pool())
              break
            case 'export':
              for (const { id } of (await book.export(pool(), 1, [], 'r')).vouchers)
                sent.set(id, (sent.get(id) ?? 0) + 1)
              break
            case 'give back': {
              // A payer that was handed it sends it for a request: no second time, and no more than once.
              const handed = await book.exported(pool())
              const own = handed[each.which % Math.max(1, handed.length)]
              if (!own) break
              const [held, late] = [
                await ledger.reserve({ ...fixed, payer: 'sidecar' }, [], false),
                await ledger.reserve({ ...fixed, payer: 'sidecar' }, [], false),
              ]
              open.push(await ledger.authorize(held, voucherRecord(own)))
              const again = ledger.authorize(late, voucherRecord(own))
              await expect(again).rejects.toMatchObject({ details: { refusal: 'nonce_used' } })
              await ledger.release(late, 'test')
              break
            }
            default:
              each satisfies never
          }
        }
        expect([...sent.values()].every((count) => count === 1)).toBe(true)
        const listed = await store.vouchers.list({ at: NOW, limit: 1000 })
        expect(listed).toHaveLength(6)
        for (const { id, state } of listed) {
          if (sent.has(id)) expect(['held', 'spent', 'uncertain', 'expired']).toContain(state)
          else expect(['ready', 'held', 'dropped']).toContain(state)
        }
        // Each counts once, whoever sent it.
        const counted = await store.charges({ states: ['authorized', 'settled', 'uncertain'], limit: 1000 })
        const nonces = counted.map(({ authorization }) => authorization?.nonce)
        expect(new Set(nonces).size).toBe(counted.length)
        const used = [...(await store.vouchers.usedKeys(fixed.payer)).values()].flat()
        expect(used).toHaveLength(sent.size)
      }),
      { numRuns: 150 },
    )
  })
})
