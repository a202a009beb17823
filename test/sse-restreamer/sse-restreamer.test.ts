import { IncomingMessage, ServerResponse, type OutgoingHttpHeaders } from 'node:http'
import { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import * as fc from 'fast-check'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ClientSink } from '../../middleware/sse-restreamer/relay-body.ts'
import { sseRestreamer } from '../../middleware/sse-restreamer.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import {
  ask,
  ClientAnswer,
  settledCharge,
  signalled,
  startWorld,
  type World,
  type WorldOptions,
} from '../kit/relay-world.ts'
import { cut, eventsOf, eventsOfStream } from '../kit/sse.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

async function world(options: WorldOptions): Promise<World> {
  const started = await startWorld(options)
  worlds.push(started)
  return started
}

const Chunk = z.looseObject({ usage: z.looseObject({ cost: z.unknown().optional() }).nullish() })

const SSE = { 'content-type': 'text/event-stream; charset=utf-8' }
const JSON_HEADERS = { 'content-type': 'application/json' }
const chunk = (content: string, finish: string | null = null): string =>
  `data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m1","choices":[{"index":0,"delta":{"content":${JSON.stringify(content)}},"finish_reason":${JSON.stringify(finish)}}]}\n\n`
const usageChunk = (extra = ''): string =>
  `data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m1","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7${extra}}}\n\n`
const DONE = 'data: [DONE]\n\n'
const WHOLE = `${chunk('he')}: ping\n\n${chunk('llo')}${chunk('', 'stop')}${usageChunk(',"cost":99')}${DONE}`

/** A seller that sends these chunks, each only when the one before has been handed to the socket. */
function sending(parts: readonly (string | Buffer)[], headers: OutgoingHttpHeaders = SSE) {
  return (_request: unknown, response: ServerResponse): void => {
    response.writeHead(200, headers)
    response.flushHeaders()
    const send = async (): Promise<void> => {
      for (const part of parts) await new Promise<void>((resolve) => response.write(part, () => resolve()))
      response.end()
    }
    void send()
  }
}

/** The events as data, with the cost taken out. */
function withoutCost(bytes: Buffer): unknown[] {
  return eventsOf(bytes).map(({ event, id, data }) => {
    if (data === '[DONE]') return { event, id, json: data }
    const json = Chunk.parse(JSON.parse(data))
    if (json.usage) delete json.usage.cost
    return { event, id, json }
  })
}

function costs(bytes: Buffer): unknown[] {
  return eventsOf(bytes)
    .filter(({ data }) => data !== '[DONE]')
    .map(({ data }) => Chunk.parse(JSON.parse(data)).usage?.cost)
    .filter((cost) => cost !== undefined)
}

/** The last event before `[DONE]`. */
function ended(text: string): unknown {
  const events = eventsOf(Buffer.from(text))
  expect(events.at(-1)?.data).toBe('[DONE]')
  return JSON.parse(events.at(-2)?.data ?? 'null')
}

/** A paid stream whose client leaves after the first event. */
function leaving(onDisconnect: 'abort' | 'drain') {
  const timers = new ManualTimers()
  const closed = signalled()
  let response: ServerResponse | undefined
  const started = world({
    kind: 'paid',
    restreamer: { onDisconnect, idleMs: 5000, drainMs: 60_000, timers },
    seller: (_request, res) => {
      response = res
      res.on('close', () => closed.resolve())
      res.writeHead(200, SSE)
      res.write(chunk('he'))
    },
  })
  const seller = (): ServerResponse => {
    if (!response) throw new Error('the seller was not asked')
    return response
  }
  return { started, timers, closed: closed.promise, seller }
}

describe('a paid stream', () => {
  test('reaches the client with every event as it was and the paid cost in its usage', async () => {
    const { url, exchange } = await world({ kind: 'paid', seller: sending([WHOLE]) })
    const answer = await ask(url)
    expect(await answer.end()).toBe('whole')
    expect(answer.bytes.toString()).toBe(WHOLE.replace('"cost":99', '"cost":0.001'))
    expect(withoutCost(answer.bytes)).toEqual(withoutCost(Buffer.from(WHOLE)))
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
    expect(exchange().relay.truncated).toBe(false)
    expect(exchange().relay.firstByteAt).toBeTypeOf('number')
  })

  test('is read the same by a client that uses EventSourceParserStream', async () => {
    const { url } = await world({
      kind: 'paid',
      seller: sending(cut(Buffer.from(WHOLE), Array(400).fill(3))),
    })
    const reply = await fetch(url, { method: 'POST' })
    if (!reply.body) throw new Error('no body')
    const events = await eventsOfStream(reply.body)
    expect(events.map(({ data }) => data)).toEqual(
      eventsOf(Buffer.from(WHOLE)).map(({ data }) => data.replace('"cost":99', '"cost":0.001')),
    )
  })

  test('is relayed byte by byte as it comes: the client has the first event before the second is made', async () => {
    const first = signalled()
    const { url } = await world({
      kind: 'paid',
      seller: (_request, response) => {
        response.writeHead(200, SSE)
        response.write(chunk('one'))
        void first.promise.then(() => response.end(`${chunk('two', 'stop')}${DONE}`))
      },
    })
    const answer = await ask(url)
    await answer.until('"one"')
    expect(answer.bytes.toString()).toBe(chunk('one'))
    first.resolve()
    expect(await answer.end()).toBe('whole')
    expect(answer.bytes.toString()).toBe(chunk('one') + chunk('two', 'stop') + DONE)
  })

  test('is not opened before there is something to deliver', async () => {
    const go = signalled()
    const timers = new ManualTimers()
    const role = '{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}'
    const { url, exchange } = await world({
      kind: 'paid',
      seller: (_request, response) => {
        response.writeHead(200, { ...SSE, 'content-length': '1000' })
        response.write(`: hello\n\ndata: ${role}\n\n`, () => go.resolve())
      },
      restreamer: { idleMs: 5000, timers },
    })
    const asked = ask(url)
    await go.promise
    await timers.armed(5000)
    expect(exchange().relay.firstByteAt).toBeUndefined()
    await timers.fire(5000)
    const answer = await asked
    expect(answer.message.statusCode).toBe(400)
    expect(await answer.text()).toContain('paid_not_delivered')
  })

  test('has its headers and all that was held back with its first content', async () => {
    const { url, exchange } = await world({
      kind: 'paid',
      seller: sending([': hello\n\n', chunk(''), chunk('yes'), chunk('', 'stop')], {
        ...SSE,
        'content-length': '1000',
      }),
    })
    const answer = await ask(url)
    expect(answer.message.headers).toMatchObject({
      'content-type': SSE['content-type'],
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-tollway-spent': 'yes',
      'x-tollway-cost-usd': '0.001',
    })
    expect(answer.message.headers['content-length']).toBeUndefined()
    await answer.until('yes')
    expect(answer.bytes.toString()).toMatch(/^: hello/)
    expect(exchange().relay.firstByteAt).toBeDefined()
  })

  test('of a kind that only some sellers have is delivered as it is', async () => {
    const text = 'data: {"response":"Hel"}\n\ndata: {"response":"lo"}\n\ndata: [DONE]\n\n'
    const { url } = await world({ kind: 'paid', seller: sending([text]) })
    expect(await (await ask(url)).text()).toBe(text)
  })

  test('is the same however the seller cut it into chunks, with CR, LF or CRLF line ends and a byte order mark', async () => {
    let parts: readonly Buffer[] = []
    const { url } = await world({
      kind: 'paid',
      seller: (request, response) => sending(parts)(request, response),
    })
    const lineEnd = fc.constantFrom('\n', '\r', '\r\n')
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(
        lineEnd,
        fc.boolean(),
        fc.string({ unit: 'grapheme' }),
        sizes,
        async (end, bom, words, cuts) => {
          const text = `${chunk(words)}${chunk('🦆', 'stop')}${usageChunk()}${DONE}`
          const whole = Buffer.from((bom ? '\ufeff' : '') + text.replaceAll('\n', end))
          parts = cut(whole, cuts)
          const answer = await ask(url)
          expect(await answer.end()).toBe('whole')
          const expected = whole.toString().replace('"total_tokens":7', '"total_tokens":7,"cost":0.001')
          expect(answer.bytes.toString()).toBe(expected)
          expect(costs(answer.bytes)).toEqual([0.001])
          expect(withoutCost(answer.bytes)).toEqual(withoutCost(whole))
        },
      ),
      { numRuns: 60 },
    )
  })

  test('tells its cost in the usage of the final Responses event', async () => {
    const text =
      'event: response.completed\ndata: {"type":"response.completed","response":{"id":"r","usage":{"input_tokens":3,"output_tokens":4}}}\n\n'
    const { url, exchange } = await world({ kind: 'paid', endpoint: '/responses', seller: sending([text]) })
    expect(await (await ask(url)).text()).toBe(
      text.replace('"output_tokens":4', '"output_tokens":4,"cost":0.001'),
    )
    expect(exchange().relay.usage).toEqual({ inputTokens: 3, outputTokens: 4 })
  })

  test("tells its cost in the usage of Anthropic's message_delta", async () => {
    const start =
      'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":9}}}\n\n'
    const delta = 'event: message_delta\ndata: {"type":"message_delta","usage":{"output_tokens":6}}\n\n'
    const stop = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    const { url, exchange } = await world({
      kind: 'paid',
      endpoint: '/messages',
      seller: sending([start, delta, stop]),
    })
    expect(await (await ask(url)).text()).toBe(start + delta.replace('6}', '6,"cost":0.001}') + stop)
    expect(exchange().relay.usage).toEqual({ inputTokens: 9, outputTokens: 6 })
  })

  test('with a line over 1 MiB passes that line on unread, but for its cost', async () => {
    const long = `data: {"usage":{"cost":1},"x":"${'y'.repeat(1_100_000)}"}\n\n`
    const { url } = await world({
      kind: 'paid',
      seller: sending([long, chunk('a', 'stop'), usageChunk(), DONE]),
    })
    const text = await (await ask(url)).text()
    const expected = long.replace('"cost":1', '"cost":0.001')
    expect(text === expected + chunk('a', 'stop') + usageChunk(',"cost":0.001') + DONE).toBe(true)
  })

  test('tells its cost in the first choice too, where some clients look for it', async () => {
    const text = chunk('a', 'stop').replace(
      '"finish_reason":"stop"',
      '"finish_reason":"stop","usage":{"prompt_tokens":3,"completion_tokens":4,"cost":9}',
    )
    const { url, exchange } = await world({ kind: 'paid', seller: sending([text, DONE]) })
    expect(await (await ask(url)).text()).toBe(text.replace('"cost":9', '"cost":0.001') + DONE)
    expect(exchange().relay.usage).toEqual({ inputTokens: 3, outputTokens: 4 })
  })

  test("has the cost in Anthropic's message_start overwritten", async () => {
    const start =
      'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":9,"cost":9}}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    const { url } = await world({ kind: 'paid', endpoint: '/messages', seller: sending([start]) })
    expect(await (await ask(url)).text()).toBe(start.replace('"cost":9', '"cost":0.001'))
  })

  test('has the cost overwritten in an event whose data is spread over several lines', async () => {
    const text =
      'event: message_start\ndata: {"type":"message_start","message":{"id":"m"}}\n\ndata: {"usage":\ndata:  {"cost":\ndata: 9}}\n\ndata: {"usage":{"cost":9}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    const { url } = await world({ kind: 'paid', endpoint: '/messages', seller: sending([text]) })
    expect(await (await ask(url)).text()).toBe(text.replaceAll('9}', '0.001}'))
  })

  test.each([
    [
      "Anthropic's error",
      '/images/edits',
      '{"type":"error","error":{"type":"overloaded_error","message":"GPU"}}',
    ],
    ["Responses' error", '/images/edits', '{"type":"error","code":"GPU","message":"GPU","param":null}'],
    [
      "Responses' failure",
      '/images/edits',
      '{"type":"response.failed","response":{"id":"r","error":{"code":"GPU","message":"GPU"}}}',
    ],
    ["vLLM's error", '/images/edits', '{"object":"error","message":"GPU","code":400}'],
    ["FastAPI's error", '/images/edits', '{"detail":"GPU"}'],
    ["MiniMax's error", '/audio/speech', '{"base_resp":{"status_code":5,"status_msg":"GPU"}}'],
    ['an escaped error', '/images/edits', '{"type":"\\u0065rror","\\u0065rror":{"message":"GPU"}}'],
  ])('has its words exchanged for ours in %s event', async (_case, endpoint, data) => {
    const { url, exchange } = await world({
      kind: 'paid',
      endpoint,
      seller: sending([`data: {"type":"image_generation.partial_image"}\n\nevent: x\ndata: ${data}\n\n`]),
    })
    const text = await (await ask(url)).text()
    expect(text).not.toContain('GPU')
    expect(text).toContain('Do not resend')
    expect(JSON.parse(eventsOf(Buffer.from(text))[1]?.data ?? '')).toBeTypeOf('object')
    expect(exchange().record.details['stream_error']).toContain('GPU')
    expect(exchange().relay.truncated).toBe(true)
  })

  test('keeps the words of events that are no error', async () => {
    const text =
      'data: {"type":"response.completed","message":"fine","response":{"error":null,"id":"error"}}\n\n'
    const { url, exchange } = await world({ kind: 'paid', endpoint: '/responses', seller: sending([text]) })
    expect(await (await ask(url)).text()).toBe(text)
    expect(exchange().relay.truncated).toBe(false)
  })

  test('waits for a slow client: nothing more is taken from the seller while the socket is full', async () => {
    const full = signalled()
    const block = Buffer.from(`: ${'x'.repeat(64_000)}\n\n`)
    // 64 MB, all there at once: far more than sockets hold.
    const blocks = 1000
    let taken = 0
    async function* endless(): AsyncGenerator<Buffer> {
      while (taken < blocks) {
        taken++
        yield block
      }
      yield Buffer.from(chunk('', 'stop') + DONE)
    }
    const body = Object.assign(endless(), { destroy: () => {} })
    const { url } = await world({
      kind: 'none',
      seller: () => {},
      exchange: {
        payment: { charge: settledCharge },
        relay: { reply: { status: 200, headers: SSE, body, kind: 'paid' } },
      },
      onResponse: (response) => {
        const write = response.write.bind(response)
        response.write = (...args: [never]) => {
          const roomLeft = write(...args)
          if (!roomLeft && response.socket?.writableNeedDrain) full.resolve()
          return roomLeft
        }
      },
    })
    const answer = await ask(url)
    answer.message.pause()
    await full.promise
    expect(taken).toBeLessThan(blocks / 2)
    answer.message.resume()
    expect(await answer.end()).toBe('whole')
    expect(answer.bytes.length).toBe(blocks * block.length + chunk('', 'stop').length + DONE.length)
  })
})

describe('a paid chat stream that breaks', () => {
  const lengthChunk = {
    id: 'c1',
    object: 'chat.completion.chunk',
    created: 7,
    model: 'm1',
    choices: [{ index: 0, delta: {}, finish_reason: 'length' }],
  }

  test.each([
    ['between two events', chunk('he')],
    ['in the middle of a line', `${chunk('he')}data: {"id":"c1","choi`],
    ['before the blank line of an event', chunk('he').slice(0, -1)],
    ['in the middle of a CRLF', chunk('he').replaceAll('\n', '\r\n').slice(0, -3)],
  ])('%s ends as a truncated answer', async (_where, text) => {
    const received = signalled()
    const { url, exchange } = await world({
      kind: 'paid',
      seller: (_request, response) => {
        response.writeHead(200, SSE)
        response.write(text)
        void received.promise.then(() => response.destroy())
      },
    })
    const answer = await ask(url)
    await answer.until('"he"')
    received.resolve()
    expect(await answer.end()).toBe('whole')
    expect(ended(answer.bytes.toString())).toEqual(lengthChunk)
    expect(eventsOf(answer.bytes)[0]?.data).toContain('"he"')
    expect(eventsOf(answer.bytes)).toHaveLength(3)
    expect(exchange().relay.truncated).toBe(true)
  })

  test('by ending without finish_reason and [DONE] ends as a truncated answer', async () => {
    const { url, exchange } = await world({ kind: 'paid', seller: sending([chunk('he')]) })
    expect(ended(await (await ask(url)).text())).toEqual(lengthChunk)
    expect(exchange().relay.truncated).toBe(true)
  })

  test('of another endpoint before its first event has a status too', async () => {
    for (const event of ['data: {"type":"error","error":{"message":"GPU"}}\n\n', ': nothing\n\n', '']) {
      const { url, error } = await world({
        kind: 'paid',
        endpoint: '/images/generations',
        seller: sending([event]),
      })
      expect((await ask(url)).message.statusCode).toBe(400)
      expect(error()).toMatchObject({ code: 'paid_not_delivered' })
    }
  })

  test('without an id ends as a truncated answer under the name the client used', async () => {
    const bare = 'data: {"choices":[{"index":0,"delta":{"content":"he"}}]}\n\n'
    const { url, exchange } = await world({ kind: 'paid', seller: sending([bare]) })
    const text = await (await ask(url)).text()
    expect(ended(text)).toMatchObject({ id: `chatcmpl-${exchange().id}`, model: 'paid/m' })
  })

  test('finishes each choice that has not finished, and no other', async () => {
    const two = chunk('b').replace('"index":0', '"index":1')
    const { url } = await world({ kind: 'paid', seller: sending([chunk('a'), two, chunk('', 'stop')]) })
    expect(ended(await (await ask(url)).text())).toMatchObject({
      choices: [{ index: 1, finish_reason: 'length' }],
    })
  })

  test('is read by the official client as an answer cut for length, not as an error', async () => {
    const received = signalled()
    const { url } = await world({
      kind: 'paid',
      seller: (_request, response) => {
        response.writeHead(200, SSE)
        response.write(chunk('he'))
        void received.promise.then(() => response.destroy())
      },
    })
    const client = new OpenAI({ apiKey: 'x', baseURL: url, maxRetries: 0 })
    const stream = await client.chat.completions.create({
      model: 'paid/m',
      stream: true,
      messages: [{ role: 'user', content: 'hi' }],
    })
    const reasons: unknown[] = []
    for await (const part of stream) {
      reasons.push(part.choices[0]?.finish_reason)
      received.resolve()
    }
    expect(reasons).toEqual([null, 'length'])
  })

  test('by an error event ends as a truncated answer, the words kept for the record only', async () => {
    const error = 'data: {"error":{"message":"GPU on fire","type":"server_error"}}\n\n'
    const { url, exchange } = await world({
      kind: 'paid',
      seller: sending([chunk('he') + error + chunk('lost')]),
    })
    const text = await (await ask(url)).text()
    expect(ended(text)).toEqual(lengthChunk)
    expect(text).not.toContain('GPU')
    expect(text).not.toContain('lost')
    expect(exchange().record.details['stream_error']).toBe('GPU on fire')
  })

  test.each([
    [
      'in the choice',
      'data: {"choices":[{"index":0,"delta":{},"error":{"code":502,"message":"GPU down"}}]}\n\n',
    ],
    ['beside no choices', 'data: {"choices":[],"error":{"message":"GPU down"}}\n\n'],
    ['as vLLM does', 'data: {"object":"error","message":"GPU down","code":500}\n\n'],
    [
      'as MiniMax does',
      'data: {"base_resp":{"status_code":1002,"status_msg":"GPU down"},"choices":null}\n\n',
    ],
    ['as FastAPI does', 'data: {"detail":"GPU down"}\n\n'],
    ['by its name only', 'event: error\ndata: {"reason":"GPU down"}\n\n'],
    ['by its name, as text', 'event: error\ndata: GPU down\n\n'],
    ['as a wrapper does', 'data: {"success":false,"message":"GPU down"}\n\n'],
  ])('by an error %s ends as a truncated answer', async (_how, event) => {
    const { url, exchange } = await world({ kind: 'paid', seller: sending([chunk('he'), event, DONE]) })
    const text = await (await ask(url)).text()
    expect(ended(text)).toMatchObject({ choices: [{ finish_reason: 'length' }] })
    expect(text).not.toContain('GPU')
    expect(exchange().record.details['stream_error']).toContain('GPU down')
  })

  test.each(['{}', '[]', 'null', '""', '{"code":0,"message":""}', '{"message":null,"code":null}'])(
    'is not told by an error of %s beside content, paid or unpaid',
    async (error) => {
      const beside = `data: {"id":"c1","choices":[{"index":0,"delta":{"content":"llo"}}],"base_resp":{"status_code":0},"error":${error}}\n\n`
      const stream = `${chunk('he')}${beside}${chunk('', 'stop')}${usageChunk()}${DONE}`
      for (const [kind, endpoint] of [
        ['paid', '/chat/completions'],
        ['paid', '/images/generations'],
        ['unpaid', '/chat/completions'],
      ] as const) {
        const { url, exchange } = await world({ kind, endpoint, seller: sending([stream]) })
        expect((await (await ask(url)).text()).replace(',"cost":0.001', '')).toBe(stream)
        expect(exchange().relay).toMatchObject({
          truncated: false,
          usage: { inputTokens: 5, outputTokens: 2 },
        })
      }
    },
  )

  test('by finish_reason "error" ends as a truncated answer', async () => {
    const { url } = await world({ kind: 'paid', seller: sending([chunk('he'), chunk('', 'error'), DONE]) })
    expect(ended(await (await ask(url)).text())).toEqual(lengthChunk)
  })

  test('after its finish_reason is a whole answer that only gets its [DONE]', async () => {
    const received = signalled()
    const { url, exchange } = await world({
      kind: 'paid',
      seller: (_request, response) => {
        response.writeHead(200, SSE)
        response.write(chunk('he', 'stop'))
        void received.promise.then(() => response.destroy())
      },
    })
    const answer = await ask(url)
    await answer.until('stop')
    received.resolve()
    expect(await answer.text()).toBe(chunk('he', 'stop') + DONE)
    expect(exchange().relay.truncated).toBe(false)
  })

  test('without [DONE] but whole is left as it is', async () => {
    const { url, exchange } = await world({ kind: 'paid', seller: sending([chunk('he', 'stop')]) })
    expect(await (await ask(url)).text()).toBe(chunk('he', 'stop'))
    expect(exchange().relay.truncated).toBe(false)
  })

  test('whose last line lacks its line end is whole all the same', async () => {
    const { url, exchange } = await world({ kind: 'paid', seller: sending([chunk('he'), 'data: [DONE]']) })
    expect(await (await ask(url)).text()).toBe(`${chunk('he')}data: [DONE]`)
    expect(exchange().relay.truncated).toBe(false)
  })

  test('whose last line lacks its line end and is not the last of the answer keeps that line', async () => {
    const { url } = await world({ kind: 'paid', seller: sending([chunk('he').trimEnd()]) })
    const text = await (await ask(url)).text()
    expect(ended(text)).toEqual(lengthChunk)
    expect(eventsOf(Buffer.from(text))[0]?.data).toContain('"he"')
  })

  test.each([
    ['LF', '\n'],
    ['CR', '\r'],
    ['CRLF', '\r\n'],
  ])('inside an event with %s line ends has its end in events of its own', async (_name, end) => {
    for (const onTruncated of ['length', 'error'] as const) {
      for (const [text, count] of [
        [chunk('he'), onTruncated === 'length' ? 3 : 2],
        [chunk('he', 'stop'), 2],
      ] as const) {
        const sent = signalled()
        const { url } = await world({
          kind: 'paid',
          seller: (_request, response) => {
            response.writeHead(200, SSE)
            response.write(text.trimEnd() + end)
            void sent.promise.then(() => response.destroy())
          },
          restreamer: { onTruncated },
        })
        const answer = await ask(url)
        await answer.until(end)
        sent.resolve()
        await answer.end()
        const events = eventsOf(answer.bytes).map(({ data }) => data)
        expect(events).toHaveLength(count)
        expect(events[0]).toBe(text.slice('data: '.length).trimEnd())
      }
    }
  })

  test('ends with an in-stream error and no [DONE] where the route says so', async () => {
    const { url } = await world({
      kind: 'paid',
      seller: sending([chunk('he')]),
      restreamer: { onTruncated: 'error' },
    })
    const events = eventsOf(Buffer.from(await (await ask(url)).text()))
    expect(events).toHaveLength(2)
    expect(JSON.parse(events[1]?.data ?? '')).toMatchObject({
      error: { type: 'invalid_request_error', code: 'paid_not_delivered' },
    })
  })

  test('of text completions ends with an empty text', async () => {
    const text =
      'data: {"id":"t1","created":7,"model":"m1","choices":[{"index":0,"text":"he","finish_reason":null}]}\n\n'
    const { url } = await world({ kind: 'paid', endpoint: '/completions', seller: sending([text]) })
    expect(ended(await (await ask(url)).text())).toMatchObject({
      id: 't1',
      object: 'text_completion',
      choices: [{ index: 0, text: '', finish_reason: 'length' }],
    })
  })

  test('of another endpoint is cut, so that the client can tell', async () => {
    const received = signalled()
    const { url, exchange } = await world({
      kind: 'paid',
      endpoint: '/images/edits',
      seller: (_request, response) => {
        response.writeHead(200, SSE)
        response.write('data: {"type":"response.created"}\n\n')
        void received.promise.then(() => response.destroy())
      },
    })
    const answer = await ask(url)
    await answer.until('created')
    received.resolve()
    expect(await answer.end()).toBe('cut')
    expect(exchange().relay.truncated).toBe(true)
  })

  test('by silence ends as a truncated answer, and the seller is let go', async () => {
    const timers = new ManualTimers()
    const gone = signalled()
    const { url, exchange } = await world({
      kind: 'paid',
      restreamer: { idleMs: 5000, timers },
      seller: (_request, response) => {
        response.on('close', () => gone.resolve())
        response.writeHead(200, SSE)
        response.write(chunk('he'))
      },
    })
    const answer = await ask(url)
    await answer.until('"he"')
    await timers.fire(5000)
    expect(await answer.end()).toBe('whole')
    expect(ended(answer.bytes.toString())).toEqual(lengthChunk)
    expect(exchange().record.details['stream_broke']).toBe('BodyIdleError')
    await gone.promise
  })
})

describe('a client that leaves in the middle of a paid stream', () => {
  test('has the seller let go', async () => {
    const { started, closed, seller, timers } = leaving('abort')
    const answer = await ask((await started).url)
    await answer.until('"he"')
    answer.leave()
    await closed
    expect(seller().writableFinished).toBe(false)
    await timers.idle()
  })

  test('has the stream read to its end where the route says so, and its usage noted', async () => {
    const { started, timers, closed, seller } = leaving('drain')
    const { url, exchange } = await started
    const answer = await ask(url)
    await answer.until('"he"')
    answer.leave()
    await timers.armed(60_000)
    seller().end(chunk('llo', 'stop') + usageChunk() + DONE)
    await closed
    await timers.idle()
    expect(seller().writableFinished).toBe(true)
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
    expect(exchange().relay.truncated).toBe(false)
  })

  test('has the reading end after the time limit', async () => {
    const { started, timers, closed, seller } = leaving('drain')
    const answer = await ask((await started).url)
    await answer.until('"he"')
    answer.leave()
    await timers.fire(60_000)
    await closed
    expect(seller().writableFinished).toBe(false)
    await timers.idle()
  })

  test('has the reading end when the seller falls silent', async () => {
    const { started, timers, closed } = leaving('drain')
    const answer = await ask((await started).url)
    await answer.until('"he"')
    answer.leave()
    await timers.armed(60_000)
    await timers.fire(5000)
    await closed
    await timers.idle()
  })
})

describe('a client that stops reading', () => {
  const block = Buffer.from(`: ${'x'.repeat(64_000)}\n\n`)

  test.each(['paid', 'unpaid'] as const)('has its %s answer cut and the seller let go', async (kind) => {
    const timers = new ManualTimers()
    const full = signalled()
    const letGo = signalled()
    async function* endless(): AsyncGenerator<Buffer> {
      for (;;) yield block
    }
    const { url, exchange } = await world({
      kind: 'none',
      seller: () => {},
      restreamer: { idleMs: 5000, timers },
      exchange: {
        payment: { charge: settledCharge },
        relay: {
          reply: {
            status: 200,
            headers: SSE,
            body: Object.assign(endless(), { destroy: () => letGo.resolve() }),
            kind,
          },
        },
      },
      onResponse: (response) => {
        const write = response.write.bind(response)
        let writes = 0
        // There is room for the first piece, and never again.
        response.write = (...args: [never]) => {
          writes += 1
          if (writes === 1) return write(...args)
          full.resolve()
          return false
        }
      },
    })
    const answer = await ask(url)
    await full.promise
    // Between two turns no chunk is being waited for, only the client.
    await nextTurn()
    await timers.fire(5000)
    await letGo.promise
    expect(await answer.end()).toBe('cut')
    await timers.idle()
    expect(exchange().record.details['client']).toBe('stopped reading')
    expect(exchange().record.details).not.toHaveProperty('client_left')
  })

  const sink = (timers: ManualTimers): { response: ServerResponse; client: ClientSink; stalls: string[] } => {
    // Without a socket nothing is ever handed to the system.
    const response = new ServerResponse(new IncomingMessage(new Socket()))
    const stalls: string[] = []
    const client = new ClientSink(response, {
      idleMs: 5000,
      timers,
      onFirstByte: () => {},
      onStall: async () => void stalls.push('stalled'),
    })
    return { response, client, stalls }
  }

  test('before the last bytes of a whole answer is cut too', async () => {
    const timers = new ManualTimers()
    const { response, client, stalls } = sink(timers)
    await client.write(Buffer.from('x'))
    client.end()
    await timers.fire(5000)
    expect(response.destroyed).toBe(true)
    expect(stalls).toEqual(['stalled'])
  })

  test('is not one that reads a large piece slowly: each part of it has the whole time', async () => {
    const timers = new ManualTimers()
    const { response, client, stalls } = sink(timers)
    const sizes: number[] = []
    response.write = (bytes: Buffer) => {
      sizes.push(bytes.length)
      return false
    }
    const written = client.write(Buffer.alloc(200_000))
    for (let part = 0; part < 4; part++) {
      await timers.armed(5000)
      response.emit('drain')
    }
    await written
    expect(sizes).toEqual([65_536, 65_536, 65_536, 3392])
    expect(timers.size).toBe(0)
    expect(stalls).toEqual([])
  })
})

describe('a paid JSON answer', () => {
  test('gets the paid cost, keeps its other bytes, and has the right length', async () => {
    const body =
      '{ "id":12345678901234567890,\n "usage":{"prompt_tokens":5,"completion_tokens":2,"cost":99} }'
    const { url, exchange } = await world({
      kind: 'paid',
      seller: sending([body], { ...JSON_HEADERS, 'content-length': String(body.length) }),
    })
    const answer = await ask(url)
    const expected = body.replace('99', '0.001')
    expect(await answer.text()).toBe(expected)
    expect(answer.message.headers['content-length']).toBe(String(expected.length))
    expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
  })

  test.each(['{"usage":null}', '[{"a":1}]'])('that has no usage goes through as it is: %j', async (body) => {
    const { url } = await world({ kind: 'paid', seller: sending([body], JSON_HEADERS) })
    const answer = await ask(url)
    expect(await answer.text()).toBe(body)
    expect(answer.message.statusCode).toBe(200)
  })

  test.each([
    'not json',
    '{"usage":{"a":NaN}}',
    '{"a":1}{"a":1}',
    '{"a":"cut',
    '{"a":1},',
    '{"a":01}',
    `{"a":${'['.repeat(600)}${']'.repeat(600)}}`,
  ])('that no client can read is not delivered: %j', async (body) => {
    const { url } = await world({ kind: 'paid', seller: sending([body], JSON_HEADERS) })
    const answer = await ask(url)
    expect(answer.message.statusCode).toBe(400)
    expect(JSON.parse(await answer.text())).toMatchObject({ error: { code: 'paid_not_delivered' } })
  })

  test.each(['{"a":"cut', '{"a":"b"}{"a":"b"}', '{"a":"b"} NaN'])(
    'over the bound that is not whole at its end cuts the client off: %j',
    async (end) => {
      const { url, exchange } = await world({
        kind: 'paid',
        seller: sending([' '.repeat(200), end], JSON_HEADERS),
        restreamer: { maxJsonBytes: 100 },
      })
      const answer = await ask(url)
      await answer.text()
      expect(await answer.end()).toBe('cut')
      expect(exchange().relay.cut).toBe(true)
    },
  )

  test('over the bound is relayed as it comes, with the paid cost all the same', async () => {
    const go = signalled()
    const { url } = await world({
      kind: 'paid',
      restreamer: { maxJsonBytes: 10 },
      seller: (_request, response) => {
        const end = ',"cost":9},"x":1}'
        const start = '{"usage":{"cost":9,"a":"b"'
        response.writeHead(200, { ...JSON_HEADERS, 'content-length': String(start.length + end.length) })
        response.write(start)
        void go.promise.then(() => response.end(end))
      },
    })
    const answer = await ask(url)
    await answer.until('"a":"b"')
    go.resolve()
    expect(await answer.text()).toBe('{"usage":{"cost":0.001,"a":"b","cost":0.001},"x":1}')
    // Its length is not known when its headers are sent.
    expect(answer.message.headers['content-length']).toBeUndefined()
  })

  test('of 9 MB never shows the cost of the seller', async () => {
    const body = `{"pad":"${'x'.repeat(9_000_000)}","usage":{"prompt_tokens":1,"cost":99}}`
    const { url } = await world({ kind: 'paid', seller: sending([body], JSON_HEADERS) })
    const text = await (await ask(url)).text()
    expect(text.slice(-50)).toBe(body.replace('99', '0.001').slice(-50))
    expect(text.length).toBe(body.length + '0.001'.length - '99'.length)
  })

  test('over the bound that breaks off is cut, so that the client can tell', async () => {
    const received = signalled()
    const { url, exchange } = await world({
      kind: 'paid',
      restreamer: { maxJsonBytes: 10 },
      seller: (_request, response) => {
        response.writeHead(200, JSON_HEADERS)
        response.write('{"usage":{"cost":9')
        void received.promise.then(() => response.destroy())
      },
    })
    const answer = await ask(url)
    await answer.until('0.001')
    received.resolve()
    expect(await answer.end()).toBe('cut')
    expect(exchange().relay.truncated).toBe(true)
  })

  test('has no cost of the seller where what was paid has no value in USD', async () => {
    const { url } = await world({
      kind: 'none',
      seller: () => {},
      exchange: {
        payment: { charge: { ...settledCharge, microUsd: undefined } },
        relay: {
          reply: {
            status: 200,
            headers: JSON_HEADERS,
            body: Readable.from([Buffer.from('{"usage":{"cost":9}}')]),
            kind: 'paid',
          },
        },
      },
    })
    expect(await (await ask(url)).text()).toBe('{"usage":{"cost":null}}')
  })

  test('that breaks off becomes paid_not_delivered with a proper status, nothing of it sent', async () => {
    const { url } = await world({
      kind: 'paid',
      seller: (_request, response) => {
        response.writeHead(200, { ...JSON_HEADERS, 'content-length': '100' })
        response.write('{"id":', () => response.destroy())
      },
    })
    const answer = await ask(url)
    expect(answer.message.statusCode).toBe(400)
    expect(JSON.parse(await answer.text())).toMatchObject({ error: { code: 'paid_not_delivered' } })
  })
})

describe('the headers of a paid answer', () => {
  test('lack everything that could harm the client, and have ours', async () => {
    const bad = {
      'payment-response': 'x',
      'x-payment-response': 'x',
      'payment-required': 'x',
      'set-cookie': 'a=b',
      'retry-after': '1',
      'retry-after-ms': '1',
      'x-should-retry': 'true',
      'www-authenticate': 'Basic',
      'x-tollway-evil': '1',
      'x-litellm-model-id': '1',
      'access-control-allow-origin': '*',
      'x-hop': '1',
      location: '/',
      etag: 'x',
    }
    const { url, exchange } = await world({
      kind: 'paid',
      seller: sending(['{"choices":[{"message":{"content":"y"}}]}'], {
        ...bad,
        'x-tollway-spent': 'no',
        'x-request-id': 'theirs',
        connection: 'x-hop, keep-alive',
        'content-type': 'application/json',
        'x-model-version': '3',
      }),
    })
    const answer = await ask(url)
    const { headers } = answer.message
    expect(Object.keys(bad).filter((name) => name in headers)).toEqual([])
    expect(headers).toMatchObject({
      'content-type': 'application/json',
      'x-model-version': '3',
      'x-tollway-spent': 'yes',
      'x-request-id': exchange().id,
      'x-tollway-charge': exchange().payment.charge?.id,
    })
    await answer.end()
  })
})

describe('a paid answer of another kind', () => {
  test.each<[string, (text: string) => Buffer]>([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])(
    'that is compressed as %s is decoded: the cost is ours, and its usage is known',
    async (coding, encode) => {
      const body = encode(
        '{"choices":[{"message":{"content":"y"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"cost":9}}',
      )
      const { url, exchange } = await world({
        kind: 'paid',
        seller: sending([body.subarray(0, 9), body.subarray(9)], {
          ...JSON_HEADERS,
          'content-encoding': coding,
        }),
      })
      const answer = await ask(url)
      expect(await answer.text()).toBe(
        '{"choices":[{"message":{"content":"y"}}],"usage":{"prompt_tokens":3,"completion_tokens":4,"cost":0.001}}',
      )
      expect(answer.message.headers['content-encoding']).toBeUndefined()
      expect(exchange().relay.usage).toEqual({ inputTokens: 3, outputTokens: 4 })
    },
  )

  test('that is a compressed stream is decoded event by event', async () => {
    const { url } = await world({
      kind: 'paid',
      exchange: { request: { stream: true } },
      seller: sending([gzipSync(WHOLE)], { ...SSE, 'content-encoding': 'gzip' }),
    })
    const answer = await ask(url)
    await answer.end()
    expect(costs(answer.bytes)).toEqual([0.001])
    expect(answer.message.headers['content-encoding']).toBeUndefined()
  })

  test.each([
    ['compressed in a way nobody knows', 'x', { ...JSON_HEADERS, 'content-encoding': 'snappy' }],
    ['compressed and broken', '{"choices":[]}', { ...JSON_HEADERS, 'content-encoding': 'gzip' }],
    ['empty', '', JSON_HEADERS],
    ['empty and of no type', '', {}],
    ['a web page', '<h1>Down</h1>', { 'content-type': 'text/html' }],
    ['a web page of no type', '\n<!DOCTYPE html><p>', {}],
    ['an error', '{"error":{"message":"no model for you"}}', JSON_HEADERS],
    ['an error of no type', ' {"error":"no model for you","usage":{"cost":9}}', {}],
    ['an object of nothing', '{}', JSON_HEADERS],
    ['a web page sent as JSON', '<html>Down</html>', JSON_HEADERS],
    ['a list of no choices', '{"choices":[],"usage":{"cost":9}}', JSON_HEADERS],
    ['a challenge', '{"x402Version":1,"accepts":[]}', JSON_HEADERS],
    ['an error as FastAPI writes it', '{"detail":"no model for you"}', JSON_HEADERS],
    ['an error as vLLM writes it', '{"object":"error","message":"no model for you"}', JSON_HEADERS],
    ['an error as MiniMax writes it', '{"base_resp":{"status_code":1,"status_msg":"no model for you"}}', {}],
    [
      'an error as Anthropic writes it',
      '{"type":"error","error":{"message":"no model for you"}}',
      JSON_HEADERS,
    ],
    ['prose', 'no model for you', { 'content-type': 'text/plain; charset=utf-8' }],
    ['prose of no type', '\r\n no model for you\n', {}],
    ['prose with marks', 'no model for you', { 'content-type': 'text/markdown' }],
    ['a JSON text', '"no model for you"', JSON_HEADERS],
    ['a JSON text sent as text', '"Once upon a time"', { 'content-type': 'text/plain' }],
  ])('that is %s is told as paid and not delivered', async (_name, body, headers) => {
    for (const stream of [false, true]) {
      const { url, error } = await world({
        kind: 'paid',
        exchange: { request: { stream, body: Buffer.from('{}') } },
        seller: sending([body], headers),
      })
      const answer = await ask(url)
      expect(await answer.text()).toContain('paid_not_delivered')
      expect(answer.message.statusCode).toBe(400)
      const words = body.includes('no model') ? { 'x-tollway-seller-message': 'no model for you' } : {}
      expect(error()).toMatchObject({ code: 'paid_not_delivered', headers: words })
    }
  })

  test.each([
    ['JSON of no type', '\r\n {"choices":[{"message":{"content":"y"}}],"usage":{"cost":9}}', {}],
    [
      'JSON sent as text',
      '{"choices":[{"message":{"content":"y"}}],"usage":{"cost":9}}',
      { 'content-type': 'text/plain' },
    ],
    ['a stream of no type', WHOLE, {}],
  ])('that is %s has the cost that was paid', async (_name, body, headers) => {
    const stream = body === WHOLE
    const { url } = await world({
      kind: 'paid',
      exchange: { request: { stream } },
      seller: sending([body], headers),
    })
    const answer = await ask(url)
    const text = await answer.text()
    expect(text).toContain('"cost":0.001')
    expect(text).not.toMatch(/"cost":9/)
    expect(answer.message.headers['content-type']).toMatch(
      stream ? /^text\/event-stream/ : /^application\/json/,
    )
  })

  test.each([
    [
      'an error beside an answer',
      '{"error":{"message":"x"},"choices":[{"message":{"content":"y"}}]}',
      JSON_HEADERS,
    ],
    ['no error, in so many words', '{"error":null,"status":"ok"}', JSON_HEADERS],
  ])('that holds %s is given to the client', async (_name, body, headers) => {
    const { url } = await world({ kind: 'paid', seller: sending([body], headers) })
    expect(await (await ask(url)).text()).toBe(body)
  })

  const JSON_ANSWER = `{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"cost":9}}`
  const LABELS = [
    'text/event-stream',
    'application/json',
    'application/x-ndjson',
    'text/plain',
    'application/octet-stream',
    'binary/octet-stream',
  ]
  test('of lines of JSON stays as it is', async () => {
    for (const [line, endpoint] of [
      [
        '{"choices":[{"index":0,"delta":{"content":"hi"}}],"object":"chat.completion.chunk"}\n',
        '/chat/completions',
      ],
      ['{"type":"message_start","message":{}}\n', '/messages'],
      ['{"response":"hi","done":false}\n', '/completions'],
    ] as const) {
      const { url } = await world({
        kind: 'paid',
        endpoint,
        seller: sending([line + line], { 'content-type': 'application/x-ndjson' }),
      })
      const answer = await ask(url)
      expect(await answer.text()).toBe(line + line)
      expect(answer.message.headers['content-type']).toBe('application/x-ndjson')
    }
  })

  test.each(LABELS)(
    'labelled %s is known by its first bytes: events or JSON, streaming or not',
    async (label) => {
      for (const body of [
        JSON_ANSWER,
        `\ufeff\n ${JSON_ANSWER}`,
        WHOLE,
        `: ping\n\n${WHOLE}`,
        `\ufeff${WHOLE}`,
      ]) {
        for (const stream of [true, false]) {
          const bytes = Buffer.from(body)
          const { url, exchange } = await world({
            kind: 'paid',
            exchange: { request: { stream, body: Buffer.from('{}') } },
            // A byte at a time: what a body is must not hang on how it was cut.
            seller: sending(
              [...bytes.subarray(0, 8)].map((byte) => Buffer.from([byte])).concat(bytes.subarray(8)),
              { 'content-type': label },
            ),
          })
          const answer = await ask(url)
          const text = await answer.text()
          expect([label, answer.message.headers['content-type']]).toEqual([
            label,
            expect.stringMatching(stream ? /^text\/event-stream/ : /^application\/json/),
          ])
          expect(text.match(/"cost":[\d.]+/g)).toEqual(['"cost":0.001'])
          expect(exchange().relay).toMatchObject({
            truncated: false,
            usage: { inputTokens: 5, outputTokens: 2 },
          })
          if (!stream)
            expect(JSON.parse(text)).toMatchObject({
              choices: [{ message: { content: 'hello' }, finish_reason: 'stop' }],
            })
          else
            expect(
              eventsOf(answer.bytes)
                .map(({ data }) => data)
                .join(''),
            ).toMatch(/he.*llo.*\[DONE\]$/)
        }
      }
    },
  )

  test.each(LABELS)(
    'labelled %s has its usage counted on an unpaid route, and every byte as it was',
    async (label) => {
      for (const body of [JSON_ANSWER, WHOLE, `\n${WHOLE}`]) {
        const { url, exchange } = await world({
          kind: 'unpaid',
          seller: sending([body.slice(0, 3), body.slice(3)], { 'content-type': label }),
        })
        const answer = await ask(url)
        expect(await answer.text()).toBe(body)
        expect(answer.message.headers['content-type']).toBe(label)
        expect(exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
      }
    },
  )

  test.each([
    ['an error labelled as events', '{"error":{"message":"no model for you"}}', SSE],
    ['a web page labelled as events', '<html><p>no model for you</p></html>', SSE],
    [
      'an error event labelled as JSON',
      'event: error\ndata: {"message":"no model for you"}\n\n',
      JSON_HEADERS,
    ],
    ['nothing but blanks', ' '.repeat(200_000), SSE],
  ])('that is %s is paid and not delivered', async (_what, body, headers) => {
    for (const [stream, endpoint] of [
      [true, '/chat/completions'],
      [false, '/chat/completions'],
      [true, '/responses'],
      [false, '/images/generations'],
    ] as const) {
      const { url, error } = await world({
        kind: 'paid',
        endpoint,
        exchange: { request: { stream, body: Buffer.from('{}') } },
        seller: sending([body], headers),
      })
      expect((await ask(url)).message.statusCode).toBe(400)
      expect(error()).toMatchObject({ code: 'paid_not_delivered' })
    }
  })

  test('that is binary goes through untouched, and is cut when the seller breaks off', async () => {
    const body = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    const received = signalled()
    const { url } = await world({
      kind: 'paid',
      endpoint: '/audio/speech',
      seller: (_request, response) => {
        response.writeHead(200, { 'content-type': 'audio/mpeg' })
        response.write(body)
        void received.promise.then(() => response.destroy())
      },
    })
    const answer = await ask(url)
    await answer.until('\n')
    received.resolve()
    expect(await answer.end()).toBe('cut')
    expect(answer.bytes.equals(body)).toBe(true)
  })
})

describe('an unpaid answer', () => {
  test('goes through with its status, headers and bytes as they are', async () => {
    const body = 'data: {"usage":{"prompt_tokens":1,"cost":9}}\r\n\r\nnot an event'
    const { url, exchange } = await world({
      kind: 'unpaid',
      seller: (_request, response) => {
        response.writeHead(429, {
          ...SSE,
          'retry-after': '7',
          'set-cookie': ['a=1', 'b=2'],
          'x-ratelimit-limit': '1',
        })
        response.end(body)
      },
    })
    const answer = await ask(url)
    expect(await answer.text()).toBe(body)
    expect(answer.message.statusCode).toBe(429)
    expect(answer.message.headers).toMatchObject({
      'retry-after': '7',
      'set-cookie': ['a=1', 'b=2'],
      'x-ratelimit-limit': '1',
      'x-tollway-spent': 'no',
    })
    expect(answer.message.headers['cache-control']).toBeUndefined()
    expect(exchange().relay.usage).toEqual({ inputTokens: 1, outputTokens: 0 })
  })

  test('of any bytes is equal on both sides', async () => {
    let parts: readonly Buffer[] = []
    const { url } = await world({
      kind: 'unpaid',
      seller: (request, response) => sending(parts)(request, response),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 64 }), { maxLength: 10 }),
        async (list) => {
          parts = list.map((bytes) => Buffer.from(bytes))
          const answer = await ask(url)
          expect(await answer.end()).toBe('whole')
          expect(answer.bytes.equals(Buffer.concat(parts))).toBe(true)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('that breaks off is cut and not mended', async () => {
    const received = signalled()
    const { url } = await world({
      kind: 'unpaid',
      seller: (_request, response) => {
        response.writeHead(200, SSE)
        response.write(chunk('he'))
        void received.promise.then(() => response.destroy())
      },
    })
    const answer = await ask(url)
    await answer.until('"he"')
    received.resolve()
    expect(await answer.end()).toBe('cut')
    expect(answer.bytes.toString()).toBe(chunk('he'))
  })

  test('is let go when its client leaves', async () => {
    const closed = signalled()
    const { url } = await world({
      kind: 'unpaid',
      restreamer: { onDisconnect: 'drain' },
      seller: (_request, response) => {
        response.on('close', () => closed.resolve())
        response.writeHead(200, SSE)
        response.write(chunk('he'))
      },
    })
    const answer: ClientAnswer = await ask(url)
    await answer.until('"he"')
    answer.leave()
    await closed.promise
  })
})

describe('the re-streamer', () => {
  test('hands on a request that has no answer yet', async () => {
    const { url, error } = await world({ kind: 'none', seller: () => {} })
    const answer = await ask(url)
    expect(answer.message.statusCode).toBe(204)
    expect(error()).toBeUndefined()
  })

  test('names the fix for a mistake in its options', () => {
    expect(() => sseRestreamer(JSON.parse('{"onDisconnect":"wait"}'))).toThrow(
      /onDisconnect: use "abort" or "drain"/,
    )
    expect(() => sseRestreamer({ idleMs: 0 })).toThrow(/idleMs: give at least 1 millisecond/)
    expect(() => sseRestreamer({ idelMs: 5 } as object)).toThrow(/Did you mean "idleMs"/)
  })
})
