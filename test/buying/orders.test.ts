/** What was said when vouchers were ordered holds for whoever signs later: its number, its budget, its price. */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { buy, type BuyRequest } from '../../src/app/buying/buy.ts'
import { exportVouchers, type Emitted } from '../../src/app/buying/export-vouchers.ts'
import { buyingContextOf, type BuyingContext } from '../../src/app/buying/buying-context.ts'
import { processPurchases } from '../../src/app/buying/process.ts'
import { refill } from '../../src/app/buying/refill.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import type { StoredPurchase } from '../../src/core/vouchers/purchase.ts'
import { systemTimers } from '../../src/core/timers.ts'
import type { PoolStatus } from '../../src/core/vouchers/voucher.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { offerV2 } from '../kit/quotes.ts'
import { FragileAudit } from '../ledger/kit.ts'
import { instance, NOW } from '../store/samples.ts'

const WALLET = `0x${'3'.repeat(40)}`
const never = new AbortController().signal
const WISH = {
  name: 'qwen',
  endpoint: 'https://seller.example.com',
  model: 'qwen3',
  payer: 'bought',
  signedBy: 'base',
  choice: {},
  lifeSeconds: 30 * 86_400,
}

let world: Awaited<ReturnType<typeof openWorld>>
beforeEach(async () => {
  world = await openWorld()
})
afterEach(async () => {
  await world.close()
})

/**
 * The books are real. Seller and signer are mocks: the price moves, and signing ends half-way, at a word; what is signed is
 * never sent.
 */
async function openWorld(settings: object = {}) {
  const config = parseConfig(
    {
      payers: {
        base: { kind: 'direct', key: '${env:W}', networks: ['base-sepolia'] },
        bought: { kind: 'obol', mode: 'pool' },
      },
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
      ...settings,
    },
    { W: `0x${'1'.repeat(64)}` },
  )
  let now = NOW
  const clock = { now: () => (now += 1) }
  const store: Store = memoryStore()
  const ledger = await Ledger.open({
    store,
    audit: new FragileAudit(),
    clock,
    random: randomBytes,
    instance: instance('ins_1'),
    observers: [],
  })
  const state = {
    price: 1000,
    signsOnly: Number.POSITIVE_INFINITY,
    signed: 0,
    asked: 0,
    payTo: offerV2.payTo,
    knowsOwnAddress: true,
  }
  const signer: Provider = {
    name: 'direct',
    get address() {
      return state.knowsOwnAddress ? WALLET : undefined
    },
    networks: ['eip155:84532'],
    supports: () => true,
    authorize: () => Promise.reject(new Error('signs ahead only')),
    async presign(quote, count) {
      if (state.signed + count > state.signsOnly) throw new Error('cut off')
      state.signed += count
      const validBefore = Math.floor(NOW / 1000) + quote.validitySeconds
      return Array.from({ length: count }, () => {
        const nonce = `0x${randomBytes(32).toString('hex')}`
        return {
          record: { from: WALLET, nonce, validAfter: 0, validBefore },
          payload: { signature: '0x1' },
        }
      })
    },
    closed: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const upstream: BuyingContext['upstream'] = {
    async send() {
      state.asked += 1
      const message = {
        x402Version: 2,
        accepts: [{ ...offerV2, amount: String(state.price), payTo: state.payTo }],
      }
      const headers = { 'payment-required': encodeBase64Json(message) }
      return { status: 402, headers, body: Readable.from([Buffer.from('{}')]) }
    },
    close: () => Promise.resolve(),
  }
  const parts = buyingContextOf(
    { ledger, upstream, clock, timers: systemTimers, observers: [] },
    () => ({ ...config, store: 'memory:' }),
    new Map([['base', signer]]),
  )
  const directory = mkdtempSync(join(tmpdir(), 'tollway-orders-'))
  return {
    state,
    store,
    parts,
    directory,
    buy: (wish: Partial<BuyRequest>) => buy(parts, { ...WISH, ...wish }, never),
    async close() {
      await ledger.close()
      rmSync(directory, { recursive: true })
    },
  }
}

/** Begins an order that is cut off after 100. */
async function cutOff(wish: Partial<BuyRequest>): Promise<void> {
  world.state.signsOnly = 100
  await expect(world.buy(wish)).rejects.toThrow('cut off')
  world.state.signsOnly = Number.POSITIVE_INFINITY
}

async function purchase(): Promise<StoredPurchase> {
  const [found] = await world.store.purchases.list()
  if (!found) throw new Error('nothing was bought')
  return found
}

async function pool(): Promise<PoolStatus> {
  const [found] = await world.store.vouchers.pools({ at: NOW })
  if (!found) throw new Error('there is no pool')
  return found
}

test('an order that was cut off keeps its budget when the price moved', async () => {
  await cutOff({ count: 1000, budget: '1.00', costCap: '0.2' })
  world.state.price = 90_000
  const again = await world.buy({ count: 1000, budget: '1.00' })
  expect(again).toMatchObject({ resumed: true, dropped: 100, wanted: 11, added: 11, stopped: 'budget' })
  expect((await pool()).exposure).toBe(990_000n)
  // The order ends there, and a new one may follow.
  expect(await world.buy({ count: 1, budget: '0.09' })).toMatchObject({ resumed: false, added: 1 })
})

const run = async () => await processPurchases(world.parts, [await purchase()], never)

test('an unattended run keeps the budget of an order at whatever price', async () => {
  await world.buy({ count: 1000, budget: '1.00' })
  world.state.price = 90_000
  expect(await run()).toMatchObject([{ ok: true, report: { dropped: 1000, added: 11, stopped: 'budget' } }])
  expect((await pool()).exposure).toBe(990_000n)
  expect(await run()).toMatchObject([{ ok: true, report: { result: 'no_policy', added: 0 } }])
})

test.each([
  ['none', {}, 1000],
  ['policy.max_price_change', { policy: { max_price_change: '0.20' } }, 1200],
])(
  'without a budget it signs at no higher price than was ordered at; allowed change: %s',
  async (_name, settings, highest) => {
    await world.close()
    world = await openWorld(settings)
    await world.buy({ count: 10 })
    world.state.price = highest + 1
    expect(await run()).toMatchObject([
      {
        ok: false,
        error: { code: 'price_above_limit', message: expect.stringContaining('max_price_change') },
      },
    ])
    expect([(await pool()).counts.ready, (await pool()).pool.amount]).toEqual([10, 1000n])
    world.state.price = highest
    expect(await run()).toMatchObject([{ ok: true, report: { added: highest === 1000 ? 0 : 10 } }])
  },
)

test.each([
  ['another number', { count: 5 }, "--count 300 --budget '0.3 USDC'"],
  ['another budget', { budget: '0.4' }, "--count 300 --budget '0.3 USDC'"],
])('%s than that of an order that was cut off is refused in words', async (_name, wish, words) => {
  await cutOff({ count: 300, budget: '300000' })
  await expect(world.buy(wish)).rejects.toThrow(words)
  expect((await pool()).counts.ready).toBe(100)
  expect(await world.buy({})).toMatchObject({ resumed: true, added: 200 })
})

const forced = async () => await refill(world.parts, await purchase(), { force: true, signal: never })

test('a refill costs no more than the budget of the order', async () => {
  await world.buy({ budget: '0.01', refill: { count: 20 } })
  expect(await forced()).toMatchObject({ added: 10, stopped: 'budget' })
})

test('a refill at a price that nobody agreed to is refused, until somebody says what one may cost', async () => {
  await world.buy({ count: 3, refill: { count: 2 } })
  world.state.price = 1300
  await expect(forced()).rejects.toThrow(/ordered at 0\.001 USDC, it may rise by policy\.max_price_change/)
  expect(await world.buy({ count: 1, costCap: '0.0013' })).toMatchObject({ added: 1 })
  expect(await forced()).toMatchObject({ added: 2 })
})

test('vouchers of another token are not mixed into a purchase', async () => {
  await world.buy({ count: 1 })
  const standing = (await pool()).pool
  await world.store.vouchers.define({ ...standing, asset: `0x${'9'.repeat(40)}`, symbol: 'OBOL' }, NOW)
  await expect(world.buy({ count: 1 })).rejects.toThrow('qwen is bought in OBOL on eip155:84532')
})

async function handOver(bought: { purchase: StoredPurchase; status: PoolStatus }): Promise<Emitted> {
  return await exportVouchers(world.parts, bought.purchase, bought.status.pool, 'obol', world.directory)
}

function inFile(): string[] {
  const text = readFileSync(join(world.directory, 'auths/qwen.json'), 'utf8')
  const auths = JSON.parse(text) as { payment: { accepted: { amount: string } } }[]
  return auths.map(({ payment }) => payment.accepted.amount)
}

test('what was handed over at an older price is left out of the files', async () => {
  await handOver(await world.buy({ count: 2, handOver: true }))
  world.state.price = 1100
  const emitted = await handOver(await world.buy({ count: 3, handOver: true }))
  expect(emitted).toMatchObject({ count: 3, handedOver: 3, leftOut: 2 })
  expect(inFile()).toEqual(['1100', '1100', '1100'])
})

test('an order cut off before it was handed over is handed over by the same command, and nothing is signed again', async () => {
  await world.buy({ count: 5, handOver: true })
  const again = await world.buy({ count: 5, handOver: true })
  expect([again.resumed, again.wanted, world.state.signed, world.state.asked]).toEqual([true, 0, 5, 1])
  expect(await handOver(again)).toMatchObject({ count: 5, handedOver: 5 })
  // Finished: the next one is another order.
  expect(await world.buy({ count: 5, handOver: true })).toMatchObject({ resumed: false, added: 5 })
})

test.each([2, 5])('an order cut off when %i of 5 were handed over goes on behind them', async (done) => {
  // These stay here.
  await world.buy({ count: 3 })
  const { purchase: ordered, status } = await world.buy({ count: 5, handOver: true })
  const book = world.parts.book('bought')
  const id = `export_qwen_${ordered.order?.at ?? 0}`
  await book.export(status.pool, done, world.parts.config.budgets, id)
  const again = await world.buy({ count: 5, handOver: true })
  expect(await handOver(again)).toMatchObject({ count: 5, handedOver: 5 - done })
  expect([inFile().length, world.state.signed]).toEqual([5, 8])
  expect((await purchase()).order?.handOver).toBe(false)
})

const LOST: [string, string][] = [
  ['the wallet that pays', WALLET],
  ['the zero address', `0x${'0'.repeat(40)}`],
  ['a burn address', '0x000000000000000000000000000000000000dEaD'],
  ['the token', offerV2.asset],
  ['Permit2', '0x000000000022D473030F116dDEE9F6B43aC78BA3'],
]

test.each(LOST)('rule 6: buy and refill sign nothing for %s as payee', async (_what, payTo) => {
  const lost = { code: 'payee_not_allowed', message: expect.stringContaining('would not reach a seller') }
  const honest = world.state.payTo
  world.state.payTo = payTo
  await expect(world.buy({ count: 1 })).rejects.toMatchObject(lost)
  world.state.payTo = honest
  await world.buy({ count: 1 })
  const [pin] = await world.store.pins()
  await world.store.forgetSeller(pin?.apiBase ?? '')
  world.state.payTo = payTo
  const filling = refill(world.parts, await purchase(), { signal: never, force: true })
  await expect(filling).rejects.toMatchObject(lost)
  expect(world.state.signed).toBe(1)
})

test('rule 6: keeps no voucher that a payer signed for its own wallet, whose address it did not tell', async () => {
  world.state.knowsOwnAddress = false
  world.state.payTo = WALLET
  await expect(world.buy({ count: 1 })).rejects.toMatchObject({ code: 'payee_not_allowed' })
  expect(await world.store.vouchers.pools({ at: NOW })).not.toContainEqual(
    expect.objectContaining({ counts: expect.objectContaining({ ready: 1 }) }),
  )
})
