/** `/admin`: callers, budgets and pins of a running gateway, as the commands of the same names list and change them. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { run as command } from '../../src/app/cli/run.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { blocksOf } from '../kit/markdown.ts'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'

const ADMIN = 'the-admin-key-of-this-test'
const run = promisify(execFile)
let seller: ScriptedSeller
let directory: string
let gateway: TestGateway | undefined
/** Keys are read again when half a second has passed on this clock. */
let now = Date.parse('2026-11-30T12:00:00Z')

beforeAll(async () => {
  seller = await startScriptedSeller()
  directory = await mkdtemp(join(tmpdir(), 'tollway-admin-'))
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
})
afterAll(async () => {
  await seller?.close()
  await rm(directory, { recursive: true, force: true })
})

let opened = 0
async function open(more: object = {}): Promise<TestGateway> {
  process.env['ADMIN_TEST_KEY'] = ADMIN
  opened += 1
  const config = {
    admin: { key: '${env:ADMIN_TEST_KEY}' },
    keys: { path: join(directory, `keys-${opened}.json`) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'toy' }],
    budgets: [{ name: 'all', limit_usd: '1', window: 'day' }],
    ...more,
  }
  gateway = await startGateway(
    {
      ...config,
      payers: { toy: { kind: 'direct', key: '${env:ADMIN_TEST_KEY}', networks: ['base-sepolia'] } },
    },
    { payers: new Map([['toy', toyPayer()]]), clock: { now: () => now } },
  )
  return gateway
}

async function admin(method: string, path: string, body?: unknown, key = ADMIN): Promise<Response> {
  return await fetch(`${gateway?.url}/admin/${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}
const jsonOf = async (answer: Response | Promise<Response>) =>
  (await (await answer).json()) as Record<string, unknown>

let asked = 0
const call = async (key: unknown): Promise<number> =>
  (
    await ask(
      gateway?.url ?? '',
      { model: 'paid/m', seed: asked++ },
      { authorization: `Bearer ${String(key)}` },
    )
  ).status
const records = async (type: string) => (await gateway?.audit())?.filter((record) => record['type'] === type)
const later = (): number => (now += 1_000)

describe('callers', () => {
  test('are added with a key that works and a budget that holds, changed, and revoked; each with a record', async () => {
    await open()
    const { key, ...entry } = await jsonOf(
      admin('POST', 'keys', { id: 'ci', models: ['paid/*'], budget_usd: ['0.001/day'] }),
    )
    expect(entry).toMatchObject({ id: 'ci', models: ['paid/*'], budget_usd: ['0.001/day'] })
    later()
    expect([await call(key), await call(key)]).toEqual([200, 402])
    expect(await jsonOf(admin('GET', 'keys'))).toEqual({ keys: [entry] })

    expect(
      await jsonOf(admin('PATCH', 'keys/ci', { budget_usd: ['0.002/day'], team: 'search' })),
    ).toMatchObject({ team: 'search' })
    later()
    expect([await call(key), await call(key)]).toEqual([200, 402])
    expect(await jsonOf(admin('PATCH', 'keys/ci', { budget_usd: null }))).toMatchObject({
      budget_usd: [],
      team: 'search',
    })
    later()
    expect(await call(key)).toBe(200)

    expect(await jsonOf(admin('DELETE', 'keys/ci'))).toEqual({ id: 'ci', revoked: true })
    later()
    expect(await call(key)).toBe(401)
    expect(await records('caller_key.added')).toMatchObject([{ caller: 'ci' }])
    expect(await records('caller_key.changed')).toMatchObject([
      { caller: 'ci', team: 'search' },
      { removed: ['budget_usd'] },
    ])
    expect(await records('caller_key.revoked')).toMatchObject([{ caller: 'ci' }])
    expect(JSON.stringify(await gateway?.audit())).not.toContain(String(key))
  })

  test('are added by the line of docs/admin.md', async () => {
    const { url } = await open()
    const page = await readFile(join(import.meta.dirname, '../../docs/admin.md'), 'utf8')
    const line = blocksOf(page).find(({ marker }) => marker === 'add')?.text ?? ''
    const env = { PATH: process.env['PATH'], TOLLWAY_ADMIN_KEY: ADMIN }
    const { stdout } = await run('bash', ['-c', line.replace('http://127.0.0.1:8402', url)], { env })
    expect(JSON.parse(stdout)).toMatchObject({
      id: 'ci',
      budget_usd: ['1/day'],
      key: expect.stringMatching(/^tw-/) as string,
    })
  })

  test('are changed by `tollway keys set` in the same way', async () => {
    const { gateway: running } = await open()
    await admin('POST', 'keys', { id: 'ci', requests_per_minute: 9 })
    const path = join(directory, 'tollway.yaml')
    const { store, audit, keys } = running.parts.config
    await writeFile(path, JSON.stringify({ store, audit: { path: audit.path }, keys }))
    const terminal = new FakeTerminal()
    const line = [
      'keys',
      'set',
      'ci',
      '--budget-usd',
      '5/day',
      '--remove',
      'requests_per_minute',
      '--config',
      path,
      '--json',
    ]
    expect(await command(line, terminal)).toBe(0)
    expect(JSON.parse(terminal.out)).toMatchObject({ budget_usd: ['5/day'], requests_per_minute: null })
    expect(await jsonOf(admin('GET', 'keys'))).toMatchObject({ keys: [{ id: 'ci', budget_usd: ['5/day'] }] })
    const nothing = new FakeTerminal()
    expect(await command(['keys', 'set', 'ci', '--config', path], nothing)).toBe(2)
    expect(nothing.err).toContain('nothing to change')
  })

  test.each([
    ['an unknown caller', 'PATCH', 'keys/nobody', { team: 'a' }],
    ['nothing to change', 'PATCH', 'keys/ci', {}],
    ['an unknown field', 'POST', 'keys', { id: 'x', budget: '5/day' }],
    ['a budget that is none', 'POST', 'keys', { id: 'x', budget_usd: ['5'] }],
    ['a date in the past', 'POST', 'keys', { id: 'x', expires: '2020-01-01' }],
    ['an id that is taken', 'POST', 'keys', { id: 'ci' }],
    ['an id with a slash', 'POST', 'keys', { id: 'a/b' }],
    ['no object', 'POST', 'keys', 'text'],
  ])('refuse %s, and change nothing', async (_what, method, path, body) => {
    await open()
    await admin('POST', 'keys', { id: 'ci' })
    const before = await jsonOf(admin('GET', 'keys'))
    const answer = await admin(method, path, body)
    expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'config_invalid'])
    expect(await jsonOf(admin('GET', 'keys'))).toEqual(before)
  })
})

describe('budgets and pins', () => {
  test('list what is spent, also of callers that keys were made for', async () => {
    await open({ store: 'memory' })
    const { key } = await jsonOf(admin('POST', 'keys', { id: 'ci', budget_usd: ['0.01/day'] }))
    later()
    await call(key)
    const { budgets } = await jsonOf(admin('GET', 'budgets'))
    expect(budgets).toMatchObject([
      { budget: 'all', spent_usd: '0.001' },
      { budget: 'callers.day', subject: 'ci', spent_usd: '0.001', limit_usd: '0.01' },
    ])
  })

  test('rule 6: a pin that was changed is what the next payment is held to', async () => {
    await open({ store: 'memory' })
    const { key } = await jsonOf(admin('POST', 'keys', { id: 'ci' }))
    later()
    expect(await call(key)).toBe(200)
    const { pins } = await jsonOf(admin('GET', 'sellers'))
    expect(pins).toMatchObject([{ api_base: seller.apiBase }])
    const other = `0x${'7'.repeat(40)}`
    const trust = { api_base: seller.apiBase, pay_to: other, network: 'base-sepolia', asset: 'USDC' }
    expect(await jsonOf(admin('POST', 'sellers/trust', trust))).toMatchObject({ pins: [{ pay_to: other }] })
    expect(await call(key)).toBe(400)
    expect(await jsonOf(admin('POST', 'sellers/forget', { api_base: seller.apiBase }))).toMatchObject({
      pins: 1,
    })
    expect(await call(key)).toBe(200)
    expect(await records('seller.trusted')).toMatchObject([{ pay_to: other }])
  })
})

describe('who may', () => {
  test.each(['keys', 'budgets', 'sellers'])('nobody reads %s without the admin key', async (path) => {
    await open()
    expect((await admin('GET', path, undefined, 'wrong')).status).toBe(401)
  })

  test('wrong keys are throttled on all paths together, and the right one still works', async () => {
    await open()
    const guesses = [
      'keys',
      'budgets',
      'sellers',
      'keys',
      'budgets',
      'sellers',
      'keys',
      'budgets',
      'sellers',
      'keys',
    ]
    for (const path of guesses) await admin('GET', path, undefined, 'wrong')
    expect((await errorOf(await admin('POST', 'keys', { id: 'x' }, 'wrong'))).code).toBe('too_many_attempts')
    expect((await admin('GET', 'keys')).status).toBe(200)
  })

  test('a body that is not marked as JSON changes nothing', async () => {
    await open()
    const answer = await fetch(`${gateway?.url}/admin/keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'text/plain' },
      body: '{"id":"x"}',
    })
    expect([answer.status, (await errorOf(answer)).code]).toEqual([415, 'unsupported_encoding'])
    expect(await jsonOf(admin('GET', 'keys'))).toEqual({ keys: [] })
  })

  test('another method is told which there are', async () => {
    await open()
    const answer = await admin('PUT', 'keys', { id: 'x' })
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST'])
  })
})
