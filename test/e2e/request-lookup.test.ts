/** `GET /v1/tollway/requests/<id>`: what became of a request, for whoever sent it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { errorHandler } from '../../middleware/error-handler.ts'
import { AdminKey } from '../../src/app/admin/admin-key.ts'
import { requestLookup } from '../../src/app/request-lookup/request-lookup.ts'
import type { ChargeQuery } from '../../src/io/store/contracts/charges.ts'
import type { Store } from '../../src/io/store/store.ts'
import { settledCharge } from '../kit/relay-world.ts'
import { RecentRequests } from '../../src/app/request-lookup/recent-requests.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { blocksOf } from '../kit/markdown.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, completion, OFFER, receiptV2, RECEIPT } from '../kit/seller-answers.ts'

const CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"he"},"finish_reason":null}]}\n\n'

let seller: ScriptedSeller
let gateway: TestGateway
let directory: string

async function open(): Promise<TestGateway> {
  return await startGateway(
    {
      store: `sqlite:${join(directory, 'tollway.db')}`,
      audit: { path: join(directory, 'audit.jsonl') },
      admin: { key: '${env:LOOKUP_ADMIN}' },
      callers: [
        { id: 'a', key: '${env:LOOKUP_A}' },
        { id: 'b', key: '${env:LOOKUP_B}' },
      ],
      payers: { base: { kind: 'direct', key: '${env:LOOKUP_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'free', api_base: seller.apiBase, api_key: '${env:LOOKUP_A}' },
      ],
    },
    { payers: new Map([['base', cash()]]) },
  )
}

beforeAll(async () => {
  Object.assign(process.env, {
    LOOKUP_WALLET: `0x${'11'.repeat(32)}`,
    LOOKUP_A: 'key-a',
    LOOKUP_B: 'key-b',
    LOOKUP_ADMIN: 'key-admin',
  })
  directory = await mkdtemp(join(tmpdir(), 'tollway-lookup-'))
  seller = await startScriptedSeller((call, response) => {
    if (!call.payment && !call.body.includes('"free"')) {
      const challenge = challengeV2([OFFER])
      response.writeHead(402, challenge.headers)
      response.end(challenge.body)
      return
    }
    const headers = { 'content-type': 'application/json', ...receiptV2(RECEIPT) }
    if (call.body.includes('"broken"')) {
      response.writeHead(500, { 'content-type': 'application/json' })
      response.end('{"error":{"message":"the GPU is on fire"}}')
      return
    }
    if (call.body.includes('"cut"')) {
      response.writeHead(200, { ...headers, 'content-type': 'text/event-stream' })
      response.end(`${CHUNK}data: {"error":{"message":"out of memory"}}\n\n`)
      return
    }
    response.writeHead(200, headers)
    response.end(completion().body)
  })
  gateway = await open()
})
afterAll(async () => {
  await gateway?.close()
  await seller?.close()
  await rm(directory, { recursive: true, force: true })
})

const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` })

async function look(id: string, key = 'key-a'): Promise<{ status: number; json: Record<string, unknown> }> {
  const answer = await fetch(`${gateway.url}/v1/tollway/requests/${encodeURIComponent(id)}`, {
    headers: as(key),
  })
  return { status: answer.status, json: (await answer.json()) as Record<string, unknown> }
}

async function send(id: string, model: string, more: object = {}): Promise<Response> {
  const body = { model, messages: [{ role: 'user', content: id }], ...more }
  return await ask(gateway.url, body, { ...as('key-a'), 'x-request-id': id })
}

describe('the look-up of a request', () => {
  test('tells its caller and the admin of the payment, and nobody else', async () => {
    const answer = await send('paid/1', 'paid/m')
    expect(answer.status).toBe(200)
    const charge = answer.headers.get('x-tollway-charge')
    const expected = {
      object: 'tollway.request',
      id: 'paid/1',
      caller: 'a',
      in_progress: false,
      endpoint: '/chat/completions',
      model: 'paid/m',
      status: 200,
      outcome: 'paid',
      spent: 'yes',
      state: 'settled',
      cost_usd: answer.headers.get('x-tollway-cost-usd'),
      transaction: answer.headers.get('x-tollway-transaction'),
      seller: { origin: new URL(seller.apiBase).origin, message: null },
      charges: [{ charge, state: 'settled', payer: 'base' }],
    }
    await expect.poll(() => look('paid/1')).toMatchObject({ status: 200, json: expected })
    const page = await readFile(join(import.meta.dirname, '../../docs/http.md'), 'utf8')
    const documented = JSON.parse(
      blocksOf(page).find(({ marker }) => marker === 'lookup')?.text ?? '',
    ) as Record<string, unknown>
    const { json: real } = await look('paid/1')
    expect(Object.keys(real)).toEqual(Object.keys(documented))
    const [shown, told] = [documented, real].map(({ charges }) => Object.keys((charges as object[])[0] ?? {}))
    expect(told).toEqual(expect.arrayContaining(shown ?? []))
    await expect.poll(() => look('paid/1', 'key-admin')).toMatchObject({ status: 200, json: expected })
    const other = await look('paid/1', 'key-b')
    const never = await look('never', 'key-b')
    expect(other).toMatchObject({ status: 404, json: { error: { code: 'not_found' } } })
    expect(other.json).toEqual(never.json)
    await expect
      .poll(() => look('paid/1', 'wrong'))
      .toMatchObject({
        status: 401,
        json: { error: { code: 'invalid_api_key' } },
      })
  })

  test("tells the seller's words of an uncertain payment and of a stream that broke", async () => {
    expect((await send('broken', 'paid/broken')).status).toBe(400)
    await expect
      .poll(() => look('broken'))
      .toMatchObject({
        json: {
          status: 400,
          spent: 'unknown',
          state: 'uncertain',
          cost_usd: expect.stringMatching(/^0\.\d+$/),
          seller: { message: expect.stringContaining('the GPU is on fire') },
        },
      })
    await (await send('cut', 'paid/cut', { stream: true })).text()
    await expect
      .poll(() => look('cut'))
      .toMatchObject({
        json: { status: 200, state: 'settled', truncated: true, seller: { message: 'out of memory' } },
      })
  })

  test('tells that nothing was paid for a refusal, a dry run and an unpaid answer', async () => {
    const nothing = { spent: 'no', state: 'none', cost_usd: null, transaction: null, charges: [] }
    expect((await send('refused', 'nobody/has-it')).status).toBe(404)
    await expect
      .poll(() => look('refused'))
      .toMatchObject({
        json: { ...nothing, status: 404, outcome: 'refused', code: 'model_not_found' },
      })
    await send('dry', 'paid/m', { dry_run: true })
    await expect.poll(() => look('dry')).toMatchObject({ json: { ...nothing, dry_run: true } })
    expect((await send('unpaid', 'free')).status).toBe(200)
    await expect
      .poll(() => look('unpaid'))
      .toMatchObject({
        json: { ...nothing, outcome: 'free', usage: { input_tokens: 1, output_tokens: 1 } },
      })
  })

  test('is read only, and is no request to look up itself', async () => {
    const url = `${gateway.url}/v1/tollway/requests/dry`
    const post = await fetch(url, { method: 'POST', headers: as('key-a') })
    expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    const head = await fetch(url, { method: 'HEAD', headers: { ...as('key-a'), 'x-request-id': 'dry' } })
    expect([head.status, head.headers.get('cache-control')]).toEqual([200, 'no-store'])
    await expect.poll(() => look('dry')).toMatchObject({ json: { endpoint: '/chat/completions' } })
  })

  test('knows the requests of an earlier process, from its audit file and its ledger', async () => {
    await gateway.close()
    gateway = await open()
    await expect
      .poll(() => look('paid/1'))
      .toMatchObject({ json: { status: 200, state: 'settled', outcome: 'paid' } })
    await expect
      .poll(() => look('broken'))
      .toMatchObject({
        json: { state: 'uncertain', seller: { message: expect.stringContaining('the GPU is on fire') } },
      })
    await expect.poll(() => look('refused')).toMatchObject({ json: { code: 'model_not_found', charges: [] } })
    await expect.poll(() => look('dry')).toMatchObject({ json: { dry_run: true } })
    expect((await look('paid/1', 'key-b')).status).toBe(404)
  })
})

test('a request that only the ledger knows is found among the charges of a day', async () => {
  const DAY = 86_400_000
  const charges = Array.from({ length: 1500 }, (_, n) => ({
    ...settledCharge,
    id: `chg_${n}`,
    requestId: `r${n}`,
    reservedAt: DAY - n,
  }))
  const asked: ChargeQuery[] = []
  const store: Pick<Store, 'charge' | 'charges'> = {
    charge: async (id) => charges.find((charge) => charge.id === id),
    charges: async (query = {}) => {
      asked.push(query)
      return charges
        .filter(({ reservedAt }) => reservedAt < (query.before?.reservedAt ?? Infinity))
        .slice(0, 1000)
    },
  }
  const app = express()
  app.use(
    requestLookup({
      requests: new RecentRequests(() => DAY),
      ledger: { store },
      auditPath: '/nowhere/audit.jsonl',
      adminKey: new AdminKey(undefined),
      identify: (_req, _res, next) => next(),
      clock: { now: () => DAY },
    }),
  )
  app.use(errorHandler())
  const found = await request(app).get('/tollway/requests/r1400')
  expect(found.body).toMatchObject({
    id: 'r1400',
    in_progress: false,
    status: null,
    state: 'settled',
    spent: 'yes',
  })
  expect(asked).toMatchObject([
    { caller: 'anonymous', from: 0 },
    { caller: 'anonymous', before: { id: 'chg_999' } },
  ])
  expect((await request(app).get('/v1/tollway/requests/r9999')).status).toBe(404)
})

test('a bounded number of requests is remembered, the newest', () => {
  const requests = new RecentRequests(() => 0)
  for (let n = 0; n <= 10_000; n++) requests.note(`r${n}`, 'a', { charge: `c${n}` })
  for (let n = 0; n < 10; n++) requests.note('r7', 'b', { charge: `c${n}` })
  expect(requests.find('r0', 'a')).toBeUndefined()
  expect(requests.find('r1', 'a')).toBeUndefined()
  expect(requests.find('r10000', 'a')).toMatchObject({ charges: ['c10000'] })
  expect(requests.find('r7', undefined)).toMatchObject({ caller: 'b' })
  expect(requests.find('r7', 'b')?.charges).toHaveLength(8)
})
