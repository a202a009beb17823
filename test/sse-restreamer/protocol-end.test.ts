/** The protocol's last event ends an answer, whatever the seller's connection does after it. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualTimers } from '../kit/manual-timers.ts'
import { ask, signalled, startWorld, type World, type WorldOptions } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const CHAT = `data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"hello"},"finish_reason":null}]}\n\ndata: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`
const MESSAGE = [
  { type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [], usage: {} } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
  { type: 'message_stop' },
]
  .map((data) => `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`)
  .join('')
const responseOf = (status: string): string =>
  ['created', status]
    .map(
      (name) =>
        `event: response.${name}\ndata: {"type":"response.${name}","response":{"id":"r","status":"${name}","output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}]}}\n\n`,
    )
    .join('')

const ENDS = [
  ['/chat/completions', CHAT],
  ['/completions', CHAT.replaceAll('"delta":{"role":"assistant","content":"hello"}', '"text":"hello"')],
  ['/messages', MESSAGE],
  ['/responses', responseOf('completed')],
  ['/responses', responseOf('incomplete')],
  ['/images/generations', 'data: {"type":"image_generation.completed"}\n\ndata: [DONE]\n\n'],
] as const

/** A seller whose connection stays open behind its last byte. */
function open(options: Partial<WorldOptions> & { readonly body: string }) {
  const timers = new ManualTimers()
  const asked = signalled<ServerResponse>()
  const closed = signalled()
  const { body, ...rest } = options
  const started = startWorld({
    kind: 'paid',
    exchange: { request: { stream: true, body: Buffer.from('{}') } },
    restreamer: { timers, idleMs: 5000, keepaliveMs: 0 },
    seller: (_request, seller) => {
      void once(seller, 'close').then(() => closed.resolve())
      seller.writeHead(200, { 'content-type': 'text/event-stream' })
      seller.write(body, () => asked.resolve(seller))
    },
    ...rest,
  }).then((made) => {
    worlds.push(made)
    return made
  })
  return { started, timers, seller: asked.promise, closed: closed.promise }
}

describe.each(ENDS)('a paid stream of %s', (endpoint, body) => {
  test('reaches its client whole at the protocol end; the seller has a second, heartbeats or not', async () => {
    const { started, timers, seller, closed } = open({ endpoint, body })
    const { url, exchange } = await started
    const answer = await ask(url)
    expect(await answer.end()).toBe('whole')
    expect(answer.bytes.toString().replace(',"cost":0.001', '')).toBe(body)
    expect(exchange().relay.truncated).toBe(false)
    const response = await seller
    response.write(': still here\n\n')
    response.write('data: {"choices":[{"delta":{"content":"more"}}]}\n\n')
    await timers.fire(1000)
    await closed
    await timers.idle()
  })
})

test('a paid stream for a client that wants JSON is whole at the protocol end too', async () => {
  for (const [endpoint, body] of ENDS.slice(0, 5)) {
    const { started, timers, closed } = open({
      endpoint,
      body,
      exchange: { request: { stream: false, body: Buffer.from('{}') } },
    })
    const { url } = await started
    const answer = await ask(url)
    expect(await answer.text()).toContain('hello')
    expect(answer.message.headers['content-type']).toBe('application/json')
    await timers.fire(1000)
    await closed
  }
})

test('a seller that closes by itself is not cut off', async () => {
  const { started, timers, seller } = open({ body: CHAT })
  const { url } = await started
  await (await ask(url)).end()
  const response = await seller
  const finished = once(response, 'finish')
  response.end(': bye\n\n')
  await finished
  expect(response.writableFinished).toBe(true)
  await timers.idle()
})

test('a failed response ends a paid stream at once', async () => {
  const { started } = open({ endpoint: '/responses', body: responseOf('failed') })
  const { url } = await started
  const answer = await ask(url)
  expect(answer.message.statusCode).toBe(400)
})

describe('an unpaid stream', () => {
  test.each(ENDS)('of %s that falls silent behind its end is ended, not reset', async (endpoint, body) => {
    const { started, timers, seller, closed } = open({ kind: 'unpaid', endpoint, body })
    const { url, exchange } = await started
    const answer = await ask(url)
    await answer.until(body)
    const response = await seller
    const heartbeat = ': heartbeat\n\n'
    response.write(heartbeat)
    await answer.until(heartbeat)
    await timers.fire(1000)
    expect(await answer.end()).toBe('whole')
    expect(answer.bytes.toString()).toBe(body + heartbeat)
    expect(exchange().relay.truncated).toBe(false)
    await closed
    await timers.idle()
  })

  test('that is reset behind its end is ended, and before it is cut', async () => {
    for (const [body, end] of [
      [CHAT, 'whole'],
      [MESSAGE, 'whole'],
      [CHAT.replace('data: [DONE]\n\n', ''), 'cut'],
    ] as const) {
      const { started, seller } = open({ kind: 'unpaid', body })
      const { url } = await started
      const answer = await ask(url)
      await answer.until(body)
      ;(await seller).destroy()
      expect(await answer.end()).toBe(end)
    }
  })
})

test('the SDKs have their answers although the connection stays', async () => {
  const chat = await open({ body: CHAT }).started
  const client = new OpenAI({ baseURL: chat.url, apiKey: 'x', maxRetries: 0 })
  const final = await client.chat.completions
    .stream({ model: 'm', messages: [{ role: 'user', content: 'hi' }] })
    .finalChatCompletion()
  expect(final.choices[0]?.message.content).toBe('hello')
  const messages = await open({ endpoint: '/messages', body: MESSAGE }).started
  const anthropic = new Anthropic({ baseURL: messages.url, apiKey: 'x', maxRetries: 0 })
  const message = await anthropic.messages
    .stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] })
    .finalMessage()
  expect(message.content).toMatchObject([{ text: 'hello' }])
})

describe('trailers', () => {
  test('are announced only to clients that take them', async () => {
    for (const [headers, announced] of [
      [{ te: 'trailers' }, true],
      [{ te: 'gzip;q=0.5, Trailers' }, true],
      [{ te: 'deflate' }, false],
      [{}, false],
    ] as const) {
      const { started } = open({ body: CHAT })
      const { url } = await started
      const answer = await ask(url, headers)
      expect(await answer.end()).toBe('whole')
      expect('trailer' in answer.message.headers).toBe(announced)
      expect(answer.message.trailers['x-tollway-truncated']).toBe(announced ? 'false' : undefined)
    }
  })

  test.each(['HTTP/1.0', 'HTTP/1.0 with TE'])('are none for %s, whose paid streams work', async (client) => {
    const { started } = open({ body: CHAT })
    const { port } = new URL((await started).url)
    const socket = connect(Number(port), '127.0.0.1')
    const te = client.endsWith('TE') ? 'TE: trailers\r\n' : ''
    socket.write(`POST / HTTP/1.0\r\nHost: 127.0.0.1\r\n${te}Content-Length: 0\r\n\r\n`)
    const parts: Buffer[] = []
    for await (const part of socket) parts.push(Buffer.from(part))
    const text = Buffer.concat(parts).toString()
    expect(text).toMatch(/^HTTP\/1\.1 200 /)
    expect(text.toLowerCase()).not.toContain('trailer')
    expect(text.slice(text.indexOf('\r\n\r\n') + 4)).toBe(CHAT)
  })
})
