import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { COMPLETION_JSON, challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { offerV2 } from '../kit/quotes.ts'

/** What an emulator of BlockRun lists; it prices a request as BlockRun does: a fee, and every token that may be answered. */
const LIST = {
  data: [
    { id: 'openai/small', pricing: { input: 1, output: 100 }, context_window: 128_000 },
    { id: 'google/big', inputPrice: 2, outputPrice: 200 },
    { id: 'old', hidden: true },
    { id: 'with-a-fee', hidden: true },
  ],
}
const FEE = 1_000
const MICRO_USD_A_TOKEN = 100

let seller: ScriptedSeller
let gateway: TestGateway
let status = 200
let bodies: Record<string, unknown>[] = []

beforeAll(async () => {
  Object.assign(process.env, { CATALOGUE_KEY: `0x${'11'.repeat(32)}`, CATALOGUE_A: 'a', CATALOGUE_B: 'b' })
  seller = await startScriptedSeller(({ headers, body, url }, response) => {
    if (url.endsWith('/models')) {
      return send(response, {
        status,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(LIST),
      })
    }
    const asked = JSON.parse(body.toString()) as Record<string, unknown>
    bodies.push(asked)
    if (headers['payment-signature'] === undefined) {
      const fee = asked['model'] === 'with-a-fee' ? 45_000 : FEE
      const amount = fee + MICRO_USD_A_TOKEN * Number(asked['max_tokens'] ?? 1024)
      return send(response, challengeV2([{ ...offerV2, amount: String(amount) }]))
    }
    const transaction = `0x${'1'.repeat(64)}`
    const receipt = receiptV2({ success: true, transaction, network: offerV2.network, payer: '' })
    send(response, {
      status: 200,
      headers: { 'content-type': 'application/json', ...receipt },
      body: COMPLETION_JSON,
    })
  })
  const base = { api_base: seller.apiBase, payer: 'base' }
  gateway = await startGateway({
    callers: [
      { id: 'a', key: '${env:CATALOGUE_A}', models: ['*'] },
      { id: 'b', key: '${env:CATALOGUE_B}', models: ['paid/google/*'] },
    ],
    payers: { base: { kind: 'direct', key: '${env:CATALOGUE_KEY}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', ...base, catalogue: true, reduce_max_tokens: 64 },
      { model_name: 'plain', ...base },
    ],
    policy: { max_usd_per_request: '0.05' },
  })
})

afterAll(async () => {
  await gateway.close()
  await seller.close()
})

beforeEach(() => {
  bodies = []
})

async function read<T>(path: string, key = 'a'): Promise<T> {
  const answer = await fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${key}` } })
  return (await answer.json()) as T
}

const asA = { authorization: 'Bearer a' }

describe("a seller's catalogue", () => {
  test('gives a pattern its real names, with sizes and prices, and each caller its own', async () => {
    const { data } = await read<{ data: { id: string }[] }>('/v1/models')
    expect(data).toMatchObject([
      {
        id: 'paid/openai/small',
        context_length: 128_000,
        pricing: { prompt: '0.000001', completion: '0.0001' },
      },
      { id: 'paid/google/big', pricing: { prompt: '0.000002', completion: '0.0002' } },
      { id: 'plain' },
    ])
    const own = await read<{ data: { id: string }[] }>('/v1/models', 'b')
    expect(own.data.map(({ id }) => id)).toEqual(['paid/google/big'])
    expect(await read('/v1/models/paid/openai/small')).toMatchObject({ context_length: 128_000 })
  })

  test('is in the catalogue for OpenClaw, where patterns alone cannot be', async () => {
    const { providers } = await read<{ providers: { models: object[] }[] }>('/v1/catalog')
    expect(providers[0]?.models).toMatchObject([
      { id: 'paid/openai/small', pricing: { inputMicrosPerMillion: 1e6, outputMicrosPerMillion: 1e8 } },
      { id: 'paid/google/big' },
      { id: 'plain' },
    ])
  })

  test('is counted, and does without the seller when it cannot be read', async () => {
    expect(await gateway.metric('tollway_catalogue_reads_total', { result: 'ok' })).toBe(1)
    expect(await gateway.metric('tollway_catalogue_models')).toBe(2)
    status = 500
    process.env['CATALOGUE_KEY'] = `0x${'11'.repeat(32)}`
    const other = await startGateway({
      payers: { base: { kind: 'direct', key: '${env:CATALOGUE_KEY}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base', catalogue: true },
      ],
    })
    try {
      const answer = await fetch(`${other.url}/v1/models`)
      expect(answer.status).toBe(200)
      expect(await answer.json()).toMatchObject({ data: [{ id: 'paid/*' }] })
      expect(await other.metric('tollway_catalogue_reads_total', { result: 'failed' })).toBe(1)
    } finally {
      status = 200
      await other.close()
    }
  })
})

describe('a quote above the ceiling', () => {
  test('is asked for once more with fewer answer tokens, and the client and the record are told', async () => {
    const answer = await ask(gateway.url, { model: 'paid/openai/small', max_tokens: 4096 }, asA)
    expect(answer.status).toBe(200)
    const told = Number(answer.headers.get('x-tollway-max-tokens'))
    expect(told).toBeGreaterThan(400)
    expect(told).toBeLessThanOrEqual(490)
    expect(answer.headers.get('x-tollway-cost-usd')).toBe(String((FEE + told * MICRO_USD_A_TOKEN) / 1e6))
    // Asked with both limits, paid with the lower one.
    expect(bodies.map((body) => body['max_tokens'])).toEqual([4096, told, told])
    await answer.text()
    const record = (await gateway.audit()).findLast(({ type }) => type === 'request')
    expect(JSON.stringify(record)).toContain(`"reduced_max_tokens":${told}`)
    expect(await gateway.metric('tollway_reduced_requests_total', { route: 'paid/*' })).toBe(1)
  })

  test.each([
    ['the client named no limit', 'paid/openai/small', {}, 1],
    ['the route does not allow it', 'plain', { max_tokens: 4096 }, 1],
    ['the limit would be lower than the route allows', 'paid/openai/small', { max_tokens: 10_000_000 }, 1],
  ])('is refused, and asked for no second time, when %s', async (_name, model, more, times) => {
    const answer = await ask(gateway.url, { model, ...more }, asA)
    expect(await errorOf(answer)).toMatchObject({ code: 'price_above_limit' })
    expect(answer.headers.get('x-tollway-max-tokens')).toBeNull()
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    expect(bodies).toHaveLength(times)
  })

  test('is refused when the second one is too high too: nobody asks a third time', async () => {
    const answer = await ask(gateway.url, { model: 'paid/with-a-fee', max_tokens: 600 }, asA)
    expect(await errorOf(answer)).toMatchObject({ code: 'price_above_limit' })
    expect(answer.headers.get('x-tollway-max-tokens')).toBeNull()
    expect(bodies.map((body) => body['max_tokens'])).toEqual([600, 257])
    const record = (await gateway.audit()).findLast(({ type }) => type === 'request')
    expect(JSON.stringify(record)).toContain('"tried_max_tokens":257')
  })
})
