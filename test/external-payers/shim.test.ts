import { request as httpRequest } from 'node:http'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ConfigError } from '../../src/core/errors.ts'
import { decodeReceipt } from '../../src/core/x402/receipt.ts'
import { decodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import {
  SHIM_CALL_HEADER,
  ShimFault,
  startShim,
  type Shim,
  type ShimCall,
} from '../../src/io/external-payers/shim.ts'
import { quoteOf } from '../kit/quotes.ts'
import { signVoucher, type FlatVoucher } from '../kit/x402-buyer.ts'

const account = privateKeyToAccount(localAccounts().buyer.privateKey)
const DOMAIN = { name: 'USDC', version: '2', chainId: 84_532 }

let shim: Shim

beforeEach(async () => {
  shim = await startShim()
})
afterEach(() => shim.close())

interface Accepted {
  payTo: string
  asset: string
  amount: string
}

async function askFor(call: ShimCall): Promise<Accepted> {
  const unpaid = await fetch(call.url, { method: 'POST', body: '{}' })
  expect(unpaid.status).toBe(402)
  const body = (await unpaid.json()) as { accepts: Accepted[] }
  // Clients read one or the other.
  expect(decodeBase64Json(unpaid.headers.get('payment-required') ?? '')).toEqual(body)
  expect(body.accepts).toHaveLength(1)
  const [offer] = body.accepts
  if (!offer) throw new Error('no offer')
  return offer
}

async function sign(offer: Accepted, change: Partial<Accepted> = {}, seconds = 60): Promise<FlatVoucher> {
  const { payTo, asset, amount } = { ...offer, ...change }
  return await signVoucher(account, { payTo, asset, price: amount }, DOMAIN, seconds)
}

function paymentOf({ signature, ...authorization }: FlatVoucher, accepted: object): string {
  return encodeBase64Json({ x402Version: 2, payload: { signature, authorization }, accepted })
}

const pay = (call: ShimCall, payment: string, name = 'payment-signature'): Promise<Response> =>
  fetch(call.url, { method: 'POST', headers: { [name]: payment }, body: '{}' })

describe('a call of the shim', () => {
  test('shows only the vetted terms, whatever else the seller offered', async () => {
    const quote = quoteOf(2, { extra: { name: 'Fake', version: '9' }, maxTimeoutSeconds: 86_400 })
    expect(await askFor(shim.open(quote))).toEqual({
      scheme: 'exact',
      network: 'eip155:84532',
      amount: '1000',
      asset: quote.asset.address,
      payTo: quote.payTo,
      maxTimeoutSeconds: quote.validitySeconds,
      extra: { name: 'USDC', version: '2' },
    })
  })

  test.each(['payment-signature', 'x-payment'])(
    'takes one payment from %s, and answers it only when its end is known, with our receipt',
    async (header) => {
      const call = shim.open(quoteOf())
      const offer = await askFor(call)
      const voucher = await sign(offer)
      let isAnswered = false
      const answering = pay(call, paymentOf(voucher, offer), header).finally(() => {
        isAnswered = true
      })
      const { record } = await call.payment
      expect(record).toMatchObject({ from: account.address.toLowerCase(), nonce: voucher.nonce })
      expect(isAnswered).toBe(false)
      const transaction = `0x${'ab'.repeat(32)}`
      call.end({ state: 'settled', transaction })
      const answer = await answering
      expect(answer.status).toBe(200)
      const receipt = decodeReceipt((name) => answer.headers.get(name) ?? undefined)
      expect(receipt).toMatchObject({ success: true, transaction, network: 'eip155:84532' })
      expect(answer.headers.get('x-payment-response')).toBe(answer.headers.get('payment-response'))
    },
  )

  test.each([
    ['uncertain', 200],
    ['released', 503],
  ] as const)(
    'that ended %s is answered with %i: only what was never sent may be used again',
    async (state, status) => {
      const call = shim.open(quoteOf())
      const offer = await askFor(call)
      const answering = pay(call, paymentOf(await sign(offer), offer))
      await call.payment
      call.end({ state, transaction: undefined })
      const answer = await answering
      expect(answer.status).toBe(status)
      expect(answer.headers.has('payment-response')).toBe(false)
    },
  )

  test('takes a payment that came back unsent when it is offered again, and one that was sent never', async () => {
    const quote = quoteOf()
    const first = shim.open(quote)
    const offer = await askFor(first)
    const payment = paymentOf(await sign(offer), offer)
    const unsent = pay(first, payment)
    await first.payment
    first.end({ state: 'released', transaction: undefined })
    expect((await unsent).status).toBe(503)

    const second = shim.open(quote)
    const sent = pay(second, payment)
    await second.payment
    second.end({ state: 'uncertain', transaction: undefined })
    expect((await sent).status).toBe(200)

    const third = shim.open(quote)
    const answer = await pay(third, payment)
    // A 2xx: whoever keeps it in a pool must take it for spent.
    expect(answer.status).toBe(200)
    await expect(third.payment).rejects.toMatchObject({ fault: 'nonce' })
  })

  test('is refused its second question and its second payment', async () => {
    const call = shim.open(quoteOf())
    const offer = await askFor(call)
    expect((await fetch(call.url, { method: 'POST', body: '{}' })).status).toBe(409)
    const held = pay(call, paymentOf(await sign(offer), offer))
    await call.payment
    expect((await pay(call, paymentOf(await sign(offer), offer))).status).toBe(409)
    call.end({ state: 'settled', transaction: undefined })
    expect((await held).status).toBe(200)
    expect((await pay(call, paymentOf(await sign(offer), offer))).status).toBe(404)
  })

  test('is found by its path or its header only', async () => {
    const call = shim.open(quoteOf())
    const at = `${shim.url}/v1/chat/completions`
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(at, { method: 'POST', headers })).status
    expect(await status({})).toBe(404)
    expect(await status({ [SHIM_CALL_HEADER]: 'ab'.repeat(32) })).toBe(404)
    expect(await status({ [SHIM_CALL_HEADER]: call.token })).toBe(402)
  })

  test('refuses web pages: any Origin, and foreign Host names', async () => {
    const call = shim.open(quoteOf())
    const status = (headers: Record<string, string>): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        httpRequest(call.url, { method: 'POST', headers }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
          .once('error', reject)
          .end()
      })
    expect(await status({ origin: 'https://evil.example' })).toBe(403)
    expect(await status({ host: 'evil.example' })).toBe(403)
    expect(await status({})).toBe(402)
  })

  test('reads no large body', async () => {
    const call = shim.open(quoteOf())
    const answer = await fetch(call.url, { method: 'POST', body: 'x'.repeat(70_000) })
    expect(answer.status).toBe(413)
  })

  const other = '0x1111111111111111111111111111111111111111'
  test.each<[string, string, (offer: Accepted) => Promise<string>]>([
    ['is no base64 JSON', 'unreadable', () => Promise.resolve('?')],
    ['is 40 kB long', 'unreadable', () => Promise.resolve('A'.repeat(40_000))],
    [
      'accepts another amount',
      'terms',
      async (offer) => paymentOf(await sign(offer), { ...offer, amount: '1001' }),
    ],
    [
      'accepts another network',
      'terms',
      async (offer) => paymentOf(await sign(offer), { ...offer, network: 'eip155:8453' }),
    ],
    ['pays somebody else', 'payee', async (offer) => paymentOf(await sign(offer, { payTo: other }), offer)],
    ['pays more', 'amount', async (offer) => paymentOf(await sign(offer, { amount: '1001' }), offer)],
    [
      'names its amount in hex',
      'amount',
      async (offer) => paymentOf({ ...(await sign(offer)), value: '0x3e8' }, offer),
    ],
    ['is valid for too long', 'validity', async (offer) => paymentOf(await sign(offer, {}, 3600), offer)],
    ['is valid no more', 'validity', async (offer) => paymentOf(await sign(offer, {}, 3), offer)],
    [
      'is not valid yet',
      'validity',
      async (offer) => paymentOf({ ...(await sign(offer)), validAfter: '99999999999' }, offer),
    ],
    [
      'is signed over another amount than it says',
      'signature',
      async (offer) => paymentOf({ ...(await sign(offer, { amount: '9' })), value: '1000' }, offer),
    ],
    [
      'is signed over another contract',
      'signature',
      async (offer) => paymentOf(await sign(offer, { asset: other }), offer),
    ],
    [
      'names another payer than its signer',
      'signature',
      async (offer) => paymentOf({ ...(await sign(offer)), from: other }, offer),
    ],
    [
      'ends in an impossible recovery id',
      'signature',
      async (offer) => {
        const voucher = await sign(offer)
        return paymentOf({ ...voucher, signature: `${voucher.signature.slice(0, -2)}1d` }, offer)
      },
    ],
  ])('uses no payment that %s', async (_what, fault, make) => {
    const call = shim.open(quoteOf())
    const offer = await askFor(call)
    const refusal = call.payment.catch((error: unknown) => error)
    expect((await pay(call, await make(offer))).status).toBe(400)
    const error = await refusal
    expect(error).toBeInstanceOf(ShimFault)
    expect(error).toMatchObject({ fault })
  })

  test('takes a recovery id of 0 or 1, and gives the seller 27 or 28', async () => {
    const call = shim.open(quoteOf())
    const offer = await askFor(call)
    const voucher = await sign(offer)
    const id = Number.parseInt(voucher.signature.slice(-2), 16) - 27
    const answering = pay(
      call,
      paymentOf({ ...voucher, signature: `${voucher.signature.slice(0, -2)}0${id}` }, offer),
    )
    expect((await call.payment).signature).toBe(voucher.signature)
    call.end(undefined)
    expect((await answering).status).toBe(503)
  })
})

describe('the shim', () => {
  test('answers what it holds as spent when it closes, because it may be under way', async () => {
    const call = shim.open(quoteOf())
    const offer = await askFor(call)
    const answering = pay(call, paymentOf(await sign(offer), offer))
    await call.payment
    await shim.close()
    expect((await answering).status).toBe(200)
    await expect(shim.close()).resolves.toBeUndefined()
  })

  test('reports which address is in use and what to do', async () => {
    const port = Number(new URL(shim.url).port)
    const starting = startShim({ port })
    await expect(starting).rejects.toBeInstanceOf(ConfigError)
    await expect(starting).rejects.toThrow(new RegExp(`127\\.0\\.0\\.1:${port} \\(EADDRINUSE\\)`))
  })
})
