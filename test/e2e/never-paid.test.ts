/** What must not cost money: counting, lists of models, and names that nobody sells. */
import Anthropic from '@anthropic-ai/sdk'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { asking, completion, json, send } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

let seller: ScriptedSeller
let tollway: TestGateway
let list: string[]
let counts: boolean

/** Requests at the seller that carried a payment. */
const paid = (): number => seller.requests.filter(({ headers }) => headers['payment-signature']).length
/** Requests at the seller for a model. */
const asked = (): number => seller.requests.filter(({ method }) => method === 'POST').length
const reads = (): number => seller.requests.filter(({ url }) => url === '/v1/models').length

beforeAll(async () => {
  process.env['NEVER_PAID_WALLET'] = `0x${'11'.repeat(32)}`
  seller = await startScriptedSeller((request, response) => {
    if (request.url === '/v1/models') return send(response, json({ data: list.map((id) => ({ id })) }))
    if (request.url.startsWith('/free')) return send(response, completion())
    if (counts && request.url.includes('tokens')) return send(response, json({ input_tokens: 77 }))
    if (request.headers['payment-signature'] === undefined) return send(response, asking(1_000n))
    send(response, completion())
  })
  list = ['small', 'big']
  const base = { api_base: seller.apiBase, payer: 'base' }
  tollway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:NEVER_PAID_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', ...base, catalogue: true },
        { model_name: 'open/*', model: '*', ...base },
        { model_name: 'open/exact', model: 'exact', ...base },
        { model_name: 'counted', ...base, paid_endpoints: ['/v1/messages/count_tokens'] },
        { model_name: 'chat-only', ...base, paid_endpoints: ['/chat/completions'] },
        { model_name: 'free/*', model: '*', api_base: `${seller.url}/free` },
        { model_name: 'free/exact', model: 'exact', api_base: `${seller.url}/free` },
      ],
      router: { aliases: { quick: 'paid/small' } },
    },
    { payers: new Map([['base', cash()]]) },
  )
})

afterAll(async () => {
  await tollway?.close()
  await seller?.close()
})

beforeEach(() => {
  seller.requests.length = 0
  counts = false
})

const text = 'How many tokens are these? '.repeat(20)

async function count(path: string, body: object): Promise<Response> {
  return await fetch(`${tollway.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

describe('counting tokens on a paid route', () => {
  const client = (): Anthropic => new Anthropic({ baseURL: tollway.url, apiKey: 'none', maxRetries: 0 })
  const messages = [{ role: 'user' as const, content: text }]

  test('is estimated here where the seller charges for it, for the Anthropic SDK', async () => {
    const { input_tokens: tokens } = await client().messages.countTokens({ model: 'open/claude', messages })
    expect(tokens).toBeGreaterThan(text.length / 6)
    expect(tokens).toBeLessThan(text.length / 2)
    expect([asked(), paid()]).toEqual([1, 0])
  })

  test("is the seller's own count where that is free", async () => {
    counts = true
    expect(await client().messages.countTokens({ model: 'open/claude', messages })).toMatchObject({
      input_tokens: 77,
    })
    expect(paid()).toBe(0)
  })

  test.each(['/v1/responses/input_tokens', '/responses/input_tokens'])(
    'at %s too, in the form of that API',
    async (path) => {
      const answer = await count(path, { model: 'open/gpt', input: text })
      expect(answer.headers.get('x-tollway-spent')).toBe('no')
      expect(await answer.json()).toMatchObject({ object: 'response.input_tokens' })
      expect(paid()).toBe(0)
    },
  )

  test('counts an image as an image, not by its bytes', async () => {
    const data = 'A'.repeat(100_000)
    const content = [{ type: 'image', source: { type: 'base64', media_type: 'image/png', data } }]
    const answer = await count('/v1/messages/count_tokens', {
      model: 'open/x',
      messages: [{ role: 'user', content }],
    })
    expect(await answer.json()).toMatchObject({ input_tokens: expect.closeTo(1_650, -2) as number })
  })

  test('is paid where the route says so', async () => {
    const answer = await count('/v1/messages/count_tokens', { model: 'counted', messages })
    expect([answer.status, answer.headers.get('x-tollway-spent'), paid()]).toEqual([200, 'yes', 1])
  })

  test.each(['/v1/embeddings', '/v1/rerank'])(
    '%s is refused on a route that does not pay for it',
    async (path) => {
      const answer = await count(path, { model: 'chat-only', input: 'x' })
      expect([answer.status, (await errorOf(answer)).code, paid()]).toEqual([400, 'endpoint_not_paid', 0])
      expect((await ask(tollway.url, { model: 'chat-only' })).headers.get('x-tollway-spent')).toBe('yes')
    },
  )
})

describe.each([false, true])('names that nobody sells, stream: %s', (stream) => {
  test.each([
    ['paid/*', 'paid/small'],
    [' paid/small', 'paid/small'],
    ['paid/small ', 'paid/small'],
    ['paid/small\u00a0', 'paid/small'],
    ['paid/sm\u200ball', 'paid/small'],
    ['paid/Small', 'paid/small'],
    ['paid/smal', 'paid/small'],
    ['paid/gone', undefined],
    ['PAID/SMALL', 'paid/small'],
    ['open/Exact', 'open/exact'],
    ['open/ex act', 'open/exact'],
    ['open/*', 'open/exact'],
    ['free/*', 'free/exact'],
    ['free/EXACT', 'free/exact'],
    ['free/exact ', 'free/exact'],
    ['Quick', 'quick'],
  ])('%j is 404 and names %j', async (model, near) => {
    const answer = await ask(tollway.url, { model, stream })
    const { code, message } = await errorOf(answer)
    expect([answer.status, code, asked()]).toEqual([404, 'model_not_found', 0])
    if (near !== undefined) expect(message).toContain(`"${near}"`)
  })

  test.each(['paid/small', 'quick', 'open/exact', 'open/anything', 'free/any model', 'free/exact'])(
    '%s is served',
    async (model) => {
      const answer = await ask(tollway.url, { model, stream })
      expect(answer.status).toBe(200)
      await answer.text()
    },
  )
})

test('a name outside a catalogue is looked up once more, and found when it is new', async () => {
  expect((await ask(tollway.url, { model: 'paid/newest' })).status).toBe(404)
  expect(reads()).toBe(1)
  list = [...list, 'newest']
  expect((await ask(tollway.url, { model: 'paid/newest' })).status).toBe(200)
  expect([reads(), paid()]).toEqual([2, 1])
})

test('the list of models holds no pattern of which a model is known, and costs nothing', async () => {
  const answer = await fetch(`${tollway.url}/v1/models`)
  const { data } = (await answer.json()) as { data: { id: string }[] }
  const ids = data.map(({ id }) => id)
  expect(ids.filter((id) => id.includes('*'))).toEqual([])
  expect(ids).toEqual(expect.arrayContaining(['paid/small', 'open/exact', 'free/exact', 'quick']))
  expect([asked(), paid()]).toEqual([0, 0])
})
