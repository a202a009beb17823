/** Anthropic's SDKs read only events with the right name: paid streams get it where it is missing or wrong. */
import Anthropic from '@anthropic-ai/sdk'
import * as fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { startWorld, type World } from '../kit/relay-world.ts'
import { cut, eventsOf } from '../kit/sse.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const EVENTS = [
  {
    type: 'message_start',
    message: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'x',
      content: [],
      usage: { input_tokens: 3 },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'ping' },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } },
  { type: 'content_block_stop', index: 0 },
  {
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    usage: { output_tokens: 2 },
  },
  { type: 'message_stop' },
]
type Form = (type: string, data: string) => string

const named: Form = (type, data) => `event: ${type}\ndata: ${data}\n\n`
const FORMS: Readonly<Record<string, Form>> = {
  'no names': (_type, data) => `data: ${data}\n\n`,
  'an empty name': (_type, data) => `event:\ndata: ${data}\n\n`,
  'one name for all': (_type, data) => `event: message\ndata: ${data}\n\n`,
  'ids and comments beside them': (_type, data) => `: x\nid: 7\ndata: ${data}\n\n`,
  'wrong names behind the data': (_type, data) => `data: ${data}\nevent: chunk\n\n`,
  'data in several lines': (_type, data) => `data: {\ndata: ${data.slice(1)}\n\n`,
  'data in several lines and a wrong name': (_type, data) => `event: x\ndata: {\ndata: ${data.slice(1)}\n\n`,
  CRLF: (_type, data) => `event: message\r\ndata: ${data}\r\n\r\n`,
  'right names': named,
}

const streamOf = (form: Form): string =>
  EVENTS.map((event) => form(event.type, JSON.stringify(event))).join('')

describe.each(Object.entries(FORMS))('a paid stream with %s', (_name, form) => {
  test('reaches the Anthropic SDK', async () => {
    const world = await startWorld({
      kind: 'paid',
      endpoint: '/messages',
      exchange: { request: { stream: true, body: Buffer.from('{}') } },
      seller: (_request, response) => {
        response.writeHead(200, { 'content-type': 'text/event-stream' })
        response.end(streamOf(form))
      },
    })
    worlds.push(world)
    const client = new Anthropic({ baseURL: world.url, apiKey: 'x', maxRetries: 0 })
    const message = await client.messages
      .stream({ model: 'm', max_tokens: 9, messages: [{ role: 'user', content: 'hi' }] })
      .finalMessage()
    expect(message).toMatchObject({
      content: [{ type: 'text', text: 'hello' }],
      stop_reason: 'end_turn',
      usage: { output_tokens: 2 },
    })
  })

  test('is the same however it was cut, and every event has the name of its type', () => {
    const text = Buffer.from(streamOf(form))
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (places) => {
        const relay = new SseRelay({ splicer: undefined, shape: 'anthropic', onTruncated: 'length' })
        const out = cut(text, places).map((chunk) => relay.push(chunk))
        const end = relay.end(false, { requestId: 'r', model: 'm', nowMs: 0 })
        const events = eventsOf(Buffer.concat([...out, end.bytes]))
        expect(events.map(({ event, data }) => [event, JSON.parse(data)])).toEqual(
          EVENTS.map((event) => [event.type, event]),
        )
      }),
      { numRuns: 50 },
    )
  })
})

test('a stream with the right names keeps its bytes', () => {
  const relay = new SseRelay({ splicer: undefined, shape: 'anthropic', onTruncated: 'length' })
  expect(relay.push(Buffer.from(streamOf(named))).toString()).toBe(streamOf(named))
})

test('an event over the limit gets its name too', () => {
  const relay = new SseRelay({
    splicer: undefined,
    shape: 'anthropic',
    onTruncated: 'length',
    maxLineBytes: 500,
  })
  const text = 'x'.repeat(2000)
  const long = { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }
  const events = eventsOf(relay.push(Buffer.from(`data: ${JSON.stringify(long)}\n\n`)))
  expect(events).toMatchObject([{ event: 'content_block_delta', data: JSON.stringify(long) }])
})

test('an unpaid stream keeps its bytes', async () => {
  const text = streamOf((_type, data) => `data: ${data}\n\n`)
  const world = await startWorld({
    kind: 'unpaid',
    endpoint: '/messages',
    seller: (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      response.end(text)
    },
  })
  worlds.push(world)
  expect(await (await fetch(world.url, { method: 'POST' })).text()).toBe(text)
})
