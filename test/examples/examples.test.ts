/** Every example, started as its users start it, against one sandbox. */
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { startSandbox, type Sandbox } from '../../src/app/sandbox/sandbox.ts'
import { Child, run } from '../kit/child.ts'
import { examplesProject, RUN_EXAMPLES, sandboxVariables } from '../kit/examples.ts'
import { ask, errorOf } from '../kit/gateway.ts'
import { MAIN } from '../kit/program.ts'
import { completion, json } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

const ROOT = join(import.meta.dirname, '../..')
const MODEL = 'paid/sandbox-small'

let sandbox: Sandbox
const directories: string[] = []

beforeAll(async () => {
  sandbox = await startSandbox({ port: 0, blockTimeSeconds: 0 })
})

afterAll(async () => {
  await sandbox?.close()
  for (const directory of directories) await rm(directory, { recursive: true, force: true })
})

const project = async (): Promise<string> => await examplesProject(directories)
const environment = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => ({
  ...process.env,
  ...sandboxVariables(sandbox),
  PORT: '0',
  ...more,
})

interface Started {
  readonly child: Child
  readonly url: string
  readonly directory: string
}

async function start(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<Started> {
  const directory = await project()
  const child = new Child(process.execPath, ['--import', RUN_EXAMPLES, ...args], {
    cwd: directory,
    env: environment(more),
  })
  onTestFinished(() => child.kill('SIGKILL'))
  const [, port] = await child.says(/listening on port (\d+)/)
  return { child, url: `http://127.0.0.1:${port}`, directory }
}

async function upstream(): Promise<ScriptedSeller> {
  const seller = await startScriptedSeller({ unpaid: completion({ id: 'from-upstream' }) })
  onTestFinished(() => seller.close())
  return seller
}

const spent = (response: Response): unknown[] => [response.status, response.headers.get('x-tollway-spent')]

test('the page of the examples lists all of them', async () => {
  const page = await readFile(join(ROOT, 'examples/README.md'), 'utf8')
  const names = (await readdir(join(ROOT, 'examples'))).filter((name) => name !== 'README.md')
  expect(names.filter((name) => !page.includes(`[${name}`))).toEqual([])
})

test('express-gateway.mjs pays what a route claims, and keeps its own models', async () => {
  const { url } = await start(['express-gateway.mjs'])
  const paid = await ask(url, { model: MODEL, stream: true })
  expect(spent(paid)).toEqual([200, 'yes'])
  expect(await paid.text()).toContain('data: [DONE]')
  expect(await (await ask(url, { model: 'mine' })).json()).toMatchObject({ model: 'mine' })
})

test('keyed-upstream.mjs relays the answer of the upstream, within the limits of the caller', async () => {
  const seller = await upstream()
  const { url, directory } = await start(['keyed-upstream.mjs'], {
    UPSTREAM: seller.apiBase,
    UPSTREAM_KEY: 'upstream-key',
  })
  expect((await ask(url, { model: 'm' })).status).toBe(401)
  const key = { authorization: 'Bearer key-of-ci' }
  expect(await (await ask(url, { model: 'm' }, key)).json()).toMatchObject({ id: 'from-upstream' })
  expect((await ask(url, { model: 'm' }, key)).status).toBe(429)
  expect(seller.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer upstream-key'])
  await expect
    .poll(async () => await readFile(join(directory, 'audit.jsonl'), 'utf8'))
    .toMatch(/"caller":"ci".*"status":200/)
})

test('own-handler.mjs bounds the handler, and records what it used', async () => {
  const usage = { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30 }
  const provider = await startScriptedSeller(() => json({ id: 'from-provider', usage }))
  onTestFinished(() => provider.close())
  const { url, directory } = await start(['own-handler.mjs'], {
    UPSTREAM: provider.apiBase,
    UPSTREAM_KEY: 'provider-key',
    DOLLARS: '0.001',
  })
  const ask1400 = async (): Promise<Response> => await ask(url, { model: 'gpt-4o-mini', max_tokens: 1400 })
  expect(await (await ask1400()).json()).toMatchObject({ id: 'from-provider' })
  // What was reserved for the first is free again, but for the few tokens that it took.
  const audit = async (): Promise<string> => await readFile(join(directory, 'audit.jsonl'), 'utf8')
  await expect.poll(audit).toMatch(/"charged":"9"[^\n]*"type":"charge.settled"/)
  expect((await ask1400()).status).toBe(200)
  const refused = await ask(url, { model: 'gpt-4o-mini', max_tokens: 5000 })
  expect([refused.status, (await errorOf(refused)).code]).toEqual([402, 'budget_exhausted'])
  expect(provider.requests.map(({ headers }) => headers.authorization)).toEqual([
    'Bearer provider-key',
    'Bearer provider-key',
  ])
  expect(await audit()).toMatch(/"inputTokens":20[^\n]*"type":"request"/)
})

test('keyed-budget.mjs refuses what could cost more than is left, before the upstream is asked', async () => {
  const seller = await upstream()
  const { url } = await start(['keyed-budget.mjs'], {
    UPSTREAM: seller.apiBase,
    UPSTREAM_KEY: 'upstream-key',
    DOLLARS: '0.001',
  })
  const answer = await ask(url, { model: 'gpt-4o-mini', max_tokens: 10 })
  expect([answer.status, await answer.json()]).toMatchObject([200, { id: 'from-upstream' }])
  const refused = await ask(url, { model: 'gpt-4o-mini', max_tokens: 5000 })
  expect([refused.status, (await errorOf(refused)).code]).toEqual([402, 'budget_exhausted'])
  // What was reserved for the first is free again, but for the few tokens that it took.
  expect((await ask(url, { model: 'gpt-4o-mini', max_tokens: 1400 })).status).toBe(200)
  expect(seller.requests.map(({ headers }) => headers.authorization)).toEqual([
    'Bearer upstream-key',
    'Bearer upstream-key',
  ])
})

test('proxy.mjs pays its routes, and proxies every other model and path', async () => {
  const seller = await startScriptedSeller(({ url, body }) => json({ url, body: body.toString() }))
  onTestFinished(() => seller.close())
  const { url } = await start(['proxy.mjs'], { UPSTREAM: seller.url })
  expect(spent(await ask(url, { model: MODEL }))).toEqual([200, 'yes'])
  const other = await ask(url, { model: 'gpt', messages: [] })
  expect(await other.json()).toEqual({
    url: '/v1/chat/completions',
    body: '{"messages":[],"model":"gpt"}',
  })
  expect(await (await fetch(`${url}/any/path?x=1`)).json()).toMatchObject({ url: '/any/path?x=1' })
})

test('custom-payer.mjs pays with a key that Tollway never has', async () => {
  const { url, child } = await start(['custom-payer.mjs'])
  expect(spent(await ask(url, { model: MODEL }))).toEqual([200, 'yes'])
  await child.says(/signed 1000 units of USDC for chg_\w+/)
  await child.says(/chg_\w+ settled/)
})

test('callers.mjs keeps a budget for each team', async () => {
  const { url } = await start(['callers.mjs'])
  const as = async (secret: string, content: string): Promise<number> => {
    const messages = [{ role: 'user', content }]
    return (await ask(url, { model: MODEL, messages }, { 'x-team-secret': secret })).status
  }
  expect(await as('secret-of-search', 'a')).toBe(200)
  expect(await as('secret-of-search', 'b')).toBe(402)
  expect(await as('secret-of-support', 'a')).toBe(200)
  expect(await as('nobody', 'a')).toBe(401)
})

test('agent.mjs stops when its day is spent', async () => {
  const { child } = await start(['agent.mjs'], { DOLLARS: '0.002' })
  await child.says(/step 1 cost \$0\.001: /)
  await child.says(/step 2 cost \$0\.001: /)
  await child.says(/stopped: budget_exhausted: Daily spending limit reached: budget agent/)
  expect((await child.end()).code).toBe(0)
})

/** Starts `tollway serve` with a configuration of the examples. */
async function serve(config: string, more: Readonly<Record<string, string>>): Promise<Started> {
  return await start([MAIN, 'serve', '--config', config, '--listen', '127.0.0.1:0'], more)
}

/** What `tollway init` prints for a configuration of the examples. */
async function init(kind: string, config: string, more: readonly string[] = []): Promise<string> {
  const args = [MAIN, 'init', kind, '--config', config, ...more]
  const env = environment({ TOLLWAY_KEY: 'key' })
  const { code, stdout, stderr } = await run(process.execPath, args, { cwd: join(ROOT, 'examples'), env })
  expect([code, stderr]).toEqual([0, ''])
  return stdout
}

test('openclaw/ serves the model of its openclaw.json to the caller that it names', async () => {
  const entry: unknown = JSON.parse(await readFile(join(ROOT, 'examples/openclaw/openclaw.json'), 'utf8'))
  expect(JSON.parse(await init('openclaw', 'openclaw/tollway.yaml', ['--primary', MODEL]))).toEqual(entry)
  const { url } = await serve('openclaw/tollway.yaml', { TOLLWAY_KEY: 'claw-key' })
  const key = { authorization: 'Bearer claw-key' }
  expect(spent(await ask(url, { model: MODEL }, key))).toEqual([200, 'yes'])
  const refused = await ask(url, { model: MODEL })
  expect([refused.status, (await errorOf(refused)).code]).toEqual([401, 'invalid_api_key'])
})

test('litellm-behind/ serves the entries that LiteLLM includes', async () => {
  const entries = await readFile(join(ROOT, 'examples/litellm-behind/tollway-models.yaml'), 'utf8')
  expect(parse(entries)).toEqual(parse(await init('litellm', 'litellm-behind/tollway.yaml')))
  const { url } = await serve('litellm-behind/tollway.yaml', { TOLLWAY_KEY: 'litellm-key' })
  // As LiteLLM asks: its test with the real one is npm run test:litellm.
  const answer = await ask(url, { model: MODEL }, { authorization: 'Bearer litellm-key' })
  expect([...spent(answer), answer.headers.get('x-litellm-response-cost')]).toEqual([200, 'yes', '0.001'])
})

test('litellm-in-front/ pays the paid models, and hands every other request to LiteLLM', async () => {
  const litellm = await upstream()
  const { url } = await serve('litellm-in-front/tollway.yaml', {
    LITELLM_URL: litellm.apiBase,
    LITELLM_KEY: 'litellm-key',
  })
  expect(spent(await ask(url, { model: MODEL }))).toEqual([200, 'yes'])
  expect(await (await ask(url, { model: 'local' })).json()).toMatchObject({ id: 'from-upstream' })
  expect(litellm.requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer litellm-key'])
})
