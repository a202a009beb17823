/** Budgets as people see them: refusals, the JSON, the gauges and the command, on a gateway that runs. */
import { join } from 'node:path'
import { writeFile } from 'node:fs/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { pino } from 'pino'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { tollway as command } from '../cli/tollway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'

/** Asks a tenth of a cent for anything. */
let seller: ScriptedSeller
let gateway: TestGateway | undefined
const logged: string[] = []

const ENV = { SCOPES_WALLET: localAccounts().buyer.privateKey, SCOPES_KEY_A: 'key-a', SCOPES_KEY_B: 'key-b' }

beforeAll(async () => {
  seller = await startScriptedSeller()
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
  logged.length = 0
})
afterAll(async () => {
  await seller?.close()
})

const base = () => ({
  callers: [
    { id: 'a', key: '${env:SCOPES_KEY_A}' },
    { id: 'b', key: '${env:SCOPES_KEY_B}' },
  ],
  payers: { base: { kind: 'direct', key: '${env:SCOPES_WALLET}', networks: ['base-sepolia'] } },
  model_list: [
    { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
    { model_name: 'other/*', model: '*', api_base: seller.apiBase, payer: 'base' },
  ],
})

async function open(config: object): Promise<TestGateway> {
  Object.assign(process.env, ENV)
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) })
  gateway = await startGateway({ ...base(), ...config }, { log })
  return gateway
}

let asked = 0
/** Another question each time. */
async function call(
  caller: 'a' | 'b' = 'a',
  headers: Record<string, string> = {},
  model = 'paid/bare',
): Promise<Response> {
  const auth = { authorization: `Bearer key-${caller}` }
  return await ask(gateway?.url ?? '', { model, seed: asked++ }, { ...auth, ...headers })
}
const status = async (...args: Parameters<typeof call>): Promise<number> => (await call(...args)).status

async function api(): Promise<Record<string, unknown>[]> {
  const answer = await fetch(`${gateway?.url}/api/budgets`)
  const { budgets } = (await answer.json()) as { budgets: Record<string, unknown>[] }
  return budgets
}

describe('one limit for each', () => {
  test('caller: one caller stops, another goes on, and the stopped one is told whose limit it was', async () => {
    await open({ budgets: [{ name: 'each', per: 'caller', limit_usd: '0.002', window: 'day' }] })
    expect([await status('a'), await status('a'), await status('a')]).toEqual([200, 200, 402])
    expect(await status('b')).toBe(200)
    const asks = seller.questions.length
    expect((await errorOf(await call('a'))).message).toMatch(
      /^Daily spending limit reached: budget each \(caller a\): \$0\.001 wanted, \$0\.002 spent and \$0 pending of \$0\.002; resets /,
    )
    expect(seller.questions.length).toBe(asks)
  })

  test('model: the route counts, whatever the client writes behind it', async () => {
    await open({ budgets: [{ name: 'each', per: 'model', limit_usd: '0.001', window: 'day' }] })
    expect(await status('a', {}, 'paid/one')).toBe(200)
    expect(await status('a', {}, 'paid/two')).toBe(402)
    expect(await status('a', {}, 'other/one')).toBe(200)
    expect((await api()).map(({ subject }) => subject)).toEqual(['other/*', 'paid/*'])
  })

  test('payer and seller: both routes share them', async () => {
    await open({
      budgets: [
        { name: 'wallet', per: 'payer', limit_usd: '0.003', window: 'lifetime' },
        { name: 'shop', per: 'seller', limit_usd: '0.002', window: '24h' },
      ],
    })
    expect([await status(), await status('a', {}, 'other/x'), await status()]).toEqual([200, 200, 402])
    expect((await errorOf(await call())).message).toMatch(
      /^Usage limit reached: budget shop \(seller http:\/\/127\.0\.0\.1:\d+\): .* of \$0\.002 in 24h; try again \d{4}-\d\d-\d\dT/,
    )
    expect((await api()).map(({ budget, subject }) => [budget, subject])).toEqual([
      ['wallet', 'base'],
      ['shop', new URL(seller.apiBase).origin],
    ])
  })

  test('tag: each tag of a request is charged, undeclared ones as other, and OpenClaw names the agent', async () => {
    await open({
      tags: { header: 'x-team', declared: ['team:a', 'agent:main'] },
      budgets: [{ name: 'tags', per: 'tag', limit_usd: '0.002', window: '7d' }],
    })
    expect(await status('a', { 'x-team': 'team:a, team:z' })).toBe(200)
    expect(await status('a', { 'x-clawrouter-agent-id': 'main', 'x-team': 'team:a' })).toBe(200)
    expect(await status('a', { 'x-team': 'team:a' })).toBe(402)
    expect(await status()).toBe(200)
    expect(await status('a', { 'x-clawrouter-agent-id': 'unknown' })).toBe(402)
    expect(await status('a', { 'x-tollway-tags': 'agent:main' })).toBe(402)
    expect(await status('a', { 'x-clawrouter-agent-id': 'main' })).toBe(200)
    expect((await api()).map(({ subject, spent_usd: spent }) => [subject, spent])).toEqual([
      ['agent:main', '0.002'],
      ['other', '0.002'],
      ['team:a', '0.002'],
    ])
    const held = (await gateway?.audit())?.filter(({ type }) => type === 'charge.held')
    expect(held?.map(({ tags }) => tags)).toEqual([
      ['team:a', 'other'],
      ['agent:main', 'team:a'],
      ['other'],
      ['agent:main'],
    ])
  })
})

test('a soft limit refuses nothing; a log line, an audit record and a metric tell of it once', async () => {
  const opened = await open({
    budgets: [{ name: 'all', limit_usd: '1.00', soft_usd: '0.001', window: 'day' }],
  })
  expect([await status(), await status(), await status()]).toEqual([200, 200, 200])
  expect((await opened.audit()).filter(({ type }) => type === 'budget.soft_limit')).toMatchObject([
    { budget: 'all', soft_usd: '0.001', spent_usd: '0.001', pending_usd: '0.001' },
  ])
  expect(await opened.metric('tollway_budget_soft_limits_total', { budget: 'all' })).toBe(1)
  expect(logged.filter((line) => line.includes('soft limit'))).toEqual([
    expect.stringContaining('budget all passed its soft limit of $0.001: $0.002 counted'),
  ])
})

test('a budget that is not enforced only watches, and its sums go on over the limit', async () => {
  const opened = await open({
    budgets: [{ name: 'try', limit_usd: '0.001', window: 'day', enforce: false }],
  })
  expect([await status(), await status(), await status()]).toEqual([200, 200, 200])
  expect((await opened.audit()).filter(({ type }) => type === 'budget.would_refuse')).toHaveLength(2)
  expect(await opened.metric('tollway_budget_would_refuse_total', { budget: 'try' })).toBe(2)
  expect(await opened.metric('tollway_budget_spent_usd', { budget: 'try' })).toBe(0.003)
  expect(logged.filter((line) => line.includes('is not enforced'))).toHaveLength(2)
  expect(await api()).toMatchObject([
    { enforce: false, spent_usd: '0.003', limit_usd: '0.001', remaining_usd: '0' },
  ])
})

test('the JSON, the gauges and the command tell the same, subject by subject, beside a running gateway', async () => {
  const budgets = [
    { name: 'all', limit_usd: '1.00', soft_usd: '0.50', window: 'day', timezone: 'Europe/Berlin' },
    { name: 'each', per: 'caller', limit_usd: '0.01', window: '24h' },
    { name: 'usdc', limit: '5000', asset: 'USDC', window: 'month' },
    { name: 'tags', per: 'tag', limit_usd: '0.05', window: 'lifetime', enforce: false },
    { name: 'shops', per: 'seller', limit_usd: '0.05', window: 'request' },
  ]
  const tags = { declared: ['team:a'] }
  const opened = await open({ budgets, tags })
  await call('a')
  await call('a', { 'x-tollway-tags': 'team:a' })
  await call('b', { 'x-tollway-tags': 'team:a' })
  const rows = await api()
  expect(rows).toMatchObject([
    {
      budget: 'all',
      per: null,
      subject: '*',
      window: 'day',
      timezone: 'Europe/Berlin',
      window_end: expect.stringMatching(/T2[23]:00:00\.000Z$/),
      enforce: true,
      limit_usd: '1',
      soft_usd: '0.5',
      spent_usd: '0.003',
      held_usd: '0',
      uncertain_usd: '0',
      remaining_usd: '0.997',
    },
    {
      budget: 'each',
      per: 'caller',
      subject: 'a',
      window: '24h',
      window_end: null,
      soft_usd: null,
      spent_usd: '0.002',
    },
    { budget: 'each', per: 'caller', subject: 'b', window: '24h', remaining_usd: '0.009' },
    { budget: 'usdc', asset: 'USDC', decimals: 6, limit: '5000', spent: '3000', remaining: '2000' },
    { budget: 'tags', subject: 'other', enforce: false, spent_usd: '0.001' },
    { budget: 'tags', subject: 'team:a', enforce: false, spent_usd: '0.002' },
    { budget: 'shops', per: 'seller', subject: null, spent_usd: '0' },
  ])
  expect(rows[3]).not.toHaveProperty('limit_usd')

  expect(await opened.metric('tollway_budget_spent_usd', { budget: 'each', subject: 'a' })).toBe(0.002)
  expect(await opened.metric('tollway_budget_remaining_usd', { budget: 'each', subject: 'b' })).toBe(0.009)
  expect(await opened.metric('tollway_budget_spent_usd', { budget: 'usdc' })).toBe(0)
  expect(
    await opened.metric('tollway_budget_asset_units', { budget: 'usdc', asset: 'USDC', kind: 'spent' }),
  ).toBe(0.003)

  const config = join(opened.directory, 'tollway.yaml')
  const { store } = opened.gateway.parts.config
  await writeFile(config, JSON.stringify({ ...base(), budgets, tags, store }))
  const asJson = await command(['budgets', '--config', config, '--json'], { env: ENV })
  expect(asJson).toMatchObject({ code: 0, stderr: '' })
  const told = JSON.parse(asJson.stdout) as { budgets: Record<string, unknown>[] }
  // A rolling window begins when it is looked at.
  const settled = (row: Record<string, unknown>) =>
    row['window'] === '24h' || row['window'] === 'request' ? { ...row, window_start: '' } : row
  expect(told.budgets.map(settled)).toEqual(rows.map(settled))

  const { stdout } = await command(['budgets', '--config', config], { env: ENV })
  const lines = stdout.split('\n').map((line) => line.replace(/\s+/g, ' '))
  expect(lines[0]).toBe('BUDGET SUBJECT WINDOW LIMIT SPENT HELD UNCERTAIN LEFT RESETS')
  expect(lines[1]).toMatch(/^all - day \$1 \$0\.003 \$0 \$0 \$0\.997 20\d\d-\d\d-\d\dT2[23]:00:00Z$/)
  expect(lines.slice(2, 4)).toEqual([
    'each a 24h $0.01 $0.002 $0 $0 $0.008 per charge',
    'each b 24h $0.01 $0.001 $0 $0 $0.009 per charge',
  ])
  expect(lines[4]).toMatch(/^usdc - month 0\.005 USDC 0\.003 USDC 0 USDC 0 USDC 0\.002 USDC 20\d\d-/)
  expect(lines.slice(5, 8)).toEqual([
    'tags other lifetime $0.05 $0.001 $0 $0 $0.049 - not enforced',
    'tags team:a lifetime $0.05 $0.002 $0 $0 $0.048 - not enforced',
    'shops each request request $0.05 $0 $0 $0 $0.05 -',
  ])
  // The gateway noticed nothing.
  expect(await status('b')).toBe(200)
})
