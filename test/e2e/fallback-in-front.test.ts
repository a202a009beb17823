/** Proxies in front that fall back from one paid model to another, as LiteLLM and OpenClaw do: one call, one payment. */
import { spawnSync } from 'node:child_process'
import type { ServerResponse } from 'node:http'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { offerV2 } from '../kit/quotes.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, receiptV2, send } from '../kit/seller-answers.ts'

/** How an upstream's filter answers. */
const FILTERED = JSON.stringify({ error: { code: 'content_policy_violation', message: 'No.' } })

const JSON_TYPE = { 'content-type': 'application/json' }

let seller: ScriptedSeller
let tollway: TestGateway
let now: number
let paid: string[]
/** How the seller answers a payment for a model. */
let pay: (response: ServerResponse, model: string) => void | Promise<void>

beforeEach(async () => {
  now = Date.parse('2026-11-21T10:00:00Z')
  paid = []
  pay = (response, model) => (model === 'good' ? answer(response, model) : void response.destroy())
  seller = await startScriptedSeller(async (request, response) => {
    const { model } = JSON.parse(request.body.toString()) as { model: string }
    if (model === 'free') return answer(response, model)
    if (model === 'filtered') return send(response, { status: 400, headers: JSON_TYPE, body: FILTERED })
    if (request.headers['payment-signature'] === undefined) return send(response, challengeV2([offerV2]))
    paid.push(model)
    await pay(response, model)
  })
  process.env['FALLBACK_WALLET'] = `0x${'11'.repeat(32)}`
  tollway = await gateway()
})
afterEach(async () => {
  await tollway.close()
  await seller.close()
})

/** @param more such as the `store` of another gateway */
async function gateway(more: object = {}): Promise<TestGateway> {
  return await startGateway(
    {
      ...more,
      payers: { base: { kind: 'direct', key: '${env:FALLBACK_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        ...['bad', 'good', 'worse'].map((name) => ({
          model_name: name,
          api_base: seller.apiBase,
          payer: 'base',
        })),
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'free', api_base: seller.apiBase },
        { model_name: 'filtered', api_base: seller.apiBase },
      ],
      router: { content_policy_fallbacks: [{ filtered: ['good'] }] },
      timeouts: { first_byte_seconds: 60, shutdown_seconds: 1 },
    },
    { clock: { now: () => now }, payers: new Map([['base', cash()]]) },
  )
}

function answer(response: ServerResponse, text: string): void {
  const headers = { 'content-type': 'application/json', ...receiptV2({ success: true }) }
  send(response, { status: 200, headers, body: JSON.stringify({ text }) })
}

async function asked(
  model: string,
  headers: Record<string, string> = {},
  more: object = {},
  url = tollway.url,
) {
  const response = await ask(url, { model, ...more }, headers)
  const body = (await response.json()) as { text?: string; error?: { code: string; message: string } }
  const charge = response.headers.get('x-tollway-charge')
  return { status: response.status, got: body.text ?? body.error?.code, charge, message: body.error?.message }
}

test.each(['good', 'paid/good', 'worse'])(
  'rule 5: a fallback to %s after a failed payment gets that outcome, unpaid, and says how to pay',
  async (fallback) => {
    const first = await asked('bad')
    expect(first).toMatchObject({ status: 400, got: 'payment_uncertain' })
    const second = await asked(fallback)
    expect(second).toMatchObject({ status: 400, got: 'payment_uncertain', charge: first.charge })
    expect(second.message).toContain(
      'That was the same request to the model bad; nothing was paid for this one.',
    )
    expect(second.message).toContain('new Idempotency-Key')
    expect(paid).toEqual(['bad'])
  },
)

test('rule 5: under one wildcard two models are one call too, and so is a whole chain of fallbacks', async () => {
  const first = await asked('paid/bad')
  for (const model of ['paid/worse', 'paid/good', 'good']) {
    expect(await asked(model)).toMatchObject({ status: 400, charge: first.charge })
  }
  expect(paid).toEqual(['bad'])
})

test('rule 5: a fallback while the first payment is on its way waits for its answer', async () => {
  const release = Promise.withResolvers<void>()
  pay = async (response, model) => {
    await release.promise
    answer(response, model)
  }
  const leaving = new AbortController()
  const first = fetch(`${tollway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], model: 'bad' }),
    signal: leaving.signal,
  })
  first.catch(() => undefined)
  await expect.poll(() => paid).toEqual(['bad'])
  leaving.abort()
  await expect(first).rejects.toThrow('aborted')
  while (!(await tollway.audit()).some(({ type }) => type === 'request')) await new Promise(setImmediate)
  const second = asked('good')
  release.resolve()
  expect(await second).toMatchObject({ status: 200, got: 'bad' })
  expect(paid).toEqual(['bad'])
})

test('a fallback to a model that costs nothing is served', async () => {
  await asked('bad')
  expect(await asked('free')).toMatchObject({ status: 200, got: 'free' })
})

test('rule 5: nor does the paid stand-in of a model that costs nothing pay for it', async () => {
  await asked('bad')
  expect(await asked('filtered')).toMatchObject({ status: 400, got: 'content_policy_violation' })
  expect(paid).toEqual(['bad'])
  // A key of its own says that it is another request, and so do two minutes.
  expect(await asked('filtered', { 'idempotency-key': 'k' })).toMatchObject({ status: 200, got: 'good' })
  now += 120_001
  expect(await asked('filtered')).toMatchObject({ status: 200, got: 'good' })
  expect(paid).toEqual(['bad', 'good', 'good'])
})

test.each([
  ['with a key of its own', { 'idempotency-key': 'again' }, {}, 0],
  ['with other messages', {}, { messages: [{ role: 'user', content: 'other' }] }, 0],
  ['with another parameter', {}, { temperature: 0 }, 0],
  ['two minutes later', {}, {}, 120_001],
])('another model %s is another call', async (_what, headers, more, later) => {
  await asked('bad')
  now += later
  expect(await asked('good', headers, more)).toMatchObject({ status: 200, got: 'good' })
  expect(paid).toEqual(['bad', 'good'])
})

test('the same messages to two models, both answered, are two calls', async () => {
  pay = answer
  expect(await asked('good')).toMatchObject({ got: 'good' })
  expect(await asked('worse')).toMatchObject({ got: 'worse' })
  expect(paid).toEqual(['good', 'worse'])
})

test('after a refusal before signing, another model is paid', async () => {
  pay = answer
  const dear = await startScriptedSeller((_request, response) =>
    send(response, challengeV2([{ ...offerV2, amount: '999999999' }])),
  )
  await tollway.close()
  tollway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:FALLBACK_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'dear', api_base: dear.apiBase, payer: 'base' },
        { model_name: 'good', api_base: seller.apiBase, payer: 'base' },
      ],
    },
    { clock: { now: () => now }, payers: new Map([['base', cash()]]) },
  )
  expect(await asked('dear')).toMatchObject({ status: 400, got: 'price_above_limit' })
  expect(await asked('good')).toMatchObject({ status: 200, got: 'good' })
  await dear.close()
})

test('rule 5: a fallback that reaches another gateway on the same ledger is no second payment', async () => {
  const first = await asked('bad')
  const { store } = tollway.gateway.parts.config
  const other = await gateway({ store })
  try {
    const second = await asked('good', {}, {}, other.url)
    expect(second).toMatchObject({ status: 400, got: 'payment_uncertain', charge: first.charge })
    expect(second.message).toContain('That was the same request to the model bad')
    expect(await asked('free', {}, {}, other.url)).toMatchObject({ status: 200, got: 'free' })
    expect(paid).toEqual(['bad'])
    // Another call, and a key of its own, are requests of their own.
    expect(await asked('good', {}, { seed: 1 }, other.url)).toMatchObject({ status: 200 })
    expect(await asked('good', { 'idempotency-key': 'k' }, {}, other.url)).toMatchObject({ status: 200 })
    now += 120_001
    expect(await asked('good', {}, {}, other.url)).toMatchObject({ status: 200 })
    expect(paid).toEqual(['bad', 'good', 'good', 'good'])
  } finally {
    await other.close()
  }
})

test('rule 5: nor is one that comes after a restart', async () => {
  const first = await asked('bad')
  const { store } = tollway.gateway.parts.config
  await tollway.gateway.close()
  const again = await gateway({ store })
  try {
    for (const model of ['good', 'worse', 'paid/good']) {
      expect(await asked(model, {}, {}, again.url)).toMatchObject({ status: 400, charge: first.charge })
    }
    expect(paid).toEqual(['bad'])
  } finally {
    await again.close()
  }
})

test('rule 5: nor is one that comes while the process that paid is dead, and its payment open', async () => {
  const release = Promise.withResolvers<void>()
  pay = async () => await release.promise
  const arrived = expect.poll(() => paid, { timeout: 25_000 }).toEqual(['bad'])
  const leaving = new AbortController()
  const first = fetch(`${tollway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'hello' }], model: 'bad' }),
    signal: leaving.signal,
  }).catch(() => undefined)
  await arrived
  const { store } = tollway.gateway.parts.config
  const other = await gateway({ store })
  // As after kill -9: the ledger knows a process that is not there any more.
  const ledger = new DatabaseSync(store.slice('sqlite:'.length))
  const { pid } = spawnSync(process.execPath, ['--version'])
  ledger.prepare('UPDATE instances SET pid = ? WHERE id = ?').run(pid, tollway.gateway.parts.ledger.instance)
  ledger.close()
  try {
    expect(await asked('good', {}, {}, other.url)).toMatchObject({ status: 400, got: 'payment_uncertain' })
    expect(paid).toEqual(['bad'])
  } finally {
    release.resolve()
    leaving.abort()
    await first
    await other.close()
  }
})
