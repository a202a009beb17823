import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { send } from '../kit/seller-answers.ts'

/** A stand-in for an upstream such as LiteLLM; the real one is in test/litellm. */
let upstream: ScriptedSeller
let asked: { url: string; headers: Record<string, unknown> }[] = []
let status = 200
let list: object = {}
let gateway: TestGateway
let at = 1_700_000_000_000

beforeAll(async () => {
  Object.assign(process.env, { LIST_KEY: 'sk-upstream', LIST_A: 'key-a', LIST_B: 'key-b' })
  upstream = await startScriptedSeller(({ url, headers }, response) => {
    asked.push({ url, headers })
    send(response, {
      status,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(list),
    })
  })
})
afterAll(async () => {
  await upstream.close()
})
beforeEach(() => {
  asked = []
  status = 200
  list = {
    object: 'list',
    data: [
      { id: 'own', object: 'model', owned_by: 'them' },
      { id: 'gpt/one', object: 'model', created: 1, owned_by: 'openai', extra: { kept: true } },
      { id: 'llama', object: 'model', created: 2, owned_by: 'meta' },
    ],
  }
})

async function withGateway(work: () => Promise<void>): Promise<void> {
  gateway = await startGateway(
    {
      upstream: { api_base: upstream.apiBase, api_key: '${env:LIST_KEY}' },
      callers: [
        { id: 'a', key: '${env:LIST_A}', models: ['*'] },
        { id: 'b', key: '${env:LIST_B}', models: ['gpt/*'] },
      ],
      model_list: [{ model_name: 'own', api_base: 'http://127.0.0.1:9/v1' }],
    },
    { clock: { now: () => at } },
  )
  try {
    await work()
  } finally {
    await gateway.close()
  }
}

function get(path: string, key = 'key-a'): Promise<Response> {
  return fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${key}` } })
}

async function ids(key?: string): Promise<string[]> {
  const answer = await get('/v1/models', key)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-tollway-spent')).toBe('no')
  const { data } = (await answer.json()) as { data: { id: string }[] }
  return data.map(({ id }) => id)
}

describe('GET /v1/models with a default upstream', () => {
  test("lists its models behind our own, each caller's; asked once a minute, unpaid, with our key alone", async () => {
    await withGateway(async () => {
      expect(await ids()).toEqual(['own', 'gpt/one', 'llama'])
      expect(await ids('key-b')).toEqual(['gpt/one'])
      const one = await get('/v1/models/gpt/one', 'key-b')
      expect(await one.json()).toEqual({
        id: 'gpt/one',
        object: 'model',
        created: 1,
        owned_by: 'openai',
        extra: { kept: true },
      })
      expect((await get('/v1/models/llama', 'key-b')).status).toBe(404)
      expect(asked).toHaveLength(1)
      expect(asked[0]).toMatchObject({ url: '/v1/models', headers: { authorization: 'Bearer sk-upstream' } })
      expect(JSON.stringify(asked)).not.toMatch(/key-[ab]|payment/i)
      list = { data: [{ id: 'new' }] }
      at += 60_000
      expect(await ids()).toEqual(['own', 'new'])
      expect(asked).toHaveLength(2)
      expect(await gateway.metric('tollway_catalogue_reads_total', { result: 'ok' })).toBe(2)
    })
  })

  test('answers our own list while the upstream cannot be read, counts it, and asks again later', async () => {
    status = 402
    await withGateway(async () => {
      expect(await ids()).toEqual(['own'])
      expect(await ids()).toEqual(['own'])
      expect(asked).toHaveLength(1)
      expect(await gateway.metric('tollway_catalogue_reads_total', { result: 'failed' })).toBe(1)
      status = 200
      at += 30_000
      expect(await ids()).toEqual(['own', 'gpt/one', 'llama'])
    })
  })
})
