/** Signing in instead of paying again: when it is tried, what leaves, and what follows. */
import { describe, expect, it } from 'vitest'
import type { PaymentContext } from '../../src/payment/payment-context.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { decodeBase64Json, encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import type { IncomingReply } from '../../src/io/transport/upstream.ts'
import { offerV2 } from '../kit/quotes.ts'
import { NOW, receiptOf, reply, startEngine, type Engine } from '../kit/payment-engine.ts'

const ADDRESS = '0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC'
const REQUEST = {
  method: 'POST',
  url: 'https://seller.test/v1/chat/completions',
  headers: {},
  body: Buffer.from('{"model":"m"}'),
}
const KEY = {
  apiBase: 'https://seller.test/v1',
  endpoint: '/chat/completions',
  model: 'm',
  network: offerV2.network,
  asset: offerV2.asset.toLowerCase(),
}

/** A 402 that offers to sign in. */
function challenge(
  change: object = {},
  amount = '1000',
  supportedChains: object[] = [{ chainId: offerV2.network, type: 'eip191' }],
): IncomingReply {
  const info = {
    domain: 'seller.test',
    uri: REQUEST.url,
    version: '1',
    nonce: 'abcdefgh12345678',
    issuedAt: new Date(NOW).toISOString(),
    ...change,
  }
  const extensions = { 'sign-in-with-x': { info, supportedChains } }
  const required = { x402Version: 2, accepts: [{ ...offerV2, amount }], extensions }
  return reply(402, '{}', { 'payment-required': encodeBase64Json(required) })
}

interface Setup {
  readonly policy?: Partial<PaymentContext['policy']>
  readonly hasPaid?: boolean
  /** What the seller answers a sign-in. */
  readonly answer?: () => IncomingReply
}

async function start({
  policy = { signIn: true },
  hasPaid = true,
  answer = () => reply(200),
}: Setup): Promise<Engine> {
  const engine = await startEngine({
    policy,
    seller: (request, isPaid) => {
      if (isPaid) return reply(200, '{}', receiptOf(true))
      return request.headers['sign-in-with-x'] === undefined ? challenge() : answer()
    },
    payer: {
      address: ADDRESS.toLowerCase(),
      signIn: { address: ADDRESS, sign: async () => `0x${'5a'.repeat(65)}` },
    },
  })
  if (hasPaid) await engine.store.notePrice(KEY, 1000n, NOW)
  return engine
}

async function pay(engine: Engine, first = challenge()): Promise<string[]> {
  await new PaidCall(engine.call(), REQUEST).run(first, 0)
  return engine.sent.map(({ headers }) => (headers['sign-in-with-x'] === undefined ? 'payment' : 'sign-in'))
}

describe('signing in', () => {
  it('answers without a payment at a seller that was paid before, and puts it on record without the signature', async () => {
    const engine = await start({})
    const noted: unknown[] = []
    engine.ledger.note = async (type, fields) => void noted.push([type, fields])
    expect(await pay(engine)).toEqual(['sign-in'])
    expect(await engine.store.charges()).toEqual([])
    expect([engine.exchange.payment.signIn, engine.exchange.relay.reply?.status]).toEqual(['accepted', 200])
    expect(noted).toMatchObject([
      ['seller.signed_in', { seller: 'https://seller.test', address: ADDRESS, nonce: 'abcdefgh12345678' }],
    ])
    expect(JSON.stringify(noted)).not.toContain('5a5a')
    expect(decodeBase64Json(engine.sent[0]?.headers['sign-in-with-x'] as string)).toMatchObject({
      domain: 'seller.test',
      address: ADDRESS,
      chainId: offerV2.network,
      type: 'eip191',
      nonce: 'abcdefgh12345678',
      signature: `0x${'5a'.repeat(65)}`,
    })
  })

  it.each<[string, Setup, IncomingReply | undefined, string]>([
    ['is off by default, and the answer says that it was offered', { policy: {} }, undefined, 'offered'],
    ['is not tried at a seller that was never paid', { hasPaid: false }, undefined, 'offered'],
    [
      'is not tried with a challenge for another seller',
      {},
      challenge({ domain: 'other.test' }),
      'not_vetted',
    ],
    [
      'is not tried with an expired challenge',
      {},
      challenge({ expirationTime: new Date(NOW - 1).toISOString() }),
      'not_vetted',
    ],
  ])('%s', async (_what, setup, first, result) => {
    const engine = await start(setup)
    expect(await pay(engine, first)).toEqual(['payment'])
    expect(engine.exchange.payment.signIn).toBe(result)
  })

  it('rule 5: pays once, by the fresh 402, when the seller asks for a payment all the same', async () => {
    const engine = await start({ answer: () => challenge({}, '900') })
    expect(await pay(engine)).toEqual(['sign-in', 'payment'])
    expect(await engine.store.charges()).toMatchObject([{ state: 'settled', amount: 900n }])
    expect(engine.exchange.payment.signIn).toBe('refused')
  })

  it.each([
    ['an error', () => reply(500)],
    ['a redirect', () => reply(302, '', { location: 'https://elsewhere.test' })],
  ])('rule 5: pays once, by the first 402, when the seller answers with %s', async (_what, answer) => {
    const engine = await start({ answer })
    expect(await pay(engine)).toEqual(['sign-in', 'payment'])
    expect(await engine.store.charges()).toMatchObject([{ state: 'settled', amount: 1000n }])
  })

  it('pays with a payer that cannot sign in, and names that as the reason', async () => {
    const engine = await start({})
    Object.assign(engine.payer, { signIn: undefined })
    expect(await pay(engine)).toEqual(['payment'])
    expect(engine.exchange.payment.signIn).toBe('no_signer')
  })

  it('sends base58 and the scheme of Solana for a wallet there', async () => {
    const wallet = 'Fy3YmS2ZcBF2WcdPQmbnbQxYmzpfHzLZTXgLaXxmKAnd'
    const network = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
    const engine = await start({})
    Object.assign(engine.payer, {
      networks: [network, offerV2.network],
      signIn: { address: wallet, sign: async () => 'base58signature' },
    })
    const chains = [
      { chainId: offerV2.network, type: 'eip191' },
      { chainId: network, type: 'ed25519' },
    ]
    expect(await pay(engine, challenge({}, '1000', chains))).toEqual(['sign-in'])
    const { network: ours, ...sent } = decodeBase64Json(
      engine.sent[0]?.headers['sign-in-with-x'] as string,
    ) as Record<string, unknown>
    expect(ours).toBeUndefined()
    expect(sent).toMatchObject({
      address: wallet,
      chainId: network,
      type: 'ed25519',
      signatureScheme: 'siws',
      signature: 'base58signature',
    })
  })

  it('pays when the signer cannot sign in', async () => {
    const engine = await start({})
    Object.assign(engine.payer, {
      signIn: { address: ADDRESS, sign: () => Promise.reject(new Error('gone')) },
    })
    expect(await pay(engine)).toEqual(['payment'])
    expect(engine.exchange.payment.signIn).toBe('failed')
  })
})
