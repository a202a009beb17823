import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pino } from 'pino'
import { parse } from 'yaml'
import { loadConfig } from '../../src/app/config/load.ts'
import { createGateway } from '../../src/app/gateway/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { temporaryDirectory } from './config-file.ts'

const ENV = { OPENAI_API_KEY: 'sk-openai', GROQ_API_KEY: 'sk-groq', AZURE_API_KEY: 'sk-azure' }

/** What is read or told one by one; every other leaf of a file must be under an ignored key. */
const READ =
  /\.(?:model|api_base|api_key|model_name|timeout|weight)$|^router_settings\.(?:num_retries|model_group_alias|routing_strategy$)|fallbacks|^litellm_settings\.(?:num_retries|allowed_fails)$|master_key$|^include/

const EXAMPLES = [
  { file: 'overview.yaml', model: 'vllm-models', sent: 'facebook/opt-125m', key: 'none' },
  { file: 'load-balancing.yaml', model: 'gpt-4', sent: 'gpt-4o', key: '<my-openai-key>' },
  {
    file: 'proxy-server.yaml',
    model: 'my-special-fake-model-alias-name',
    sent: /^my-fake-model/,
    key: 'my-fake-key',
  },
] as const

let upstream: ScriptedSeller
beforeAll(async () => {
  upstream = await startScriptedSeller((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end('{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}')
  })
})
afterAll(() => upstream.close())

/** The example in a directory of its own, with what it includes; the ledger beside it. */
function example(file: string): string {
  const directory = temporaryDirectory()
  for (const name of [file, 'proxy-server-models.yaml']) {
    const text = readFileSync(join(import.meta.dirname, '../fixtures/litellm', name), 'utf8')
    writeFileSync(join(directory, name), text.replaceAll('$BASE', upstream.apiBase))
  }
  return join(directory, file)
}

test.each(EXAMPLES)(
  '$file loads and serves $model, with the key as it is written',
  async ({ file, model, sent, key }) => {
    const config = loadConfig(example(file), ENV, { listen: '127.0.0.1:0' })
    const gateway = await createGateway(config, { log: pino({ level: 'silent' }), env: {} })
    const { url } = await gateway.listen()
    try {
      const before = upstream.requests.length
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer sk-1234' },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hello' }] }),
      })
      expect(response.status).toBe(200)
      const [request] = upstream.requests.slice(before)
      expect(JSON.parse(request?.body.toString() ?? '{}')).toMatchObject({
        model: expect.stringMatching(sent) as string,
      })
      expect(request?.headers.authorization).toBe(`Bearer ${key}`)
      if (config.callers.length > 0) {
        expect((await fetch(`${url}/v1/models`)).status).toBe(401)
      }
    } finally {
      await gateway.close()
    }
  },
)

test.each(EXAMPLES)(
  '$file: every key without an effect is told, and every limit on a line of its own',
  ({ file }) => {
    const path = example(file)
    const { ignoredKeys, litellmNotes } = loadConfig(path, ENV)
    const told = new Set([...ignoredKeys, ...litellmNotes.map((note) => note.path)])
    const skipped = litellmNotes.filter(({ kind }) => kind === 'entry_skipped').map((note) => note.path)
    const missing = leaves(parse(readFileSync(path, 'utf8'))).filter(
      (leaf) =>
        !READ.test(leaf) &&
        ![...told].some((key) => leaf === key || leaf.startsWith(`${key}.`) || leaf.startsWith(`${key}[`)) &&
        !skipped.some((entry) => leaf.startsWith(`${entry}.`)),
    )
    expect(missing).toEqual([])
    const limits = leaves(parse(readFileSync(path, 'utf8'))).filter((leaf) =>
      /\.(?:rpm|tpm|max_budget|budget_duration)$/.test(leaf),
    )
    expect(litellmNotes.filter(({ kind }) => kind.startsWith('limit_')).map((note) => note.path)).toEqual(
      expect.arrayContaining(limits),
    )
    expect(limits.length).toBeGreaterThan(0)
  },
)

test('load-balancing.yaml: the limits of the entries that are served are budgets of their routes', () => {
  const { budgets } = loadConfig(example('load-balancing.yaml'), ENV)
  expect(budgets.map(({ match, limit, asset }) => [match?.get('route'), limit, asset?.counts])).toEqual([
    [['gpt-4o'], 200n, 'requests'],
    [['gpt-3.5-turbo-16k'], 100n, 'requests'],
  ])
})

test('a limit of requests per minute is enforced before anything is sent', async () => {
  const path = example('overview.yaml')
  writeFileSync(path, readFileSync(path, 'utf8').replace('rpm: 1440', 'rpm: 2'))
  const config = loadConfig(path, ENV, { listen: '127.0.0.1:0' })
  const gateway = await createGateway(config, {
    log: pino({ level: 'silent' }),
    env: {},
    clock: { now: () => 1_800_000_000_000 },
  })
  const { url } = await gateway.listen()
  try {
    const before = upstream.requests.length
    const call = async (seed: number) =>
      await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: 'Bearer sk-1234' },
        body: JSON.stringify({ model: 'vllm-models', messages: [{ role: 'user', content: 'hello' }], seed }),
      })
    expect([(await call(1)).status, (await call(2)).status, (await call(3)).status]).toEqual([200, 200, 402])
    expect(upstream.requests.length - before).toBe(2)
  } finally {
    await gateway.close()
  }
})

function leaves(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item: unknown, at) => leaves(item, `${path}[${at}]`))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([key, item]) => leaves(item, path === '' ? key : `${path}.${key}`))
}
