import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ServerResponse } from 'node:http'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ask as askGateway, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { challengeV1, challengeV2, decodeHeader, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { type SellerHandler } from '../kit/scripted-seller.ts'

/** A seller that does what the current test says. No chain is needed: nothing here may ever get as far as a payment. */
let seller: ScriptedSeller
let tollway: TestGateway
let behave: SellerHandler

const USDC = '0x036CbD53842c5426634e7929541eC2318f3dCF7e'
const PAYEE = '0x90F79bf6EB2c4f870365E785982E1f101E93b906'
const good = {
  scheme: 'exact',
  network: 'eip155:84532',
  amount: '1000',
  asset: USDC,
  payTo: PAYEE,
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}
const goodV1 = {
  scheme: 'exact',
  network: 'base-sepolia',
  maxAmountRequired: '1000',
  asset: USDC,
  payTo: PAYEE,
  maxTimeoutSeconds: 60,
  resource: 'http://x',
  description: '',
  mimeType: '',
}

beforeAll(async () => {
  seller = await startScriptedSeller((request, response) => behave(request, response))
  process.env['HOSTILE_WALLET'] = localAccounts().buyer.privateKey
  tollway = await startGateway({
    payers: { base: { kind: 'direct', key: '${env:HOSTILE_WALLET}', networks: ['base-sepolia'] } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
    timeouts: { first_byte_seconds: 3 },
  })
})

afterAll(async () => {
  await tollway?.close()
  await seller?.close()
})

beforeEach(() => {
  seller.requests.length = 0
})

/** Another question each time: the same one again would be a repeat of a failed payment. */
let asked = 0
const ask: typeof askGateway = (url, body, headers) => askGateway(url, { ...body, seed: asked++ }, headers)

const paidRequests = (): unknown[] =>
  seller.requests.filter(({ headers }) => headers['payment-signature'] ?? headers['x-payment'])

describe('rule 6: an offer that must not be paid gets its own error code, nothing is signed, and the audit file says why', () => {
  const offers: [string, string, () => ReturnType<typeof challengeV2>][] = [
    ['a price above the ceiling', 'price_above_limit', () => challengeV2([{ ...good, amount: '100001' }])],
    ['another asset', 'asset_not_allowed', () => challengeV2([{ ...good, asset: PAYEE }])],
    ['another network', 'network_not_allowed', () => challengeV2([{ ...good, network: 'eip155:8453' }])],
    [
      'a validity that is negative',
      'validity_too_long',
      () => challengeV2([{ ...good, maxTimeoutSeconds: -1 }]),
    ],
    ['a hexadecimal amount', 'amount_invalid', () => challengeV2([{ ...good, amount: '0x3e8' }])],
    ['a fractional amount', 'amount_invalid', () => challengeV2([{ ...good, amount: '1000.0' }])],
    ['a number instead of a string', 'amount_invalid', () => challengeV2([{ ...good, amount: 1000 }])],
    ['a negative amount', 'amount_invalid', () => challengeV2([{ ...good, amount: '-1000' }])],
    [
      'a negative amount in v1',
      'amount_invalid',
      () => challengeV1([{ ...goodV1, maxAmountRequired: '-1' }]),
    ],
    ['a zero amount', 'amount_zero', () => challengeV2([{ ...good, amount: '0' }])],
    ['two amounts that differ', 'amount_conflict', () => challengeV2([{ ...good, maxAmountRequired: '1' }])],
    ['another scheme', 'no_supported_offer', () => challengeV2([{ ...good, scheme: 'upto' }])],
    [
      'a way of transfer nobody here knows',
      'no_supported_offer',
      () => challengeV2([{ ...good, extra: { assetTransferMethod: 'erc7710' } }]),
    ],
    [
      'malformed base64',
      'offer_undecodable',
      () => ({ ...challengeV2([]), headers: { 'payment-required': '***' } }),
    ],
    ['an HTML page', 'offer_undecodable', () => ({ status: 402, headers: {}, body: '<html>pay</html>' })],
    ['no offers', 'offer_empty', () => challengeV2([])],
    [
      '10 MB of body',
      'offer_too_large',
      () => ({ status: 402, headers: {}, body: 'x'.repeat(10 * 2 ** 20) }),
    ],
    ['a header over the cap', 'offer_too_large', () => challengeV2([good], { error: 'x'.repeat(60_000) })],
  ]

  test.each(offers)('%s: %s', async (_what, code, challenge) => {
    behave = (_request, response) => send(response, challenge())
    const answer = await ask(tollway.url, { model: 'paid/m', stream: true })
    expect(answer.status).toBe(400)
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    expect(answer.headers.get('x-tollway-charge')).toBeNull()
    expect(await errorOf(answer)).toMatchObject({ type: 'invalid_request_error', code })
    expect(paidRequests()).toEqual([])
    expect(await tollway.gateway.parts.ledger.store.charges()).toEqual([])
    expect((await tollway.audit()).at(-1)).toMatchObject({
      type: 'request',
      outcome: 'refused',
      code,
      spent: 'no',
      charge: null,
    })
  })
})

describe('rule 4: after the signature was sent, only a receipt settles the charge and nothing releases it', () => {
  const pay = (answer: (response: ServerResponse) => void): SellerHandler => {
    return (request, response) =>
      request.headers['payment-signature'] ? answer(response) : send(response, challengeV2([good]))
  }
  const receipt = (success: boolean): Record<string, string> =>
    receiptV2({ success, transaction: `0x${'ab'.repeat(32)}`, network: good.network, payer: PAYEE })

  const answers: [
    string,
    SellerHandler,
    { status: number; code: string; spent: string; state: string; reason: string },
  ][] = [
    [
      '402 with the same terms',
      pay((response) => send(response, challengeV2([good], { error: 'no' }))),
      { status: 400, code: 'payment_rejected', spent: 'unknown', state: 'uncertain', reason: 'http_402' },
    ],
    [
      '402 with other terms',
      pay((response) => send(response, challengeV2([{ ...good, amount: '2000' }]))),
      { status: 400, code: 'terms_changed', spent: 'unknown', state: 'uncertain', reason: 'terms_changed' },
    ],
    [
      '412',
      pay((response) => send(response, { status: 412, headers: {}, body: '{}' })),
      { status: 400, code: 'payment_rejected', spent: 'unknown', state: 'uncertain', reason: 'http_412' },
    ],
    [
      '404 without a receipt',
      pay((response) =>
        send(response, { status: 404, headers: {}, body: '{"error":{"message":"gone\\u0000\\n"}}' }),
      ),
      { status: 404, code: 'seller_error', spent: 'unknown', state: 'uncertain', reason: 'http_404' },
    ],
    [
      '429 with Retry-After',
      pay((response) => send(response, { status: 429, headers: { 'retry-after': '3600' }, body: '{}' })),
      { status: 400, code: 'seller_error', spent: 'unknown', state: 'uncertain', reason: 'http_429' },
    ],
    [
      '500 without a receipt',
      pay((response) => send(response, { status: 500, headers: {}, body: '{}' })),
      { status: 400, code: 'seller_error', spent: 'unknown', state: 'uncertain', reason: 'http_500' },
    ],
    [
      '500 with a receipt of success',
      pay((response) => send(response, { status: 500, headers: receipt(true), body: '{}' })),
      { status: 400, code: 'paid_not_delivered', spent: 'yes', state: 'settled', reason: 'receipt' },
    ],
    [
      'a redirect',
      pay((response) =>
        send(response, { status: 307, headers: { location: 'http://127.0.0.1:1/' }, body: '' }),
      ),
      { status: 400, code: 'seller_error', spent: 'unknown', state: 'uncertain', reason: 'http_307' },
    ],
    [
      'a reset',
      pay((response) => response.destroy()),
      { status: 400, code: 'payment_uncertain', spent: 'unknown', state: 'uncertain', reason: 'reset' },
    ],
    [
      'silence',
      pay(() => undefined),
      { status: 400, code: 'payment_uncertain', spent: 'unknown', state: 'uncertain', reason: 'timeout' },
    ],
  ]

  test.each(answers)('%s', async (_what, handler, expected) => {
    behave = handler
    const before = await tollway.gateway.parts.ledger.store.charges()
    const answer = await ask(tollway.url, { model: 'paid/m', stream: true })
    expect(answer.status).toBe(expected.status)
    expect(answer.headers.get('x-tollway-spent')).toBe(expected.spent)
    expect(answer.headers.get('x-tollway-cost-usd')).toBe('0.001')
    expect(answer.headers.get('retry-after')).toBeNull()
    const error = await errorOf(answer)
    expect(error).toMatchObject({ type: 'invalid_request_error', code: expected.code })
    const charges = await tollway.gateway.parts.ledger.store.charges()
    expect(charges.length).toBe(before.length + 1)
    expect(charges[0]).toMatchObject({
      id: answer.headers.get('x-tollway-charge'),
      state: expected.state,
      reason: expected.reason,
    })
    expect(paidRequests()).toHaveLength(1)
    expect((await tollway.audit()).at(-1)).toMatchObject({
      type: 'request',
      code: expected.code,
      spent: expected.spent,
    })
  })

  test("the seller's words go to a cleaned header, never into the message", async () => {
    behave = pay((response) =>
      send(response, {
        status: 404,
        headers: {},
        body: JSON.stringify({ error: { message: 'evil\r\nx-admin: 1 ☠' } }),
      }),
    )
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect(answer.headers.get('x-tollway-seller-message')).toBe('evil??x-admin: 1 ?')
    expect(answer.headers.get('x-admin')).toBeNull()
    expect((await errorOf(answer)).message).not.toContain('evil')
  })

  test('a seller that quotes the payment it was sent shows it to nobody', async () => {
    let sent = ''
    behave = (request, response) => {
      const header = request.headers['payment-signature']
      if (header === undefined) return send(response, challengeV2([good]))
      const { payload } = decodeHeader(String(header)) as { payload: { signature: string } }
      sent = payload.signature
      send(response, {
        status: 402,
        headers: {},
        body: JSON.stringify({ error: `bad sig ${sent} in ${String(header)}` }),
      })
    }
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect(answer.headers.get('x-tollway-seller-message')).toMatch(/^bad sig \S+ in \S+$/)
    const told = JSON.stringify([
      Object.fromEntries(answer.headers),
      await answer.json(),
      await tollway.audit(),
    ])
    expect(sent).toMatch(/^0x[0-9a-f]{130}$/)
    expect(told.toLowerCase()).not.toContain(sent.slice(2).toLowerCase())
  })

  test('a 2xx without a receipt counts as spent, on an assumed proof', async () => {
    behave = pay((response) =>
      send(response, { status: 200, headers: { 'content-type': 'application/json' }, body: '{"ok":true}' }),
    )
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-tollway-spent')).toBe('yes')
    const [charge] = await tollway.gateway.parts.ledger.store.charges({ limit: 1 })
    expect(charge).toMatchObject({ state: 'settled', proof: 'assumed', transaction: undefined })
  })

  test('another payee than the pinned one is refused', async () => {
    const [pin] = await tollway.gateway.parts.ledger.pins(seller.apiBase)
    expect(pin).toMatchObject({ payTo: PAYEE.toLowerCase() })
    behave = (_request, response) =>
      send(response, challengeV2([{ ...good, payTo: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8' }]))
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect(await errorOf(answer)).toMatchObject({ code: 'payee_not_allowed' })
    expect(paidRequests()).toEqual([])
  })
})

describe('before anything is signed', () => {
  test.each([301, 401, 403, 429, 500, 503])(
    'status %i from the unpaid request is an outage: 503, retryable, nothing paid',
    async (status) => {
      behave = (_request, response) =>
        send(response, { status, headers: { 'set-cookie': 'a=b', location: '/x' }, body: '{}' })
      const answer = await ask(tollway.url, { model: 'paid/m' })
      expect(answer.status).toBe(503)
      expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60)
      expect(answer.headers.get('set-cookie')).toBeNull()
      expect(await errorOf(answer)).toMatchObject({ type: 'server_error', code: 'seller_unavailable' })
      expect(answer.headers.get('x-tollway-spent')).toBe('no')
    },
  )

  test.each([400, 404, 422])("the seller's %i about the request is relayed as it is", async (status) => {
    behave = (_request, response) =>
      send(response, { status, headers: { 'content-type': 'application/json' }, body: '{"error":"x"}' })
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect([answer.status, await answer.text()]).toEqual([status, '{"error":"x"}'])
  })

  test('a free answer costs nothing and shows no payment headers', async () => {
    behave = (_request, response) =>
      send(response, {
        status: 200,
        headers: { 'content-type': 'application/json', ...receiptV2({ success: true }) },
        body: '{"free":1}',
      })
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect([answer.status, await answer.text()]).toEqual([200, '{"free":1}'])
    expect(answer.headers.get('payment-response')).toBeNull()
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
  })

  test.each([200, 404])('an unpaid answer %i of a paid route does not speak in our name', async (status) => {
    const lies = {
      'x-tollway-cost-usd': '99',
      'x-tollway-charge': 'chg_x',
      'x-litellm-response-cost': '99',
      'access-control-allow-origin': '*',
      'clear-site-data': '*',
      'retry-after': '3600',
      'set-cookie': 'a=b',
    }
    behave = (_request, response) => send(response, { status, headers: lies, body: '{}' })
    const answer = await ask(tollway.url, { model: 'paid/m' })
    expect(answer.status).toBe(status)
    for (const name of Object.keys(lies)) expect(answer.headers.has(name)).toBe(false)
  })

  test('no credential of the client reaches the seller', async () => {
    behave = (_request, response) => send(response, challengeV2([]))
    await ask(
      tollway.url,
      { model: 'paid/m' },
      {
        authorization: 'Bearer secret',
        'x-api-key': 'secret',
        cookie: 'secret',
        'x-forwarded-for': '1.2.3.4',
      },
    )
    expect(JSON.stringify(seller.requests.map(({ headers }) => headers))).not.toMatch(/secret|1\.2\.3\.4/)
  })
})
