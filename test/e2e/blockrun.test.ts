import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import {
  COMPLETION_JSON,
  asking,
  challengeV2,
  encodeHeader,
  receiptV2,
  send,
  type Answer,
} from '../kit/seller-answers.ts'
import { offerV2 } from '../kit/quotes.ts'

const cleanup: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})

async function gatewayFor(apiBase: string): Promise<TestGateway> {
  const gateway = await startGateway({
    payers: { toy: { kind: 'direct', key: '${env:BLOCKRUN_TEST_KEY}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'toy' },
      { model_name: 'free', api_base: apiBase },
      { model_name: 'keyed', api_base: apiBase, api_key: '${env:BLOCKRUN_TEST_KEY}' },
    ],
  })
  cleanup.push(() => gateway.close())
  return gateway
}

beforeEach(() => {
  process.env['BLOCKRUN_TEST_KEY'] = `0x${'11'.repeat(32)}`
})

describe('dry_run: true', () => {
  let seller: ScriptedSeller
  beforeEach(async () => {
    seller = await startScriptedSeller({ unpaid: asking(2500n) })
    cleanup.push(() => seller.close())
  })

  test('answers with the quote, spends and books nothing, and is marked in header and body', async () => {
    const gateway = await gatewayFor(seller.apiBase)
    const answer = await ask(gateway.url, { model: 'paid/x', dry_run: true })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-tollway-dry-run')).toBe('true')
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    expect(await answer.json()).toMatchObject({
      object: 'tollway.dry_run',
      dry_run: true,
      payment_required: true,
      cost_usd: '0.0025',
      quote: { amount: '2500', asset: 'USDC', network: 'eip155:84532', payer: 'toy' },
    })
    expect(seller.payments).toEqual([])
    expect(await gateway.gateway.parts.ledger.store.charges()).toEqual([])
  })

  test('asks no unpaid route, and says that there is nothing to pay', async () => {
    const gateway = await gatewayFor(seller.apiBase)
    const answer = await ask(gateway.url, { model: 'free', dry_run: true })
    expect(await answer.json()).toMatchObject({ dry_run: true, payment_required: false, cost_usd: '0' })
    expect(seller.questions.length).toBe(0)
  })

  test('does not say what a route with a key costs: that is on the bill of the key', async () => {
    const gateway = await gatewayFor(seller.apiBase)
    const answer = await ask(gateway.url, { model: 'keyed', dry_run: true })
    expect(await answer.json()).toMatchObject({ payment_required: false, cost_usd: null })
    expect(seller.questions.length).toBe(0)
  })

  test.each([[false], ['true'], [1]])('is what it says and nothing else: %j pays', async (value) => {
    const gateway = await gatewayFor(seller.apiBase)
    const answer = await ask(gateway.url, { model: 'paid/x', dry_run: value })
    await answer.text()
    expect(seller.payments).toHaveLength(1)
  })

  test('keeps the field from the seller, and refuses what policy refuses', async () => {
    const bodies: string[] = []
    const hostile = await startScriptedSeller(({ body }, response) => {
      bodies.push(body.toString())
      send(response, challengeV2([{ ...offerV2, amount: '900000' }]))
    })
    cleanup.push(() => hostile.close())
    const gateway = await gatewayFor(hostile.apiBase)
    const answer = await ask(gateway.url, { model: 'paid/x', dry_run: true })
    expect((await errorOf(answer)).code).toBe('price_above_limit')
    expect(JSON.parse(bodies[0] ?? '')).not.toHaveProperty('dry_run')
  })
})

describe('a seller that speaks as BlockRun does', () => {
  async function answering(paid: Answer): Promise<TestGateway> {
    const seller = await startScriptedSeller(({ headers }, response) => {
      const isPaid = headers['payment-signature'] !== undefined
      send(response, isPaid ? paid : challengeV2([{ ...offerV2 }]))
    })
    cleanup.push(() => seller.close())
    return await gatewayFor(seller.apiBase)
  }

  test('refuses a payment: that is no fresh challenge, whatever offer it brings, and the reason is told', async () => {
    const offer = { x402Version: 2, accepts: [{ ...offerV2, amount: '2000' }] }
    const gateway = await answering({
      status: 402,
      headers: { 'content-type': 'application/json', 'payment-required': encodeHeader(offer) },
      body: JSON.stringify({ error: 'Payment verification failed', details: 'Authorization expired' }),
    })
    const answer = await ask(gateway.url, { model: 'paid/x' })
    expect(answer.status).toBe(400)
    expect((await errorOf(answer)).code).toBe('payment_rejected')
    expect(answer.headers.get('x-tollway-seller-message')).toBe(
      'Payment verification failed: Authorization expired',
    )
    expect(await gateway.gateway.parts.ledger.store.charges()).toMatchObject([{ state: 'uncertain' }])
  })

  test('says that it settled nothing: a hint for the record, and the payment stays counted', async () => {
    const gateway = await answering({
      status: 200,
      headers: {
        'content-type': 'application/json',
        'x-fallback-used': 'true',
        'x-fallback-model': 'free/model',
        'x-settlement-skipped': 'free-fallback',
      },
      body: '{"object":"chat.completion","choices":[{"message":{"content":"yes"}}]}',
    })
    await (await ask(gateway.url, { model: 'paid/x' })).text()
    const charges = await gateway.gateway.parts.ledger.store.charges()
    expect(charges).toMatchObject([{ state: 'settled', proof: 'assumed', amount: 1000n }])
    expect(JSON.stringify(await gateway.audit())).toContain(
      '"seller_fallback":"true","seller_fallback_model":"free/model","seller_settlement_skipped":"free-fallback"',
    )
  })

  test('names another price in its body than in the header: the header is what is paid', async () => {
    const seller = await startScriptedSeller(({ headers }, response) => {
      if (headers['payment-signature'] === undefined) {
        const challenge = challengeV2([{ ...offerV2, amount: '3000' }])
        return send(response, { ...challenge, body: '{"price":{"amount":"0.001","currency":"USD"}}' })
      }
      const receipt = receiptV2({
        success: true,
        transaction: `0x${'1'.repeat(64)}`,
        network: 'eip155:84532',
      })
      send(response, {
        status: 200,
        headers: { 'content-type': 'application/json', ...receipt },
        body: COMPLETION_JSON,
      })
    })
    cleanup.push(() => seller.close())
    const gateway = await gatewayFor(seller.apiBase)
    await (await ask(gateway.url, { model: 'paid/x' })).text()
    expect(await gateway.gateway.parts.ledger.store.charges()).toMatchObject([{ amount: 3000n }])
  })
})
