/** Paid streams of every protocol, cut at every event boundary: by the seller, with an error, and by the client. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import Anthropic from '@anthropic-ai/sdk'
import OpenAI from 'openai'
import { afterEach, describe, expect, test } from 'vitest'
import { streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import type { AnswerKind } from '../../src/core/stream/stream-json.ts'
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

interface Protocol {
  readonly kind: AnswerKind
  readonly endpoint: string
  readonly answer: object
  /** The first event with something to deliver: what ends before has a status of its own. */
  readonly contentFrom: RegExp
  /** The event from which the answer is whole: what is cut behind it is no loss. */
  readonly wholeFrom: RegExp
  readonly error: string
  /** Reads with the official SDK; tells how the answer ended. */
  readonly read: (url: string) => Promise<unknown>
}

const openai = (url: string) => new OpenAI({ baseURL: url, apiKey: 'x', maxRetries: 0 })
const MESSAGES = [{ role: 'user' as const, content: 'hi' }]

const PROTOCOLS: readonly Protocol[] = [
  {
    kind: 'chat',
    endpoint: '/chat/completions',
    answer: {
      id: 'c',
      created: 7,
      model: 'm',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    },
    contentFrom: /hello/,
    wholeFrom: /"finish_reason":"stop"/,
    error: 'data: {"error":{"message":"GPU"}}\n\n',
    read: async (url) => {
      const final = await openai(url)
        .chat.completions.stream({ model: 'm', messages: MESSAGES })
        .finalChatCompletion()
      return final.choices[0]?.finish_reason
    },
  },
  {
    kind: 'text',
    endpoint: '/completions',
    answer: {
      id: 'c',
      created: 7,
      model: 'm',
      choices: [{ index: 0, text: 'hello', logprobs: null, finish_reason: 'stop' }],
      usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
    },
    contentFrom: /hello/,
    wholeFrom: /"finish_reason":"stop"/,
    error: 'data: {"error":"GPU"}\n\n',
    read: async (url) => {
      const reasons: unknown[] = []
      const stream = await openai(url).completions.create({ model: 'm', prompt: 'hi', stream: true })
      for await (const { choices } of stream) reasons.push(...choices.map((choice) => choice.finish_reason))
      return reasons.findLast((reason) => typeof reason === 'string')
    },
  },
  {
    kind: 'responses',
    endpoint: '/responses',
    answer: {
      id: 'r',
      object: 'response',
      created_at: 7,
      model: 'm',
      status: 'completed',
      output: [
        {
          id: 'i',
          type: 'message',
          role: 'assistant',
          status: 'completed',
          content: [{ type: 'output_text', text: 'hello', annotations: [] }],
        },
        { id: 'f', type: 'function_call', status: 'completed', call_id: 'a', name: 'one', arguments: '{}' },
      ],
      usage: { input_tokens: 5, output_tokens: 2, total_tokens: 7 },
    },
    contentFrom: /"delta":"hello"/,
    wholeFrom: /"type":"response\.completed"/,
    error:
      'event: response.failed\ndata: {"type":"response.failed","response":{"error":{"message":"GPU"}}}\n\n',
    read: async (url) => {
      const final = await openai(url).responses.stream({ model: 'm', input: 'hi' }).finalResponse()
      // Only calls that came whole: half of one must not be run.
      const calls = final.output.flatMap((item) => (item.type === 'function_call' ? [item.arguments] : []))
      expect(calls.every((text) => text === '{}')).toBe(true)
      return final.incomplete_details?.reason ?? final.status
    },
  },
  {
    kind: 'anthropic',
    endpoint: '/messages',
    answer: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'm',
      content: [
        { type: 'text', text: 'hello' },
        { type: 'tool_use', id: 'a', name: 'one', input: { x: 1 } },
      ],
      stop_reason: 'tool_use',
      stop_sequence: null,
      usage: { input_tokens: 5, output_tokens: 2 },
    },
    contentFrom: /"text_delta"/,
    wholeFrom: /"type":"message_delta"/,
    error: 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"GPU"}}\n\n',
    read: async (url) => {
      const client = new Anthropic({ baseURL: url, apiKey: 'x', maxRetries: 0 })
      const final = await client.messages
        .stream({ model: 'm', messages: MESSAGES, max_tokens: 9 })
        .finalMessage()
      return final.stop_reason
    },
  },
]

const TRUNCATED: Readonly<Record<AnswerKind, string>> = {
  chat: 'length',
  text: 'length',
  responses: 'max_output_tokens',
  anthropic: 'max_tokens',
}
const WHOLE: Readonly<Record<AnswerKind, string>> = {
  chat: 'stop',
  text: 'stop',
  responses: 'completed',
  anthropic: 'tool_use',
}

function eventsOfAnswer({ kind, answer }: Protocol): string[] {
  const stream = streamOfJson(kind, JSON.stringify(answer))
  if (!stream) throw new Error('no answer')
  return stream.toString().split(/(?<=\n\n)/)
}

/** Sends the head of a stream, then does what the test says. */
const saying =
  (head: string, then: (response: ServerResponse) => void) =>
  (_request: unknown, response: ServerResponse): void => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.flushHeaders()
    if (head === '') then(response)
    else response.write(head, () => then(response))
  }

const BREAKS = [
  ['ends', (response: ServerResponse) => response.end()],
  ['resets', (response: ServerResponse) => setImmediate(() => response.destroy())],
] as const

describe.each(PROTOCOLS)('a paid stream of $endpoint', (protocol) => {
  const events = eventsOfAnswer(protocol)
  const contentAt = events.findIndex((text) => protocol.contentFrom.test(text)) + 1
  const wholeAt = events.findIndex((text) => protocol.wholeFrom.test(text)) + 1

  test.each(BREAKS)(
    'that the seller %s before any content has a status, for the SDK too',
    async (_how, then) => {
      for (let at = 0; at < contentAt; at += 1) {
        const { url, error, exchange } = await world({
          kind: 'paid',
          endpoint: protocol.endpoint,
          exchange: { request: { stream: true, body: Buffer.from('{}') } },
          seller: saying(events.slice(0, at).join(''), then),
        })
        await expect(protocol.read(url), `cut behind ${at} events`).rejects.toMatchObject({ status: 400 })
        expect(error()).toMatchObject({ code: 'paid_not_delivered' })
        expect(exchange()).toMatchObject({ payment: { charge: { state: 'settled' } } })
      }
    },
  )

  test('with an error or [DONE] before any content has a status, streamed or not', async () => {
    for (const [last, words] of [
      [protocol.error, 'GPU'],
      ['event: error\ndata: {"reason":"GPU"}\n\n', 'GPU'],
      ['data: [DONE]\n\n', undefined],
      [': nothing\n\n', undefined],
      // What the judge of JSON answers takes for no answer is none in an event either.
      ['data: Internal Server Error\n\n', 'Internal Server Error'],
      ['data: "the GPU is busy"\n\n', 'the GPU is busy'],
      ['data: {}\n\n', undefined],
      ['data: null\n\ndata: [DONE]\n\n', undefined],
      ['data: 42\n\n', undefined],
      ['data: {"success":false,"message":"no GPU left"}\n\n', 'no GPU left'],
      ['data: {"base_resp":{"status_code":1008,"status_msg":"no GPU"}}\n\n', 'no GPU'],
      ['data: <html><title>GPU</title></html>\n\n', undefined],
    ] as const) {
      for (const stream of [true, false]) {
        for (const at of [0, contentAt - 1]) {
          const { url, error } = await world({
            kind: 'paid',
            endpoint: protocol.endpoint,
            exchange: { request: { stream, body: Buffer.from('{}') } },
            seller: saying(events.slice(0, at).join('') + last, (response) => response.end()),
          })
          const answer = await ask(url)
          expect(answer.message.statusCode).toBe(400)
          const body = JSON.parse(await answer.text()) as { error: { message: string; seller?: object } }
          expect(body.error.message).not.toContain('GPU')
          expect(body.error.seller).toEqual(
            words === undefined ? undefined : { status: 200, code: null, message: words },
          )
          expect(error()).toMatchObject({
            code: 'paid_not_delivered',
            headers: words === undefined ? {} : { 'x-tollway-seller-message': words },
          })
        }
      }
    }
  })

  test.each(BREAKS)('that the seller %s at any event boundary ends well for the SDK', async (_how, then) => {
    for (let at = contentAt; at <= events.length; at += 1) {
      const { url, exchange } = await world({
        kind: 'paid',
        endpoint: protocol.endpoint,
        exchange: { request: { stream: true, body: Buffer.from('{}') } },
        seller: saying(events.slice(0, at).join(''), then),
      })
      const isWhole = at >= wholeAt
      expect(await protocol.read(url), `cut behind ${at} events`).toBe(
        isWhole ? WHOLE[protocol.kind] : TRUNCATED[protocol.kind],
      )
      expect(exchange()).toMatchObject({ payment: { charge: { state: 'settled' } } })
      expect(exchange().record.details['client_left']).toBeUndefined()
      if (!isWhole) expect(exchange().relay.truncated).toBe(true)
    }
  })

  test('that ends with an error event is told as truncated, without the seller words', async () => {
    for (let at = contentAt; at < wholeAt; at += 1) {
      const { url, exchange } = await world({
        kind: 'paid',
        endpoint: protocol.endpoint,
        seller: saying(events.slice(0, at).join('') + protocol.error, (response) => response.end()),
      })
      const answer = await ask(url)
      const text = await answer.text()
      expect(text).not.toContain('GPU')
      expect(eventsOf(Buffer.from(text)).map(({ event }) => event)).not.toContain('error')
      expect(exchange()).toMatchObject({
        relay: { truncated: true },
        record: { details: { stream_error: 'GPU' } },
      })
      expect(answer.message.trailers['x-tollway-truncated']).toBe('true')
    }
  })

  test('ends with one error of ours where the operator chose errors', async () => {
    const { url } = await world({
      kind: 'paid',
      endpoint: protocol.endpoint,
      restreamer: { onTruncated: 'error' },
      seller: saying(events.slice(0, contentAt).join(''), (response) => response.end()),
    })
    const told = eventsOf(Buffer.from(await (await ask(url)).text())).at(-1)
    expect(told?.data).toContain('Do not resend')
    await expect(protocol.read(url)).rejects.toThrow()
  })

  test('that the client leaves at any event boundary lets go of the seller, and says so', async () => {
    for (let at = contentAt; at < wholeAt; at += 1) {
      const gone = signalled()
      const { url, exchange } = await world({
        kind: 'paid',
        endpoint: protocol.endpoint,
        seller: saying(events.slice(0, at).join(''), (response) => {
          void once(response, 'close').then(() => gone.resolve())
        }),
      })
      const answer = await ask(url)
      await answer.until('data:')
      answer.leave()
      await gone.promise
      expect(exchange()).toMatchObject({
        payment: { charge: { state: 'settled' } },
        relay: { truncated: false },
        record: { details: { client_left: 'aborted' } },
      })
    }
  })

  test('that the client leaves is read to its end where it is drained, usage and all', async () => {
    const left = signalled()
    const whole = signalled<boolean>()
    const { url, exchange } = await world({
      kind: 'paid',
      endpoint: protocol.endpoint,
      restreamer: { onDisconnect: 'drain' },
      onResponse: (response) => response.once('close', () => left.resolve()),
      seller: saying(events.slice(0, contentAt).join(''), (response) => {
        response.once('close', () => whole.resolve(response.writableFinished))
        void left.promise.then(() => response.end(events.slice(contentAt).join('')))
      }),
    })
    const answer = await ask(url)
    await answer.until('data:')
    answer.leave()
    expect(await whole.promise).toBe(true)
    await expect.poll(() => exchange().relay.usage).toEqual({ inputTokens: 5, outputTokens: 2 })
    expect(exchange()).toMatchObject({
      payment: { charge: { state: 'settled' } },
      relay: { truncated: false },
      record: { details: { client_left: 'drained' } },
    })
  })
})
