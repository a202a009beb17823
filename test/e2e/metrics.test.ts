import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parseConfig } from '../../src/app/config/load.ts'
import { startBareSeller, type BareSeller } from '../kit/bare-seller.ts'
import { localAccounts } from '../../src/app/sandbox/accounts.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { startHostileSeller, type HostileSeller } from '../kit/hostile-seller.ts'

let upstream: HostileSeller
let seller: BareSeller
let tollway: TestGateway
let scrapeUrl: string

const TOKEN = 'a-token-for-scrapes'
const SLOW_MS = 150

beforeAll(async () => {
  seller = await startBareSeller()
  upstream = await startHostileSeller(async (_request, response) => {
    await setTimeout(SLOW_MS)
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  process.env['METRICS_TOKEN'] = TOKEN
  process.env['METRICS_WALLET'] = localAccounts().buyer.privateKey
  tollway = await startGateway({
    payers: { base: { kind: 'direct', key: '${env:METRICS_WALLET}', networks: ['base-sepolia'] } },
    model_list: [
      { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
      { model_name: 'slow/*', model: '*', api_base: upstream.apiBase },
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

test("overhead is Tollway's own time: what a slow seller takes is not in it", async () => {
  await ask(tollway.url, { model: 'slow/x' })
  const value = async (name: string): Promise<number> => {
    const text = await (await scrape()).text()
    const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}{route="slow/*"`))
    return Number(line?.slice(line.lastIndexOf(' ') + 1))
  }
  await expect.poll(() => value('tollway_request_overhead_seconds_count')).toBe(1)
  expect(await value('tollway_request_overhead_seconds_sum')).toBeLessThan(SLOW_MS / 1000)
  expect(await value('tollway_request_time_to_first_byte_seconds_sum')).toBeGreaterThanOrEqual(SLOW_MS / 1000)
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
  const series = async (): Promise<number> => (await (await scrape()).text()).split('\n').length
  for (let n = 0; n < 3; n++) await send(n)
  const settled = async (count: number): Promise<void> => {
    const accept = { 'x-request-id': 'barrier' }
    await ask(tollway.url, { model: 'slow/x' }, accept)
    await expect
      .poll(async () => await (await scrape()).text())
      .toMatch(new RegExp(`^tollway_errors_total\\{route="none",code="model_not_found"\\} ${count}$`, 'm'))
  }
  await settled(3)
  const before = await series()
  for (let n = 3; n < 60; n++) await send(n)
  await settled(60)
  expect(await series()).toBe(before)
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
  expect(fault({ listen: '0.0.0.0:9464' })).toMatch(/metrics\.listen.*Add metrics\.token/s)
  expect(fault({ listen: '127.0.0.1:8402' })).toMatch(/gateway's own address/)
  expect(fault({ listen: '127.0.0.1:9464' })).toBe('')
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
