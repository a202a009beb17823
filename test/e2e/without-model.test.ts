/** Requests that name no model, and paths beside the model endpoints: what reaches the default upstream, and as what. */
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startGateway, type TestGateway } from '../kit/gateway.ts'
import { json, send } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

let upstream: ScriptedSeller
let tollway: TestGateway
let alone: TestGateway

const ALL = { authorization: 'Bearer all' }
const SOME = { authorization: 'Bearer some' }

beforeAll(async () => {
  Object.assign(process.env, { NO_MODEL_ALL: 'all', NO_MODEL_SOME: 'some', NO_MODEL_KEY: 'theirs' })
  upstream = await startScriptedSeller((request, response) => {
    if (request.body.includes('"stream":true')) {
      response
        .writeHead(200, { 'content-type': 'text/event-stream' })
        .end('data: {"a":1}\n\ndata: [DONE]\n\n')
    } else send(response, json({ ok: true, text: 'heard', results: [], data: [], url: request.url }))
  })
  const callers = [
    { id: 'all', key: '${env:NO_MODEL_ALL}' },
    { id: 'some', key: '${env:NO_MODEL_SOME}', models: ['gpt-*'] },
  ]
  const model_list = [{ model_name: 'local', api_base: `${upstream.url}/local` }]
  tollway = await startGateway({
    callers,
    model_list,
    upstream: { api_base: upstream.apiBase, api_key: '${env:NO_MODEL_KEY}' },
  })
  alone = await startGateway({ model_list })
})

afterAll(async () => {
  await Promise.all([tollway?.close(), alone?.close(), upstream?.close()])
})

beforeEach(() => {
  upstream.requests.length = 0
})

async function post(path: string, body: string, headers: object = ALL, gateway = tollway): Promise<Response> {
  return await fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  })
}

describe('a request without a model', () => {
  const client = (): OpenAI => new OpenAI({ baseURL: `${tollway.url}/v1`, apiKey: 'all', maxRetries: 0 })

  test('from the OpenAI SDK reaches the default upstream: a moderation, a stored prompt, a transcription', async () => {
    await client().moderations.create({ input: 'x' })
    await client().responses.create({ prompt: { id: 'pmpt_1' } })
    const file = await toFile(Buffer.from([0, 1, 2, 255]), 'a.wav')
    // The SDK's type wants a model; servers with one of their own do not.
    await client().audio.transcriptions.create({ file } as Parameters<
      OpenAI['audio']['transcriptions']['create']
    >[0])
    expect(upstream.requests.map(({ url, headers }) => [url, headers.authorization])).toEqual([
      ['/v1/moderations', 'Bearer theirs'],
      ['/v1/responses', 'Bearer theirs'],
      ['/v1/audio/transcriptions', 'Bearer theirs'],
    ])
  })

  test.each([
    ['/v1/moderations', '{ "input" : "\\u00e9" , "n": 12345678901234567890 }'],
    ['/images/edits', '{"prompt":"x","model":null}'],
    ['/v1/rerank', '{"query":"q","documents":[]}'],
    ['/v2/rerank', '{"query":"q","documents":[]}'],
    ['/v1/chat/completions', '{"messages":[],"stream":true}'],
  ])('at %s passes byte for byte', async (path, body) => {
    const answer = await post(path, body)
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'no'])
    await answer.text()
    expect(upstream.requests[0]?.body.toString()).toBe(body)
    expect(upstream.requests[0]?.url).toBe(path.startsWith('/images') ? `/v1${path}` : path)
  })

  test('is refused for a caller with a list of models, and where there is no default upstream', async () => {
    for (const answer of [
      await post('/v1/moderations', '{"input":"x"}', SOME),
      await post('/v1/moderations', '{"input":"x"}', {}, alone),
    ]) {
      expect(answer.status).toBe(400)
      expect(await answer.json()).toMatchObject({ error: { code: 'model_unreadable', param: 'model' } })
    }
    expect(upstream.requests).toEqual([])
  })

  test.each(['{"model":""}', '{"model":7}', '{"Model":"local"}', '{"model":null,"model":"local"}', '[]'])(
    'is not one whose model cannot be read: %s',
    async (body) => {
      expect((await post('/v1/moderations', body)).status).toBe(400)
      expect(upstream.requests).toEqual([])
    },
  )

  test('counts as the upstream’s in the audit record', async () => {
    await (await post('/v1/moderations', '{"input":"x"}')).text()
    const record = (await tollway.audit()).findLast(({ type }) => type === 'request')
    expect(record).toMatchObject({ route: 'upstream', endpoint: '/moderations' })
  })
})

describe('paths beside the model endpoints', () => {
  test.each([
    ['POST', '/v1/videos', '/v1/videos'],
    ['GET', '/v1/videos/v_1/content', '/v1/videos/v_1/content'],
    ['POST', '/conversations', '/v1/conversations'],
    ['GET', '/v1/conversations/c/items?limit=1', '/v1/conversations/c/items?limit=1'],
    ['POST', '/v1/realtime/client_secrets', '/v1/realtime/client_secrets'],
    ['GET', '/model/info', '/model/info'],
    ['GET', '/v1/model/info', '/v1/model/info'],
    ['GET', '/v2/model/info?x=1', '/v2/model/info?x=1'],
    ['GET', '/model_group/info', '/model_group/info'],
    ['GET', '/key/info', '/key/info'],
    ['POST', '/mcp', '/mcp'],
    ['POST', '/mcp/', '/mcp/'],
    ['DELETE', '/mcp/tools', '/mcp/tools'],
  ])('%s %s reaches the upstream as %s, for callers who may use all of it', async (method, path, url) => {
    const allowed = await fetch(`${tollway.url}${path}`, { method, headers: ALL })
    expect([allowed.status, upstream.requests.map((request) => request.url)]).toEqual([200, [url]])
    await allowed.text()
    expect((await fetch(`${tollway.url}${path}`, { method, headers: SOME })).status).toBe(404)
    expect(upstream.requests).toHaveLength(1)
  })

  test.each([
    ['POST', '/key/info'],
    ['POST', '/key/generate'],
    ['GET', '/v1/key/info'],
    ['POST', '/v1/mcp/server'],
    ['GET', '/mcpx'],
    ['GET', '/model/info/x'],
    ['PUT', '/mcp'],
    ['GET', '/mcp/%252e%252e/key'],
  ])('%s %s does not', async (method, path) => {
    expect((await fetch(`${tollway.url}${path}`, { method, headers: ALL })).status).toBe(404)
    expect(upstream.requests).toEqual([])
  })

  test.each([
    ['/v1/v1/chat/completions', '/v1/chat/completions'],
    ['/v1//chat/completions', '/v1/chat/completions'],
    ['/openai/v1/chat/completions', '/v1/chat/completions'],
    ['/openai/deployments/gpt-4o/chat/completions', '/v1/chat/completions'],
    ['/v1/chat/completions/', '/v1/chat/completions'],
    ['/V1/Chat/Completions', '/v1/chat/completions'],
    ['/api/v1/v1//responses/', '/v1/responses'],
    ['/v1/chat/completion', '/v1/chat/completions'],
    ['/anthropic/v1/messages', '/v1/messages'],
    ['/v1/v2/rerank', '/v2/rerank'],
    ['//v1/embeddings', '/v1/embeddings'],
    ['/v1/v1/files/f_1', '/v1/files/f_1'],
  ])('%s is 404 and names %s', async (path, meant) => {
    for (const gateway of [tollway, alone]) {
      const answer = await post(path, '{"model":"local"}', ALL, gateway)
      const { error } = (await answer.json()) as { error: { message: string; code: string } }
      expect([answer.status, error.code]).toEqual([404, 'not_found'])
      expect(error.message).toContain(`Did you mean ${meant}?`)
    }
    expect(upstream.requests).toEqual([])
  })

  test.each(['/v1/models/', '/v1/models'])('GET %s is the list, and a wrong one names it', async (path) => {
    expect((await fetch(`${tollway.url}${path}`, { headers: ALL })).status).toBe(200)
    expect(await (await fetch(`${tollway.url}/v1${path}`, { headers: ALL })).text()).toContain(
      'Did you mean /v1/models?',
    )
  })

  test.each(['/a/b/c', '/v1/<script>', '/v1/../x', `/${'v1/'.repeat(400)}x`])(
    '%s names nothing',
    async (path) => {
      expect(await (await post(path, '{}')).text()).not.toContain('Did you mean')
    },
  )
})

test.each(['GET', 'HEAD'])(
  '%s / says what this is, without a key and without the configuration',
  async (method) => {
    for (const path of ['/', '/v1', '/v1/']) {
      const answer = await fetch(`${tollway.url}${path}`, { method })
      expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
      if (method === 'GET')
        expect(await answer.json()).toMatchObject({ name: 'tollway', models: '/v1/models' })
    }
    expect((await fetch(`${tollway.url}/`, { method: 'POST', headers: ALL })).status).toBe(404)
  },
)
