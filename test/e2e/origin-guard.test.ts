import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'

let world: World
let open: TestGateway
let keyed: TestGateway

beforeAll(async () => {
  world = await startWorld()
  process.env['DOOR_KEY'] = 'correct-horse-battery'
  const paid = { model_name: 'paid/*', model: '*', api_base: world.seller.apiBase, payer: 'base' }
  open = await startGateway({ payers: { base: walletPayer(world.chain) }, model_list: [paid] })
  keyed = await startGateway({
    payers: { base: walletPayer(world.chain) },
    model_list: [paid, { ...paid, model_name: 'other/*' }],
    callers: [{ id: 'app', key: '${env:DOOR_KEY}', models: ['paid/*'] }],
  })
})

afterAll(async () => {
  await open?.close()
  await keyed?.close()
  await world?.close()
})

let seen = 0
beforeEach(() => {
  seen = world.seller.log.length
})

const body = JSON.stringify({ model: 'paid/sandbox-small', messages: [{ role: 'user', content: 'hi' }] })

/** A client that may set Host. */
async function call(
  url: string,
  headers: Record<string, string>,
  payload = body,
): Promise<{ status: number; code: string | null }> {
  return await new Promise((resolve, reject) => {
    const request = httpRequest(
      `${url}/v1/chat/completions`,
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.on('end', () => {
          const { error } = JSON.parse(text) as { error?: { code: string } }
          resolve({ status: response.statusCode ?? 0, code: error?.code ?? null })
        })
      },
    )
    request.on('error', reject)
    request.end(payload)
  })
}

test.each<[string, Record<string, string>, number, string]>([
  ['a page from another origin', { origin: 'https://evil.example' }, 403, 'origin_not_allowed'],
  [
    'a page from another port of this machine',
    { origin: 'http://localhost:3000' },
    403,
    'origin_not_allowed',
  ],
  ['a sandboxed frame', { origin: 'null' }, 403, 'origin_not_allowed'],
  ['a cross-site request without an origin', { 'sec-fetch-site': 'cross-site' }, 403, 'origin_not_allowed'],
  ['a rebound host name', { host: 'evil.example:8402' }, 403, 'origin_not_allowed'],
  ['a form post', { 'content-type': 'application/x-www-form-urlencoded' }, 415, 'unsupported_encoding'],
  [
    'a text/plain post, which needs no preflight',
    { 'content-type': 'text/plain' },
    415,
    'unsupported_encoding',
  ],
  ['a compressed body', { 'content-encoding': 'gzip' }, 415, 'unsupported_encoding'],
])('%s spends nothing and does not reach the seller', async (_what, headers, status, code) => {
  expect(await call(open.url, headers)).toEqual({ status, code })
  expect(world.seller.log.length).toBe(seen)
  expect((await open.audit()).at(-1)).toMatchObject({
    type: 'request',
    outcome: 'refused',
    code,
    spent: 'no',
  })
})

test.each<[string, Record<string, string>]>([
  ['no key', {}],
  ['a wrong key', { authorization: 'Bearer wrong' }],
  ['a key that only begins right', { authorization: 'Bearer correct-horse' }],
])('%s spends nothing', async (_what, headers) => {
  expect(await call(keyed.url, headers)).toEqual({ status: 401, code: 'invalid_api_key' })
  expect(world.seller.log.length).toBe(seen)
})

test('the right key pays, for the models it may use and no others', async () => {
  const headers = { authorization: 'Bearer correct-horse-battery' }
  expect(await call(keyed.url, headers)).toEqual({ status: 200, code: null })
  expect(await call(keyed.url, headers, body.replace('paid/', 'other/'))).toEqual({
    status: 404,
    code: 'model_not_found',
  })
  const [charge] = await keyed.gateway.parts.ledger.store.charges({ limit: 1 })
  expect(charge?.caller).toBe('app')
  expect(JSON.stringify(await keyed.audit())).not.toContain('correct-horse')
})

test('the spend page serves this machine, and over a proxy nobody without the admin key', async () => {
  const plain = await fetch(`${open.url}/dashboard`)
  expect(plain.status).toBe(200)
  expect(plain.headers.get('content-security-policy')).toContain("default-src 'none'")
  for (const path of ['/dashboard', '/api/budgets', '/api/charges']) {
    for (const name of [
      'x-forwarded-for',
      'forwarded',
      'x-real-ip',
      'via',
      'cf-connecting-ip',
      'true-client-ip',
    ]) {
      const proxied = await fetch(`${open.url}${path}`, { headers: { [name]: '203.0.113.9' } })
      expect(proxied.status, name).toBe(401)
    }
  }
})
