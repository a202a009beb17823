/** The real LiteLLM behind a gateway, in a loop around it, and its config.yaml as the gateway's own. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { loadConfig } from '../../src/app/config/load.ts'
import { serveOnLoopback, type LoopbackServer } from '../../src/io/transport/loopback.ts'
import { freePort } from '../kit/free-port.ts'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { MASTER_KEY, startLitellm, type LitellmProxy } from './litellm-proxy.ts'
import { CALLERS, PRICE_USD, startPaidWorld, type PaidWorld } from './paid-world.ts'

let paid: PaidWorld
let litellm: LitellmProxy
let between: LoopbackServer
let gateway: TestGateway
/** What LiteLLM answered last, byte for byte. */
let said: { status: number; body: Buffer }

beforeAll(async () => {
  paid = await startPaidWorld()
  const port = await freePort()
  between = await recorder(`http://127.0.0.1:${port}`)
  process.env['BEHIND_LITELLM_KEY'] = MASTER_KEY
  gateway = await startGateway({
    upstream: { api_base: `${between.url}/v1`, api_key: '${env:BEHIND_LITELLM_KEY}' },
    router: { num_retries: 0, allowed_fails: 1000 },
  })
  const { model_list: list, ...settings } = await paid.litellmConfig()
  const mock = (name: string, response: string, more: object = {}): object => ({
    model_name: name,
    litellm_params: {
      model: `openai/${name}`,
      api_key: 'os.environ/TOLLWAY_KEY',
      mock_response: response,
      ...more,
    },
  })
  litellm = await startLitellm(
    {
      ...settings,
      model_list: [
        ...list,
        mock('mock', 'hello from LiteLLM', { input_cost_per_token: 0.001, output_cost_per_token: 0 }),
        mock('busy', 'litellm.RateLimitError'),
        {
          model_name: 'round',
          litellm_params: {
            model: 'openai/mock',
            api_base: `${gateway.url}/v1`,
            api_key: 'os.environ/TOLLWAY_KEY',
            max_retries: 0,
          },
        },
      ],
      router_settings: { disable_cooldowns: true, num_retries: 0 },
    },
    { port, env: { TOLLWAY_KEY: CALLERS.litellm } },
  )
})
afterAll(async () => {
  await litellm?.close()
  await gateway?.close()
  await between?.close()
  await paid?.close()
})
beforeEach(async () => {
  await paid.reset()
})

/** Passes everything on and keeps the last answer. */
async function recorder(target: string): Promise<LoopbackServer> {
  const passOn = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { authorization = '', 'content-type': type = 'application/json' } = request.headers
    const answer = await fetch(`${target}${request.url}`, {
      method: request.method ?? 'GET',
      headers: { authorization, 'content-type': type },
      body: request.method === 'GET' ? null : Buffer.concat(chunks),
    })
    const headers = [...answer.headers].filter(
      ([name]) => !/^(?:content-length|transfer-encoding|date)$/.test(name),
    )
    response.writeHead(answer.status, Object.fromEntries(headers))
    said = { status: answer.status, body: Buffer.alloc(0) }
    for await (const piece of answer.body ?? []) {
      said.body = Buffer.concat([said.body, piece])
      response.write(piece)
    }
    response.end()
  }
  return await serveOnLoopback((request, response) => {
    passOn(request, response).catch(() => response.destroy())
  })
}

test.each([false, true])("LiteLLM's answer passes byte for byte, stream: %s", async (stream) => {
  const answer = await ask(gateway.url, { model: 'mock', stream })
  expect(answer.status).toBe(200)
  expect(Buffer.from(await answer.arrayBuffer()).equals(said.body)).toBe(true)
  expect(said.body.length).toBeGreaterThan(100)
  expect(answer.headers.get('x-tollway-spent')).toBe('no')
})

test("LiteLLM's models are listed with its fields, and found by their id", async () => {
  const answer = await fetch(`${gateway.url}/v1/models`)
  const { data } = (await answer.json()) as { data: { id: string }[] }
  const direct = await fetch(`${litellm.url}/v1/models`, {
    headers: { authorization: `Bearer ${MASTER_KEY}` },
  })
  const theirs = (await direct.json()) as { data: { id: string }[] }
  // It repeats some models, and answers in another order each time.
  const byId = (list: readonly { id: string }[]) => new Map(list.map((model) => [model.id, model]))
  expect(byId(data)).toEqual(byId(theirs.data))
  expect(byId(data).size).toBe(data.length)
  expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(['mock', 'busy', 'round', 'paid/fast']))
  const one = await fetch(`${gateway.url}/v1/models/mock`)
  expect(await one.json()).toEqual(theirs.data.find(({ id }) => id === 'mock'))
})

test("LiteLLM's own refusals pass with their status and words", async () => {
  const busy = await ask(gateway.url, { model: 'busy' })
  expect(busy.status).toBe(429)
  expect(Buffer.from(await busy.arrayBuffer()).equals(said.body)).toBe(true)
  const unknown = await ask(gateway.url, { model: 'not-there' })
  expect(unknown.status).toBe(said.status)
  expect(unknown.status).toBe(400)
  expect(Buffer.from(await unknown.arrayBuffer()).equals(said.body)).toBe(true)
})

test('a loop, LiteLLM to the gateway to LiteLLM, answers once; LiteLLM books its cost at each passage', async () => {
  const before = await litellm.metric('litellm_spend_metric_total')
  const answer = await litellm.post('/v1/chat/completions', {
    model: 'round',
    messages: [{ role: 'user', content: 'hello' }],
  })
  expect(answer.status).toBe(200)
  const { usage, ...rest } = (await answer.json()) as { usage: { prompt_tokens: number } }
  expect(JSON.stringify(rest)).toContain('hello from LiteLLM')
  const once = usage.prompt_tokens * 0.001
  await expect
    .poll(async () => await litellm.metric('litellm_spend_metric_total'))
    .toBeCloseTo(before + 2 * once, 9)
  expect(await paid.passed()).toEqual({ gateway: 0, payments: 0 })
})

test("LiteLLM's config.yaml is a gateway's configuration: its paid entries reach the other gateway", async () => {
  Object.assign(process.env, { TOLLWAY_KEY: CALLERS.litellm, LITELLM_MASTER_KEY: MASTER_KEY })
  const config = loadConfig(litellm.file, process.env)
  expect(config.routes.map(({ modelName }) => modelName)).toEqual(
    expect.arrayContaining(['paid/fast', 'paid/buffered', 'round']),
  )
  expect(config.callers.length).toBe(1)
  const { model_list: list } = await paid.litellmConfig()
  const second = await startGateway({ model_list: list })
  try {
    const answer = await ask(second.url, { model: 'paid/fast' })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ usage: { cost: PRICE_USD } })
    expect(await paid.passed()).toEqual({ gateway: 1, payments: 1 })
  } finally {
    await second.close()
  }
})
