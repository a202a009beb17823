/** Which vouchers of a pool's files pay: those of the seller that is asked, and in the end all of them. */
import { randomBytes } from 'node:crypto'
import { afterEach, expect, test } from 'vitest'
import { z } from 'zod'
import { ObolPool } from '../../providers/obol/pool.ts'
import type { ReloadReport } from '../../providers/obol/pool-options.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { VoucherLimits } from '../../src/core/vouchers/voucher.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { VoucherBook } from '../../src/io/vouchers/voucher-book.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { buyerFiles, signAuths, upstreamFile } from '../kit/obol-pool.ts'
import { payee, quoteOf } from '../kit/quotes.ts'
import { FragileAudit } from '../ledger/kit.ts'
import { instance } from '../store/samples.ts'
import { LIMITS } from '../store/voucher-samples.ts'

const payTo = z.templateLiteral(['0x', z.string()]).parse(payee)
const never = new AbortController().signal
const cleanup: (() => unknown)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

async function world(write: (files: ReturnType<typeof buyerFiles>) => Promise<void>, limits = LIMITS) {
  const files = buyerFiles()
  cleanup.push(() => files.remove())
  await write(files)
  const store = memoryStore()
  const ledger = await Ledger.open({
    store,
    audit: new FragileAudit(),
    clock: systemClock,
    random: randomBytes,
    instance: instance('ins_pool'),
    observers: [],
  })
  const reports: ReloadReport[] = []
  const timers = new ManualTimers()
  const pool = await ObolPool.open({
    payer: 'obol',
    paths: files,
    consumed: undefined,
    book: new VoucherBook({ ledger, clock: systemClock, limits }),
    store,
    assets: BUILT_IN_ASSETS,
    reloadMs: 5000,
    clock: systemClock,
    timers,
    onReload: (report) => reports.push(report),
  })
  cleanup.push(() => pool.close())

  const reserve = async (seller: string, price = 1000n, route = 'paid/m'): Promise<Charge> => {
    const { asset, payTo: to } = quoteOf()
    const { network, address, symbol, decimals } = asset
    return await ledger.reserve(
      {
        requestId: 'r',
        caller: 'c',
        model: 'm',
        route,
        payer: 'obol',
        seller,
        apiBase: `${seller}/v1`,
        network,
        asset: address,
        symbol,
        decimals,
        payTo: to,
        amount: price,
        microUsd: price,
      },
      [],
      false,
    )
  }
  /** Pays, and says from which pool. */
  const pay = async (seller: string, price = 1000n, route = 'paid/m'): Promise<string> => {
    const held = await reserve(seller, price, route)
    const { record } = await pool.authorize(quoteOf(), held.id, never)
    const charge = await ledger.settle(await ledger.authorize(held, record), 'receipt', undefined)
    await pool.closed(charge.id, { state: 'settled', transaction: undefined })
    const used = (await store.vouchers.list({ at: Date.now() })).find(({ charge: id }) => id === charge.id)
    return used?.pool ?? 'none'
  }
  return { files, store, ledger, pool, timers, reports, reserve, pay }
}

test('two upstreams with the same model each pay at their own seller, and an empty one does not block the other', async () => {
  const { pay } = await world(async (files) => {
    const sold = (url: string): object => upstreamFile({ url, payTo, model: 'm' })
    files.write('a', sold('https://a.test'), await signAuths(1, { payTo }))
    files.write('b', sold('https://b.test'), await signAuths(2, { payTo }))
  })
  expect(await pay('https://a.test')).toBe('a')
  await expect(pay('https://a.test')).rejects.toMatchObject({ code: 'pool_exhausted' })
  expect(await pay('https://b.test')).toBe('b')
  expect(await pay('https://b.test', 1000n, 'upstream/b')).toBe('b')
})

test('of two upstreams of one seller and model the one of the price that is asked pays, then the one behind it', async () => {
  const { pay } = await world(async (files) => {
    const sold = (price: bigint): object => upstreamFile({ url: 'https://s.test', payTo, model: 'm', price })
    files.write('cheap', sold(500n), await signAuths(1, { payTo, price: 500n }))
    files.write('dear', sold(1000n), await signAuths(1, { payTo }))
    files.write('spare', sold(1000n), await signAuths(1, { payTo }))
  })
  expect(await pay('https://s.test')).toBe('dear')
  expect(await pay('https://s.test')).toBe('spare')
  await expect(pay('https://s.test')).rejects.toMatchObject({ code: 'pool_exhausted' })
  expect(await pay('https://s.test', 500n)).toBe('cheap')
  await expect(pay('https://s.test', 700n)).rejects.toMatchObject({ code: 'pool_exhausted' })
})

test.each<[string, VoucherLimits]>([
  ['max_vouchers', { ...LIMITS, maxCount: 2 }],
  ['max_exposure_usd', { ...LIMITS, maxMicroUsd: 2_999n }],
])(
  'what %s kept out is loaded as soon as there is room: every voucher of the file pays',
  async (_key, limits) => {
    const { pay, pool, timers, reports } = await world(async (files) => {
      files.write(
        'a',
        upstreamFile({ url: 'https://a.test', payTo, model: 'm' }),
        await signAuths(7, { payTo }),
      )
    }, limits)
    expect(reports).toMatchObject([{ added: 2, problems: [expect.stringContaining('over the limit')] }])
    // No room, nothing new: the ticker and the admin say so.
    expect(await pool.reload('ticker').done).toMatchObject({ changed: false, problems: [] })
    expect(await pool.reload('admin').done).toMatchObject({
      changed: false,
      problems: [expect.stringContaining('over the limit')],
    })
    // On the way of the request that finds none, or before it.
    for (let count = 0; count < 3; count += 1) expect(await pay('https://a.test')).toBe('a')
    await timers.fire(5000)
    await timers.armed(5000)
    expect(await pool.status()).toMatchObject(new Map([['a', { counts: { ready: 2 } }]]))
    for (let count = 0; count < 4; count += 1) expect(await pay('https://a.test')).toBe('a')
    await expect(pay('https://a.test')).rejects.toMatchObject({ code: 'pool_exhausted' })
    expect(reports.map(({ added }) => added).reduce((sum, added) => sum + added, 0)).toBe(7)
  },
)

test('a voucher that was taken out of its file while it was held is dropped when it comes back', async () => {
  const { files, store, ledger, pool, reserve } = await world(async (own) => {
    own.write('a', upstreamFile({ url: 'https://a.test', payTo, model: 'm' }), await signAuths(1, { payTo }))
  })
  const held = await reserve('https://a.test')
  await pool.authorize(quoteOf(), held.id, never)
  files.write('a', upstreamFile({ url: 'https://a.test', payTo, model: 'm' }), [])
  await pool.reload('admin').done
  await ledger.release(held, 'client_left')
  await pool.closed(held.id, { state: 'released', transaction: undefined })
  expect(await store.vouchers.list({ at: Date.now() })).toMatchObject([{ state: 'dropped' }])
})
