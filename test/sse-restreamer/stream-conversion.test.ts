/** JSON for clients that stream, streams for clients that do not, with the official SDKs as the judges. */
import type { ServerResponse } from 'node:http'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import type { Candidate, Route } from '../../src/core/routing/route.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { ask, signalled, startWorld, type World, type WorldOptions } from '../kit/relay-world.ts'
import { eventsOf } from '../kit/sse.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

async function world(options: WorldOptions): Promise<World> {
  const started = await startWorld(options)
  worlds.push(started)
  return started
}

const answering =
  (type: string, ...parts: (string | Buffer)[]) =>
  (_request: unknown, response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': type })
    for (const part of parts) response.write(part)
    response.end()
  }

const asked = { request: { stream: true, body: Buffer.from('{}') } }
const plain = { request: { stream: false, body: Buffer.from('{}') } }

const route = (fields: Partial<Route>): Candidate => ({
  remoteModel: 'm',
  route: {
    modelName: 'paid/*',
    model: undefined,
    apiBase: 'https://seller.test/v1',
    payer: 'cash',
    apiKey: undefined,
    order: 0,
    ...fields,
  },
})

const CHAT = {
  id: 'c1',
  object: 'chat.completion',
  created: 7,
  model: 'm1',
  choices: [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: null,
        refusal: null,
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'one', arguments: '{"x":1}' } },
          { id: 'b', type: 'function', function: { name: 'two', arguments: '{}' } },
        ],
      },
      finish_reason: 'tool_calls',
    },
  ],
  usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7, cost: 99 },
}
const RESPONSE = {
  id: 'resp_1',
  object: 'response',
  created_at: 7,
  model: 'm1',
  status: 'completed',
  output: [
    {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      status: 'completed',
      content: [{ type: 'output_text', text: 'hello', annotations: [] }],
    },
    {
      id: 'fc_1',
      type: 'function_call',
      status: 'completed',
      call_id: 'a',
      name: 'one',
      arguments: '{"x":1}',
    },
  ],
  usage: { input_tokens: 5, output_tokens: 2, total_tokens: 7 },
}
const MESSAGE = {
  id: 'msg_1',
  type: 'message',
  role: 'assistant',
  model: 'm1',
  content: [
    { type: 'text', text: 'hello' },
    { type: 'tool_use', id: 'a', name: 'one', input: { x: 1 } },
  ],
  stop_reason: 'tool_use',
  stop_sequence: null,
  usage: { input_tokens: 5, output_tokens: 2 },
}

const openai = (url: string) => new OpenAI({ baseURL: url, apiKey: 'x', maxRetries: 0 })
const anthropic = (url: string) => new Anthropic({ baseURL: url, apiKey: 'x', maxRetries: 0 })
const ASK = { model: 'm', messages: [{ role: 'user' as const, content: 'hi' }] }

describe('a JSON answer for a client that streams', () => {
  test('reaches the OpenAI SDK as a stream with every tool call, usage and the paid cost', async () => {
    const { url, exchange } = await world({
      kind: 'paid',
      exchange: { ...asked, relay: { usageChunk: 'asked' } },
      seller: answering('application/json', JSON.stringify(CHAT)),
    })
    const runner = openai(url).chat.completions.stream({ ...ASK, stream_options: { include_usage: true } })
    const final = await runner.finalChatCompletion()
    expect(final.choices[0]?.finish_reason).toBe('tool_calls')
    expect(final.choices[0]?.message.tool_calls).toMatchObject(CHAT.choices[0]?.message.tool_calls ?? [])
    expect(final.usage).toEqual({ ...CHAT.usage, cost: 0.001 })
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
    expect(exchange().record.details['converted']).toBe('json_to_sse')
  })

  test('reaches the OpenAI SDK as Responses events', async () => {
    const { url } = await world({
      kind: 'paid',
      endpoint: '/responses',
      exchange: asked,
      seller: answering('application/json', JSON.stringify(RESPONSE)),
    })
    const final = await openai(url).responses.stream({ model: 'm', input: 'hi' }).finalResponse()
    expect(final.output_text).toBe('hello')
    expect(final.output).toMatchObject(RESPONSE.output)
    expect(final.usage).toMatchObject({ output_tokens: 2, cost: 0.001 })
  })

  test('reaches the Anthropic SDK as message events', async () => {
    const { url } = await world({
      kind: 'paid',
      endpoint: '/messages',
      exchange: asked,
      seller: answering('application/json', JSON.stringify(MESSAGE)),
    })
    const final = await anthropic(url)
      .messages.stream({ ...ASK, max_tokens: 9 })
      .finalMessage()
    expect(final.content).toMatchObject(MESSAGE.content)
    expect(final.stop_reason).toBe('tool_use')
    expect(final.usage).toMatchObject({ input_tokens: 5, output_tokens: 2 })
  })

  test('stays as it is when it is no answer', async () => {
    const { url } = await world({
      kind: 'paid',
      exchange: asked,
      seller: answering('application/json', '{"note":"x"}'),
    })
    const answer = await ask(url)
    expect(await answer.text()).toBe('{"note":"x"}')
    expect(answer.message.headers['content-type']).toBe('application/json')
  })

  test.each([
    [
      '8 MiB',
      '/chat/completions',
      { choices: [{ index: 0, message: { role: 'assistant', content: 'LONG' } }] },
      {},
      1_700_000,
    ],
    [
      'a smaller limit',
      '/completions',
      { choices: [{ index: 0, text: 'LONG' }] },
      { maxJsonBytes: 2000 },
      1000,
    ],
    [
      'a smaller limit',
      '/messages',
      { ...MESSAGE, content: [{ type: 'text', text: 'LONG' }] },
      { maxJsonBytes: 2000 },
      1000,
    ],
  ])('of more than %s becomes a stream too: %s', async (_limit, endpoint, answer, restreamer, times) => {
    const long = 'x"é'.repeat(times)
    const { url, exchange } = await world({
      kind: 'paid',
      endpoint,
      exchange: asked,
      restreamer,
      seller: answering(
        'application/json',
        JSON.stringify(answer).replace('LONG', long.replaceAll('"', '\\"')),
      ),
    })
    const received = await ask(url)
    expect(await received.end()).toBe('whole')
    expect(received.message.headers['content-type']).toContain('text/event-stream')
    const texts = eventsOf(received.bytes).flatMap(({ data }) => {
      if (data === '[DONE]') return []
      const event = JSON.parse(data) as {
        choices?: { text?: string; delta?: { content?: string } }[]
        delta?: { text?: string }
      }
      return event.delta?.text ?? event.choices?.[0]?.delta?.content ?? event.choices?.[0]?.text ?? ''
    })
    expect(texts.join('') === long).toBe(true)
    expect(exchange().relay).toMatchObject({ truncated: false, conversion: 'json_to_sse' })
  })

  test('that is too large to convert is delivered as JSON with its cost', async () => {
    const { url } = await world({
      kind: 'paid',
      exchange: asked,
      restreamer: { maxJsonBytes: 100 },
      seller: answering('application/json', JSON.stringify(CHAT)),
    })
    expect(await (await ask(url)).text()).toBe(JSON.stringify(CHAT).replace('"cost":99', '"cost":0.001'))
  })

  test('stays as it is on an unpaid route', async () => {
    const text = JSON.stringify(CHAT)
    const { url } = await world({
      kind: 'unpaid',
      exchange: asked,
      seller: answering('application/json', text),
    })
    expect(await (await ask(url)).text()).toBe(text)
  })
})

describe('a stream for a client that does not stream', () => {
  test('reaches the OpenAI SDK as one chat completion with its cost', async () => {
    const { url, exchange } = await world({
      kind: 'paid',
      exchange: { ...plain, relay: { usageChunk: 'forced' } },
      seller: answering('text/event-stream', streamOfJson('chat', JSON.stringify(CHAT)) ?? ''),
    })
    const { usage, choices } = await openai(url).chat.completions.create(ASK)
    expect(usage).toEqual({ ...CHAT.usage, cost: 0.001 })
    expect(choices[0]?.message.tool_calls).toEqual(CHAT.choices[0]?.message.tool_calls)
    expect(exchange().record.details['converted']).toBe('sse_to_json')
  })

  test('reaches the SDKs as a response and a message', async () => {
    const responses = await world({
      kind: 'paid',
      endpoint: '/responses',
      exchange: plain,
      seller: answering('text/event-stream', streamOfJson('responses', JSON.stringify(RESPONSE)) ?? ''),
    })
    const response = await openai(responses.url).responses.create({ model: 'm', input: 'hi' })
    expect(response.output_text).toBe('hello')
    const messages = await world({
      kind: 'paid',
      endpoint: '/messages',
      exchange: plain,
      seller: answering('text/event-stream', streamOfJson('anthropic', JSON.stringify(MESSAGE)) ?? ''),
    })
    const message = await anthropic(messages.url).messages.create({ ...ASK, max_tokens: 9 })
    expect(message).toMatchObject({ ...MESSAGE, usage: { output_tokens: 2, cost: 0.001 } })
  })

  test('is a truncated answer when it broke, and an error when nothing of it came', async () => {
    const half = 'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"he"},"finish_reason":null}]}\n\n'
    const broken = await world({
      kind: 'paid',
      exchange: plain,
      seller: answering('text/event-stream', half),
    })
    const answer = await ask(broken.url)
    expect(JSON.parse(await answer.text())).toMatchObject({
      choices: [{ message: { content: 'he' }, finish_reason: 'length' }],
    })
    expect(answer.message.headers['x-tollway-truncated']).toBe('true')
    const empty = await world({ kind: 'paid', exchange: plain, seller: answering('text/event-stream', '') })
    const refused = await ask(empty.url)
    expect(refused.message.statusCode).toBe(400)
    expect(await refused.text()).toContain('paid_not_delivered')
  })
})

describe('the usage chunk', () => {
  const chunk = 'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
  const usage = 'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
  const lines =
    'id: 3\ndata: {"id":"c1","choices":[],\ndata: "usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
  const done = 'data: [DONE]\n\n'

  test.each([
    ['of one line', usage, chunk + done],
    ['of several lines', lines, `${chunk}${done}`],
  ])('%s is read and not passed on when only Tollway asked for it', async (_case, told, expected) => {
    const { url, exchange } = await world({
      kind: 'paid',
      exchange: { ...asked, relay: { usageChunk: 'forced' } },
      seller: answering('text/event-stream', chunk, told, done),
    })
    expect(await (await ask(url)).text()).toBe(expected)
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
  })

  test('of a truncated stream says so to a client that asked for it', async () => {
    const { url } = await world({
      kind: 'paid',
      exchange: { ...asked, relay: { usageChunk: 'asked' } },
      seller: answering('text/event-stream', chunk.replace('"stop"', 'null')),
    })
    const answer = await ask(url)
    const events = eventsOf(Buffer.from(await answer.text()))
    expect(JSON.parse(events.at(-2)?.data ?? '')).toMatchObject({ usage: { truncated: true, cost: 0.001 } })
    expect(answer.message.trailers).toMatchObject({
      'x-tollway-truncated': 'true',
      'x-tollway-spent': 'yes',
    })
  })
})

describe('a silent paid stream', () => {
  test('loses a byte order mark that would stand behind the first comment', () => {
    const relay = new SseRelay({ splicer: undefined, shape: 'chat', onTruncated: 'length' })
    const said = [relay.comment('keep-alive'), relay.push(Buffer.from('\ufeffdata: [DONE]\n\n'))]
    const bytes = Buffer.concat(said.map((part) => part ?? Buffer.alloc(0)))
    expect(bytes.toString()).toBe(': keep-alive\n\ndata: [DONE]\n\n')
  })

  test('is kept alive by comments between events, and never inside one', async () => {
    const timers = new ManualTimers()
    const started = signalled<ServerResponse>()
    const half = 'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n'
    const { url } = await world({
      kind: 'paid',
      exchange: asked,
      restreamer: { timers, keepaliveMs: 1500 },
      seller: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.flushHeaders()
        started.resolve(response)
      },
    })
    const asking = ask(url)
    const seller = await started.promise
    await timers.fire(1500)
    const answer = await asking
    await answer.until(': keep-alive\n\n')
    seller.write(half)
    await answer.until('half')
    await timers.fire(1500)
    await timers.armed(1500)
    seller.end('\ndata: [DONE]\n\n')
    expect(await answer.text()).toBe(`: keep-alive\n\n${half}\ndata: [DONE]\n\n`)
    await timers.idle()
  })

  test('that was opened to keep the client ends as a truncated answer, not as an error that clients repeat', async () => {
    const timers = new ManualTimers()
    const started = signalled<ServerResponse>()
    const { url, error } = await world({
      kind: 'paid',
      exchange: asked,
      restreamer: { timers, keepaliveMs: 1500 },
      seller: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.write('data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n', () =>
          started.resolve(response),
        )
      },
    })
    const asking = ask(url)
    const seller = await started.promise
    await timers.fire(1500)
    const answer = await asking
    await answer.until(': keep-alive')
    seller.end('data: {"error":{"message":"GPU"}}\n\n')
    const text = await answer.text()
    expect(text).toContain('"role":"assistant"')
    expect(text).toMatch(/"finish_reason":"length".*\n\n(?:data: .*\n\n)?data: \[DONE\]\n\n$/)
    expect(text).not.toContain('GPU')
    expect(error()).toBeUndefined()
  })

  test('is told apart from an unpaid one, which stays byte for byte', async () => {
    const timers = new ManualTimers()
    const { url } = await world({
      kind: 'unpaid',
      exchange: asked,
      restreamer: { timers, keepaliveMs: 1500, idleMs: 9000 },
      seller: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.flushHeaders()
      },
    })
    const answer = await ask(url)
    await timers.armed(9000)
    expect(timers.size).toBe(1)
    answer.leave()
    await timers.idle()
  })
})

describe('a burst on a route with a pace', () => {
  const parts = [
    'data: {"choices":[{"delta":{"content":"1"}}]}\n\n',
    'data: {"choices":[{"delta":{"content":"2"}}]}\r\n\r\n',
    'data: [DONE]\n\n',
  ] as const
  test('reaches the client event by event', async () => {
    const timers = new ManualTimers()
    const { url } = await world({
      kind: 'paid',
      exchange: { ...asked, routing: { candidate: route({ eventsPerSecond: 4 }) } },
      restreamer: { timers },
      seller: answering('text/event-stream', parts.join('')),
    })
    const answer = await ask(url)
    await answer.until(parts[0])
    await timers.armed(250)
    expect(answer.bytes.toString()).toBe(parts[0])
    await timers.fire(250)
    await answer.until(parts[1])
    await timers.fire(250)
    expect(await answer.text()).toBe(parts.join(''))
  })

  test('stops when the client leaves', async () => {
    const timers = new ManualTimers()
    const { url } = await world({
      kind: 'paid',
      exchange: { ...asked, routing: { candidate: route({ eventsPerSecond: 4 }) } },
      restreamer: { timers },
      seller: answering('text/event-stream', parts.join('')),
    })
    const answer = await ask(url)
    await timers.armed(250)
    answer.leave()
    await timers.idle()
  })
})
