import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, describe, expect, test } from 'vitest'
import { obolSidecar } from '../../providers/obol/sidecar.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { freePort } from '../kit/free-port.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { offerV2, quoteOf } from '../kit/quotes.ts'
import { signVoucher, startBuyerEmulator, type BuyerEmulator } from '../kit/x402-buyer.ts'
import { describeProvider } from './conformance.ts'

const account = privateKeyToAccount(localAccounts().buyer.privateKey)
const never = new AbortController().signal
const cleanup: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

interface SetUp {
  concurrency?: number
  validSeconds?: number
  timers?: ManualTimers
  timeoutMs?: number
}

/** A sidecar payer and its x402-buyer, which holds `count` authorizations of 1000 units. */
async function setUp(
  count: number,
  { concurrency = 1, validSeconds = 30 * 86_400, timers, timeoutMs }: SetUp = {},
): Promise<{ payer: Provider; buyer: BuyerEmulator }> {
  const port = await freePort()
  const upstream = {
    url: `http://127.0.0.1:${port}`,
    remoteModel: 'qwen3.5:9b',
    network: 'eip155:84532',
    payTo: offerV2.payTo,
    asset: offerV2.asset,
    price: '1000',
  }
  const domain = { name: 'USDC', version: '2', chainId: 84_532 }
  const file = await Promise.all(
    Array.from({ length: count }, () => signVoucher(account, upstream, domain, validSeconds)),
  )
  const buyer = await startBuyerEmulator(upstream, file)
  cleanup.push(() => buyer.close())
  const payer = await obolSidecar({
    url: buyer.url,
    model: 'qwen3.5:9b',
    shim: { host: '127.0.0.1', port },
    networks: ['base-sepolia'],
    concurrency,
    timers,
    timeoutMs,
  })
  cleanup.push(() => payer.close())
  return { payer, buyer }
}

describeProvider(
  'obol sidecar',
  async () => (await setUp(45, { concurrency: 64, timeoutMs: 28_000 })).payer,
  {
    presigned: true,
  },
)

const settled = { state: 'settled', transaction: `0x${'cd'.repeat(32)}` } as const
const uncertain = { state: 'uncertain', transaction: undefined } as const
const released = { state: 'released', transaction: undefined } as const

describe('a running x402-buyer as the payer', () => {
  test('is asked for the model of its upstream, and receives nothing of ours but the token of the call', async () => {
    const { payer, buyer } = await setUp(1)
    await payer.authorize(quoteOf(), 'chg_1', never)
    const call = buyer.requests.find(({ path }) => path === '/v1/chat/completions')
    expect(call?.headers['authorization']).toBeUndefined()
    expect(call?.headers['x-tollway-call']).toMatch(/^[0-9a-f]{64}$/)
    await payer.closed('chg_1', settled)
  })

  test('is ready while it answers, and asked for nothing by that; not when it is gone, nor once the payer is closed', async () => {
    const { payer, buyer } = await setUp(1)
    await expect(payer.check?.()).resolves.toBeUndefined()
    expect(buyer.requests.map(({ path }) => path)).toEqual(['/status'])
    expect(buyer.pool).toHaveLength(1)
    await buyer.close()
    await expect(payer.check?.()).rejects.toMatchObject({ code: 'signer_unavailable' })
    await payer.close()
    await expect(payer.check?.()).rejects.toMatchObject({ code: 'signer_unavailable' })
  })

  test.each([
    ['settled', 'consumed', settled, [1, 0]],
    ['uncertain', 'consumed', uncertain, [1, 0]],
    ['released before it was sent', 'left to it', released, [0, 1]],
  ])('when the charge is %s the authorization is %s', async (_how, _what, outcome, counts) => {
    const { payer, buyer } = await setUp(1)
    await payer.authorize(quoteOf(), 'chg_1', never)
    await payer.closed('chg_1', outcome)
    await payer.close()
    expect([buyer.consumed.size, buyer.pool.length]).toEqual(counts)
  })

  test('that reloads and offers a held voucher again learns that it was used, and offers the next', async () => {
    const { payer, buyer } = await setUp(2, { concurrency: 2 })
    const first = await payer.authorize(quoteOf(), 'chg_1', never)
    buyer.reload()
    expect(buyer.pool).toHaveLength(2)
    const second = await payer.authorize(quoteOf(), 'chg_2', never)
    expect(second.record.nonce).not.toBe(first.record.nonce)
    expect(buyer.consumed).toContain(first.record.nonce)
  })

  test('gives one authorization at a time: the next waits until the first is booked', async () => {
    const { payer } = await setUp(2)
    await payer.authorize(quoteOf(), 'chg_1', never)
    let isGiven = false
    const second = payer.authorize(quoteOf(), 'chg_2', never).finally(() => {
      isGiven = true
    })
    const waiting = new AbortController()
    const third = payer.authorize(quoteOf(), 'chg_3', waiting.signal)
    waiting.abort(new Error('left'))
    await expect(third).rejects.toThrow('left')
    expect(isGiven).toBe(false)
    await payer.closed('chg_1', settled)
    await expect(second).resolves.toHaveProperty('kind', 'authorization')
  })

  test('is not waited for longer than a reservation lasts, in the queue before it either', async () => {
    const timers = new ManualTimers()
    const { payer } = await setUp(2, { timers })
    await payer.authorize(quoteOf(), 'chg_1', never)
    const queued = payer.authorize(quoteOf(), 'chg_2', never)
    queued.catch(() => undefined)
    await timers.fire(10_000)
    await expect(queued).rejects.toMatchObject({
      code: 'signer_unavailable',
      message: expect.stringContaining('did not pay within 10000 ms'),
    })
  })

  test('without vouchers, or with another price, gives pool_exhausted with different messages', async () => {
    const { payer, buyer } = await setUp(0)
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({
      code: 'pool_exhausted',
      message: expect.stringMatching(/no pre-signed authorization left/),
    })
    await buyer.close()
    const moved = await setUp(3)
    await expect(moved.payer.authorize(quoteOf(2, { amount: '999' }), 'chg_1', never)).rejects.toMatchObject({
      code: 'pool_exhausted',
      message: expect.stringMatching(/counts 3 authorizations .* none for the price/),
    })
  })

  test('whose authorizations have all expired is pool_exhausted', async () => {
    const { payer, buyer } = await setUp(2, { validSeconds: 5 })
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({ code: 'pool_exhausted' })
    buyer.reload()
    // They are back in its count, which is why it cannot be believed.
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({ code: 'pool_exhausted' })
  })

  test('whose upstream leads elsewhere is never called: it would pay for our empty request', async () => {
    const { payer, buyer } = await setUp(1)
    buyer.upstream = { ...buyer.upstream, url: 'https://seller.example.com' }
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
      message: expect.stringMatching(/is not http:\/\/127\.0\.0\.1:\d+; set it/),
    })
    expect(buyer.requests.map(({ path }) => path)).toEqual(['/status'])
  })

  test('that does not run, or lacks the model, is signer_unavailable with the reason', async () => {
    const { payer, buyer } = await setUp(1)
    buyer.upstream = { ...buyer.upstream, remoteModel: 'other' }
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toThrow(
      /no upstream with remoteModel qwen/,
    )
    await buyer.close()
    await expect(payer.authorize(quoteOf(), 'chg_1', never)).rejects.toThrow(
      /does not respond like an x402-buyer/,
    )
  })
})
