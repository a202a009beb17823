/** What calls to keyed upstreams cost is told in the answer and in reports, by every kind of price. */
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ask, startGateway, type TestGateway } from '../kit/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { completion, events, json } from '../kit/seller-answers.ts'
import { cutAfter } from '../kit/seller-faults.ts'

/** Bills a key. */
let upstream: ScriptedSeller
let gateway: TestGateway

const TOKENS = {
  input_usd_per_token: '0.000001',
  output_usd_per_token: '0.00001',
  cached_input_usd_per_token: '0.0000001',
  cache_write_usd_per_token: '0.000002',
  reasoning_usd_per_token: '0.0001',
  max_output_tokens: 1000,
}

beforeAll(async () => {
  upstream = await startScriptedSeller(() => completion())
  const route = (name: string, info: object, more: object = {}): object => ({
    model_name: name,
    model: 'm',
    api_base: upstream.apiBase,
    model_info: info,
    ...more,
  })
  gateway = await startGateway({
    model_list: [
      route('tokens', TOKENS),
      route('flat', { usd_per_request: '0.002' }),
      route('images', { input_usd_per_image: '0.001', output_usd_per_image: '0.04' }),
      route('seconds', { input_usd_per_second: '0.0001' }),
      route('time', { output_usd_per_second: '0.01' }, { timeouts: { total_seconds: 60 } }),
      route('none', {}),
      route('capped', TOKENS, { default_max_tokens: 77 }),
      route('streams-only', TOKENS, { always_stream: true }),
    ],
    budgets: [{ name: 'all', limit_usd: '100', window: 'day' }],
  })
})
afterAll(async () => {
  await gateway.close()
  await upstream.close()
})
beforeEach(() => {
  upstream.follow(() => completion())
})

const cost = (answer: Response): (string | null)[] => [
  answer.headers.get('x-tollway-cost-usd'),
  answer.headers.get('x-tollway-cost-basis'),
]

/** The newest settled record, once everything is booked. */
async function settled(): Promise<Record<string, unknown> | undefined> {
  await expect.poll(async () => (await rows()).every(({ held_usd: held }) => held === '0')).toBe(true)
  return (await gateway.audit()).findLast(({ type }) => type === 'charge.settled')
}

async function rows(): Promise<{ readonly held_usd: string; readonly spent_usd: string }[]> {
  const answer = await fetch(`${gateway.url}/api/budgets`)
  return ((await answer.json()) as { budgets: { held_usd: string; spent_usd: string }[] }).budgets
}

const sentBody = (): Record<string, unknown> =>
  JSON.parse(String(upstream.requests.at(-1)?.body ?? '{}')) as Record<string, unknown>

describe('a JSON answer of a keyed upstream', () => {
  test('has its cost in the headers and in usage.cost, as it is booked, whatever cost the upstream names', async () => {
    const usage = { prompt_tokens: 20, completion_tokens: 5, cost: 99 }
    upstream.follow(() => completion({ usage }))
    const answer = await ask(gateway.url, { model: 'tokens' })
    expect(cost(answer)).toEqual(['0.00007', 'exact'])
    expect(answer.headers.get('x-litellm-response-cost')).toBe('0.00007')
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    expect(await answer.json()).toMatchObject({ usage: { ...usage, cost: 0.00007 } })
    expect(await settled()).toMatchObject({ charged: '70', reason: 'usage' })
  })

  test('keeps every other byte', async () => {
    const body = '{ "choices":[],\n "usage" : {"prompt_tokens":20,"completion_tokens":5 }, "x":1.0 }'
    upstream.follow(() => ({ status: 200, headers: { 'content-type': 'application/json' }, body }))
    const answer = await ask(gateway.url, { model: 'tokens' })
    expect(await answer.text()).toBe(body.replace('5 }', '5 ,"cost":0.00007}'))
  })

  test('is read where it comes compressed, though it was asked for as it is', async () => {
    upstream.follow((request, response) => {
      expect(request.headers['accept-encoding']).toBe('identity')
      const body = gzipSync(
        JSON.stringify({ choices: [], usage: { prompt_tokens: 20, completion_tokens: 5 } }),
      )
      response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(body)
    })
    const answer = await ask(gateway.url, { model: 'tokens' })
    expect(cost(answer)).toEqual(['0.00007', 'exact'])
    expect(await answer.json()).toMatchObject({ usage: { cost: 0.00007 } })
  })

  test('without usage tells the most that it may have cost, as it is booked', async () => {
    upstream.follow(() => json({ choices: [] }))
    const answer = await ask(gateway.url, { model: 'tokens', max_tokens: 10 })
    const most = 2 * (upstream.requests.at(-1)?.body.length ?? 0) + 10 * 100
    expect(cost(answer)).toEqual([String(most / 1e6), 'maximum'])
    expect(answer.headers.get('x-litellm-response-cost')).toBeNull()
    expect(await answer.json()).toEqual({ choices: [] })
    expect(await settled()).toMatchObject({ reason: 'estimated', amount: String(most) })
  })

  test('that is an error, or of a model without a price, passes as it came', async () => {
    upstream.follow(() => json({ error: { message: 'no' }, usage: { prompt_tokens: 1 } }, {}, 400))
    const refused = await ask(gateway.url, { model: 'tokens' })
    expect(cost(refused)).toEqual([null, null])
    expect(await refused.text()).toBe('{"error":{"message":"no"},"usage":{"prompt_tokens":1}}')
    upstream.follow(() => completion({ usage: { prompt_tokens: 1, completion_tokens: 1, cost: 7 } }))
    const free = await ask(gateway.url, { model: 'none' })
    expect(cost(free)).toEqual([null, null])
    expect(await free.json()).toMatchObject({ usage: { cost: 7 } })
  })
})

describe('a stream of a keyed upstream', () => {
  const CHUNK = '{"choices":[{"delta":{"content":"hi"}}]}'
  const USAGE = '{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":5}}'

  test('tells the most in its headers and its cost in the usage chunk that the client asked for', async () => {
    upstream.follow(() => events([CHUNK, USAGE, '[DONE]']))
    const body = { model: 'tokens', stream: true, stream_options: { include_usage: true }, max_tokens: 10 }
    const answer = await ask(gateway.url, body)
    const most = 2 * (upstream.requests.at(-1)?.body.length ?? 0) + 10 * 100
    expect(cost(answer)).toEqual([String(most / 1e6), 'maximum'])
    const told = USAGE.replace('5}', '5,"cost":0.00007}')
    expect(await answer.text()).toBe(`data: ${CHUNK}\n\ndata: ${told}\n\ndata: [DONE]\n\n`)
    expect(await settled()).toMatchObject({ charged: '70', reason: 'usage' })
  })

  test('is asked for its usage where the client did not, which then does not see it', async () => {
    upstream.follow(() => events([CHUNK, USAGE, '[DONE]']))
    const answer = await ask(gateway.url, { model: 'tokens', stream: true })
    expect(await answer.text()).toBe(`data: ${CHUNK}\n\ndata: [DONE]\n\n`)
    expect(sentBody()).toMatchObject({ stream_options: { include_usage: true } })
    expect(await settled()).toMatchObject({ charged: '70', reason: 'usage' })
    await (await ask(gateway.url, { model: 'none', stream: true })).text()
    expect(sentBody()['stream_options']).toBeUndefined()
  })

  test('keeps an error as it came, and counts the most', async () => {
    const failed = '{"error":{"message":"overloaded","code":529}}'
    upstream.follow(() => events([CHUNK, failed]))
    const answer = await ask(gateway.url, { model: 'tokens', stream: true })
    expect(await answer.text()).toBe(`data: ${CHUNK}\n\ndata: ${failed}\n\n`)
    expect(await settled()).toMatchObject({ reason: 'estimated' })
  })

  test('that breaks off is cut off for the client, and counts the most', async () => {
    upstream.follow(cutAfter(60, events([CHUNK, CHUNK, USAGE, '[DONE]'])))
    const answer = await ask(gateway.url, { model: 'tokens', stream: true })
    await expect(answer.text()).rejects.toThrow()
    expect(await settled()).toMatchObject({ reason: 'estimated' })
  })

  test('becomes JSON with its cost where the upstream does nothing but stream', async () => {
    const done = '{"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    upstream.follow(() => events([CHUNK, done, USAGE, '[DONE]']))
    const answer = await ask(gateway.url, { model: 'streams-only' })
    expect(cost(answer)).toEqual(['0.00007', 'exact'])
    expect(await answer.json()).toMatchObject({ usage: { cost: 0.00007 } })
  })
})

describe('the price of', () => {
  test.each([
    [
      'cached input (OpenAI)',
      { prompt_tokens: 100, completion_tokens: 0, prompt_tokens_details: { cached_tokens: 90 } },
      19,
    ],
    ['cached input (Anthropic)', { input_tokens: 10, output_tokens: 0, cache_read_input_tokens: 90 }, 19],
    ['what a cache keeps', { input_tokens: 10, output_tokens: 0, cache_creation_input_tokens: 50 }, 110],
    [
      'reasoning',
      { prompt_tokens: 0, completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 8 } },
      810,
    ],
  ])('%s counts, and is reserved at the dearest', async (_name, usage, micro) => {
    upstream.follow(() => completion({ usage }))
    const answer = await ask(gateway.url, { model: 'tokens', pad: 'x'.repeat(200) })
    expect(cost(answer)).toEqual([(micro / 1e6).toFixed(6).replace(/0+$/, ''), 'exact'])
    await answer.text()
    expect(await settled()).toMatchObject({ charged: String(micro) })
  })

  test('a request is exact without any usage', async () => {
    upstream.follow(() => json({ choices: [] }))
    const answer = await ask(gateway.url, { model: 'flat' })
    expect(cost(answer)).toEqual(['0.002', 'exact'])
    await answer.text()
    expect(await settled()).toMatchObject({ charged: '2000', reason: 'usage' })
  })

  test('pictures counts those in the request, at the tools as well, and those that are made', async () => {
    const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }
    const content = [
      { type: 'text', text: '{"type":"image"}' },
      image,
      { type: 'tool_result', content: [{ type: 'image', source: {} }] },
    ]
    const seen = await ask(gateway.url, { model: 'images', messages: [{ role: 'user', content }] })
    expect(cost(seen)).toEqual(['0.002', 'exact'])
    const post = async (path: string, init: RequestInit): Promise<Response> =>
      await fetch(`${gateway.url}/v1${path}`, { method: 'POST', ...init })
    const made = await post('/images/generations', {
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'images', prompt: 'a', n: 3 }),
    })
    expect(cost(made)).toEqual(['0.12', 'exact'])
    const form = new FormData()
    form.set('model', 'images')
    form.set('n', '2')
    form.set('image', new Blob(['x']), 'a.png')
    // A form's model is not renamed: it goes to the route whose model has its name.
    expect((await post('/images/edits', { body: form })).status).toBe(200)
    expect(await settled()).toMatchObject({ charged: '80000' })
  })

  test('a second counts the audio that was transcribed, elsewhere the time that the call took', async () => {
    upstream.follow(() => json({ text: 'hello', usage: { type: 'duration', seconds: 12.5 } }))
    const form = new FormData()
    form.set('model', 'seconds')
    form.set('file', new Blob(['x'.repeat(20_000)]), 'a.mp3')
    const answer = await fetch(`${gateway.url}/v1/audio/transcriptions`, { method: 'POST', body: form })
    expect(cost(answer)).toEqual(['0.00125', 'exact'])
    await answer.text()
    expect(await settled()).toMatchObject({ charged: '1250' })
    upstream.follow(() => completion())
    const timed = await ask(gateway.url, { model: 'time' })
    expect(cost(timed)).toEqual(['0.6', 'maximum'])
    await timed.text()
    const record = await settled()
    expect(record).toMatchObject({ reason: 'usage', amount: '600000' })
    expect(Number(record?.['charged'])).toBeLessThan(600_000)
  })
})

describe('a limit on output tokens of the route', () => {
  test('is sent where the client sets none, is told, and is all that is reserved', async () => {
    const answer = await ask(gateway.url, { model: 'capped' })
    expect(answer.headers.get('x-tollway-max-tokens')).toBe('77')
    await answer.text()
    expect(sentBody()).toMatchObject({ max_tokens: 77 })
    expect(await settled()).toMatchObject({
      amount: String(2 * (upstream.requests.at(-1)?.body.length ?? 0) + 77 * 100),
    })
    const own = await ask(gateway.url, { model: 'capped', max_completion_tokens: 900 })
    expect(own.headers.get('x-tollway-max-tokens')).toBeNull()
    expect(sentBody()['max_tokens']).toBeUndefined()
    const responses = await fetch(`${gateway.url}/v1/responses`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'capped', input: 'hello', max_output_tokens: null }),
    })
    await responses.text()
    expect(sentBody()).toMatchObject({ max_output_tokens: 77 })
  })
})

test('the page and reports count what keyed upstreams bill, as budgets do', async () => {
  await settled()
  const spent = Number((await rows())[0]?.spent_usd)
  const charges = (await (await fetch(`${gateway.url}/api/charges?limit=100`)).json()) as {
    charges: { payer: string; state: string; usd: string }[]
  }
  const keyed = charges.charges.filter(({ payer, state }) => payer === '(keyed)' && state === 'settled')
  expect(keyed.length).toBeGreaterThan(10)
  expect(keyed.reduce((sum, { usd }) => sum + Number(usd), 0)).toBeCloseTo(spent, 6)
})

describe('reduce_max_tokens on a keyed route', () => {
  test('rule 2: lowers the limit as far as every budget has room, and no further than it may', async () => {
    const small = await startGateway({
      model_list: [
        {
          model_name: 'less',
          api_base: upstream.apiBase,
          model_info: { output_usd_per_token: '0.001' },
          reduce_max_tokens: 100,
        },
      ],
      budgets: [
        { name: 'day', limit_usd: '1.00', window: 'day' },
        { name: 'each', limit_usd: '0.80', window: 'request' },
        { name: 'tokens', limit_tokens: 2000, window: 'day' },
      ],
    })
    try {
      upstream.follow(() => completion({ usage: { prompt_tokens: 0, completion_tokens: 700 } }))
      const first = await ask(small.url, { model: 'less', max_tokens: 5000 })
      expect(first.status).toBe(200)
      expect(first.headers.get('x-tollway-max-tokens')).toBe('800')
      expect(sentBody()).toMatchObject({ max_tokens: 800 })
      await first.text()
      await expect.poll(async () => await small.metric('tollway_budget_held_usd')).toBe(0)
      // 0.30 is left of the day.
      const second = await ask(small.url, { model: 'less', max_tokens: 5000, max_completion_tokens: 200 })
      expect(sentBody()).toMatchObject({ max_tokens: 300, max_completion_tokens: 200 })
      upstream.follow(() => completion({ usage: { prompt_tokens: 0, completion_tokens: 250 } }))
      await second.text()
      await expect.poll(async () => await small.metric('tollway_budget_held_usd')).toBe(0)
      const sent = upstream.requests.length
      const third = await ask(small.url, { model: 'less', max_tokens: 5000 })
      expect(third.status).toBe(402)
      const unlimited = await ask(small.url, { model: 'less' })
      expect(unlimited.status).toBe(402)
      expect(upstream.requests.length).toBe(sent)
      expect(await small.metric('tollway_budget_refusals_total')).toBe(2)
      expect(await small.metric('tollway_reduced_requests_total')).toBe(2)
    } finally {
      await small.close()
    }
  })
})
