/** `client_left` stands in the record of a paid answer only when the client left before it had all of it. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { auditLogger } from '../../middleware/audit-logger.ts'
import { ask, signalled, startWorld, type World } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const CHUNK = 'data: {"choices":[{"index":0,"delta":{"content":"he"},"finish_reason":null}]}\n\n'
const WHOLE = `${CHUNK}data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n`
const EVENTS = 'text/event-stream'
const JSON_TYPE = 'application/json'
const IMAGES = '/images/generations'

interface Case {
  readonly type: string
  readonly body: string
  readonly end?: (response: ServerResponse) => void
  readonly endpoint?: string
  readonly status?: number
  readonly stream?: boolean
}

const cut = (response: ServerResponse): void => {
  setImmediate(() => response.destroy())
}

/** A gateway whose record of the request can be waited for. */
async function recorded({ type, body, end, endpoint, status = 200, stream = true }: Case) {
  const record = signalled<Record<string, unknown>>()
  const logger = auditLogger({ audit: { append: async (_type, fields) => record.resolve(fields) } })
  const world = await startWorld({
    kind: 'paid',
    endpoint,
    exchange: { request: { stream, body: Buffer.from('{}') } },
    onResponse: (response) => logger(response.req, response, () => {}),
    seller: (_request, response) => {
      response.writeHead(status, { 'content-type': type })
      if (end) response.write(body, () => end(response))
      else response.end(body)
    },
  })
  worlds.push(world)
  const details = async (): Promise<unknown> => ((await record.promise) as { details: unknown }).details
  return { world, details }
}

test.each<[string, Case]>([
  ['a whole stream', { type: EVENTS, body: WHOLE }],
  ['a whole JSON answer', { type: JSON_TYPE, body: '{"choices":[{"text":"x"}]}', stream: false }],
  ['an answer without a body', { type: JSON_TYPE, body: '', status: 204 }],
  ['a stream without content', { type: EVENTS, body: 'data: [DONE]\n\n' }],
  ['a stream of an error', { type: EVENTS, body: 'data: {"error":{"message":"no"}}\n\n' }],
  ['a stream that the seller cuts', { type: EVENTS, body: CHUNK, end: cut }],
  ['a stream that the seller cuts before content', { type: EVENTS, body: ': x\n\n', end: cut }],
  [
    'a stream that ends with an error',
    { type: EVENTS, body: `${CHUNK}data: {"error":{"message":"no"}}\n\n` },
  ],
  ['a stream of images that we cut', { type: EVENTS, body: 'data: {"b":1}\n\n', end: cut, endpoint: IMAGES }],
  ['a web page', { type: 'text/html', body: '<html></html>' }],
  ['JSON that is cut', { type: JSON_TYPE, body: '{"choices":', stream: false }],
  ['JSON of an error', { type: JSON_TYPE, body: '{"error":{"message":"no"}}', stream: false }],
  [
    'a stream of an error for a client that wants JSON',
    { type: EVENTS, body: 'data: {"error":"no"}\n\n', stream: false },
  ],
])('it is not written for %s', async (_name, answer) => {
  const { world, details } = await recorded(answer)
  await (await ask(world.url)).end()
  expect(await details()).not.toHaveProperty('client_left')
})

test('it is not written for a client that closes a kept connection after its answer', async () => {
  const { world, details } = await recorded({ type: EVENTS, body: WHOLE })
  const { port } = new URL(world.url)
  const socket = connect(Number(port), '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
  let text = ''
  for await (const part of socket) {
    text += String(part)
    if (text.includes('[DONE]')) break
  }
  expect(await details()).not.toHaveProperty('client_left')
})

test('it is written for a client that leaves a stream, and one that leaves a JSON answer that is held', async () => {
  for (const [type, body, stream] of [
    [EVENTS, CHUNK, true],
    [JSON_TYPE, '{"choices":[', false],
  ] as const) {
    const started = signalled<ServerResponse>()
    const { world, details } = await recorded({
      type,
      body,
      stream,
      end: (response) => started.resolve(response),
    })
    const { port } = new URL(world.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    const seller = await started.promise
    if (stream) await once(socket, 'data')
    const gone = once(seller, 'close')
    socket.destroy()
    await gone
    expect(await details()).toMatchObject({ client_left: 'aborted' })
  }
})

test('it is not written for a client that a shutdown cuts off', async () => {
  for (const [type, body, stream] of [
    [EVENTS, CHUNK, true],
    [JSON_TYPE, '{"choices":[', false],
  ] as const) {
    const started = signalled<ServerResponse>()
    const { world, details } = await recorded({
      type,
      body,
      stream,
      end: (response) => started.resolve(response),
    })
    const socket = connect(Number(new URL(world.url).port), '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
    await started.promise
    if (stream) await once(socket, 'data')
    world.exchange().relay.closedBy = 'shutdown'
    socket.destroy()
    expect(await details()).toEqual({ closed_by: 'shutdown' })
  }
})
