import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'
import { readWithUsage } from '../../src/app/report/read-charges.ts'
import { addUp } from '../../src/app/report/spending.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { COMPLETION_JSON, challengeV2, send as answerWith } from '../kit/seller-answers.ts'

let upstream: ScriptedSeller
let seller: ScriptedSeller
let slowSeller: ScriptedSeller
let tollway: TestGateway
let scrapeUrl: string

const TOKEN = 'a-token-for-scrapes'
const SLOW_MS = 150
const OFFER = {
  scheme: 'exact',
  network: 'eip155:84532',
  asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
  amount: '1000',
  payTo: localAccounts().seller.address,
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}

beforeAll(async () => {
  // As real sellers: a name that is not on their list has no answer.
  seller = await startScriptedSeller(({ body }, response) => {
    const isMadeUp = body.includes('made-up')
    response
      .writeHead(isMadeUp ? 404 : 200, { 'content-type': 'application/json' })
      .end(isMadeUp ? '{"error":{"message":"no such model"}}' : COMPLETION_JSON)
  })
  slowSeller = await startScriptedSeller(async ({ headers }, response) => {
    await setTimeout(SLOW_MS)
    if (headers['payment-signature'] === undefined) return answerWith(response, challengeV2([OFFER]))
    response.writeHead(200, { 'content-type': 'application/json' }).end(COMPLETION_JSON)
  })
  upstream = await startScriptedSeller(async (_request, response) => {
    await setTimeout(SLOW_MS)
    response.writeHead(200, { 'content-type': 'application/json' }).end(COMPLETION_JSON)
  })
  process.env['METRICS_TOKEN'] = TOKEN
  process.env['METRICS_WALLET'] = localAccounts().buyer.privateKey
  tollway = await startGateway({
    payers: { base: { kind: 'direct', key: '${env:METRICS_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'slow/*', model: '*', api_base: upstream.apiBase },
      { model_name: 'slowly-paid/*', model: '*', api_base: slowSeller.apiBase, payer: 'base' },
    ],
    tags: { declared: ['team:a'] },
    budgets: [{ name: 'tags', limit_usd: '1.00', window: 'day', per: 'tag' }],
    metrics: { token: '${env:METRICS_TOKEN}', listen: '127.0.0.1:0' },
  })
  scrapeUrl = tollway.metricsUrl
})

afterAll(async () => {
  await tollway?.close()
  await seller?.close()
  await slowSeller?.close()
  await upstream?.close()
})

const scrape = async (headers: Record<string, string> = {}): Promise<Response> =>
  await fetch(scrapeUrl, { headers: { authorization: `Bearer ${TOKEN}`, ...headers } })

test('a port of its own serves the metrics and nothing else, and only with the token', async () => {
  expect((await fetch(`${tollway.url}/metrics`)).status).toBe(404)
  const answer = await scrape()
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(await answer.text()).toContain('# TYPE tollway_requests_total counter')
  for (const authorization of ['', 'Bearer', 'Bearer wrong', `Basic ${TOKEN}`]) {
    const refused = await fetch(scrapeUrl, { headers: { authorization } })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toBe('Bearer')
    expect(await errorOf(refused)).toMatchObject({ code: 'invalid_api_key' })
  }
  const elsewhere = new URL('/dashboard', scrapeUrl)
  expect((await fetch(elsewhere, { headers: { authorization: `Bearer ${TOKEN}` } })).status).toBe(404)
})

test('a client that accepts OpenMetrics learns which request an observation was', async () => {
  await ask(tollway.url, { model: 'paid/x' }, { 'x-request-id': 'exemplary-1' })
  const accept = 'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
  await expect
    .poll(async () => await (await scrape({ accept })).text())
    .toContain('{request_id="exemplary-1"}')
  const answer = await scrape({ accept })
  expect(answer.headers.get('content-type')).toBe(
    'application/openmetrics-text; version=1.0.0; charset=utf-8',
  )
  const text = await (await scrape({ accept: 'text/plain, application/openmetrics-text;q=0' })).text()
  expect(text).not.toContain('request_id')
})

test.each([
  { route: 'slow/*', waits: 1, what: 'an upstream' },
  { route: 'slowly-paid/*', waits: 2, what: 'a seller that is asked, and paid' },
])("overhead is Tollway's own time: what $what takes is not in it", async ({ route, waits }) => {
  const answer = await ask(tollway.url, { model: route.replace('*', 'x') })
  expect(answer.status).toBe(200)
  const value = async (name: string): Promise<number> => {
    const text = await (await scrape()).text()
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}{route="${route}"`))
    return Number(line?.slice(line.lastIndexOf(' ') + 1))
  }
  await expect.poll(() => value('tollway_request_overhead_seconds_count')).toBe(1)
  const own = await value('tollway_request_overhead_seconds_sum')
  const whole = await value('tollway_request_time_to_first_byte_seconds_sum')
  expect(own).toBeGreaterThan(0)
  // The whole is measured in milliseconds, and a timer may be one early.
  expect(own).toBeLessThanOrEqual(whole - (waits * SLOW_MS) / 1000 + 0.01)
})

test('three models over one wildcard are three series and three rows of the report', async () => {
  const names = ['qwen', 'llama', 'glm']
  for (const name of names) {
    const answer = await ask(tollway.url, { model: `slowly-paid/${name}`, user: 'three-models' })
    expect(answer.status).toBe(200)
  }
  const text = await (await scrape()).text()
  const spend = [
    ...text.matchAll(/^tollway_spend_usd_total\{route="slowly-paid\/\*",model="(.*?)".* (\S+)$/gm),
  ]
  expect(spend.map(([, model, usd]) => [model, Number(usd)])).toEqual(
    expect.arrayContaining(names.map((name) => [name, 0.001])),
  )
  const now = Date.now()
  const rows = await addUp(
    readWithUsage(tollway.gateway.parts.ledger.store, { since: now - 3_600_000, until: now + 1000 }),
    ['model', 'remote_model'],
    'UTC',
  )
  const found = rows.filter(({ keys }) => names.includes(keys[1] ?? ''))
  expect(found.map(({ keys, spentMicroUsd }) => [...keys, spentMicroUsd])).toEqual([
    ['slowly-paid/glm', 'glm', 1000n],
    ['slowly-paid/llama', 'llama', 1000n],
    ['slowly-paid/qwen', 'qwen', 1000n],
  ])
})

test('names that clients make up for models, tags, paths and keys add no series', async () => {
  const send = async (n: number): Promise<void> => {
    const headers = {
      'x-tollway-tags': `tag-${n}`,
      authorization: `Bearer key-${n}`,
      'user-agent': `agent-${n}`,
    }
    await Promise.all([
      ask(tollway.url, { model: `paid/made-up-${n}`, user: `user-${n}` }, headers),
      ask(tollway.url, { model: `nobody/made-up-${n}` }, headers),
      fetch(`${tollway.url}/v1/made-up-${n}`, { method: 'POST', headers }),
    ])
  }
  // Node's own series come and go, e.g. with the kinds of garbage collection; the sums are compared on a timer.
  const series = async (): Promise<string[]> =>
    (await (await scrape()).text()).match(/^(?:tollway_(?!ledger_mismatch)|gen_ai_)\S+/gm) ?? []
  const total = async (): Promise<number> =>
    (await (await scrape()).text())
      .split('\n')
      .filter((line) => line.startsWith('tollway_requests_total{'))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  const begun = await total()
  for (let n = 0; n < 3; n++) await send(n)
  // A request is counted when its answer has ended, which may be after its client has it.
  const settled = async (count: number): Promise<void> => {
    await expect.poll(total).toBeGreaterThanOrEqual(begun + 3 * count)
    await expect
      .poll(async () => await (await scrape()).text())
      .toMatch(new RegExp(`^tollway_errors_total\\{route="none",code="model_not_found"\\} ${count}$`, 'm'))
  }
  await settled(3)
  const before = new Set(await series())
  for (let n = 3; n < 60; n++) await send(n)
  await settled(60)
  expect((await series()).filter((name) => !before.has(name))).toEqual([])
  expect(await (await scrape()).text()).not.toMatch(/made-up|tag-|key-|user-|agent-/)
})

test('an address of the metrics that others reach needs a token, and the gateway keeps its own', () => {
  const fault = (metrics: object): string => {
    try {
      parseConfig({ listen: '127.0.0.1:8402', metrics }, {})
      return ''
    } catch (error) {
      return String(error)
    }
  }
  expect(fault({ listen: '0.0.0.0:9464' })).toMatch(/metrics\.listen.*Add a token beside it/s)
  expect(fault({ listen: '127.0.0.1:8402' })).toMatch(/gateway's own address/)
  expect(fault({ listen: '127.0.0.1:9464' })).toBe('')
})

test('on an address that others reach, callers do not read what all spend: metrics need a token or an address of their own', () => {
  const fault = (config: object): string => {
    try {
      parseConfig({ callers: [{ id: 'a', key: 'a-long-enough-key' }], ...config }, {})
      return ''
    } catch (error) {
      return String(error)
    }
  }
  for (const listen of ['0.0.0.0:8402', '[::]:8402', '192.0.2.7:8402']) {
    expect(fault({ listen }), listen).toMatch(/metrics\.token: is missing.*shows who spends how much/s)
    expect(fault({ listen, metrics: {} }), listen).toMatch(/metrics\.token: is missing/)
    expect(fault({ listen, metrics: { listen: '127.0.0.1:9464' } }), listen).not.toMatch(/metrics/)
  }
  expect(fault({ listen: '127.0.0.1:8402' })).not.toMatch(/metrics/)
})

test('a port that is taken is named with its key', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address() as { port: number }
  await expect(startGateway({ metrics: { listen: `127.0.0.1:${port}` } })).rejects.toThrow(
    /is taken by another program.*metrics\.listen/,
  )
  other.close()
})
