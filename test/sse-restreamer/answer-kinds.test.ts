/** Kinds of faults in answers, on every protocol, paid and unpaid, streamed or not: inputs beyond those of the other tests. */
import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import type { AnswerKind } from '../../src/core/stream/stream-json.ts'
import { ask, startWorld, type World, type WorldOptions } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const ENDPOINTS: Readonly<Record<AnswerKind, string>> = {
  chat: '/chat/completions',
  text: '/completions',
  responses: '/responses',
  anthropic: '/messages',
}
const KINDS = ['chat', 'text', 'responses', 'anthropic'] as const

const data = (value: object): string =>
  `${'type' in value ? `event: ${String(value.type)}\n` : ''}data: ${JSON.stringify(value)}\n\n`
const TOKENS = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }
const USED = { input_tokens: 3, output_tokens: 4, total_tokens: 7 }

/** A whole answer with this text, as events. */
function eventsOf(kind: AnswerKind, text: string): string[] {
  switch (kind) {
    case 'chat':
      return [
        data({ id: 'c', choices: [{ index: 0, delta: { content: text }, finish_reason: null }] }),
        data({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage: TOKENS }),
        'data: [DONE]\n\n',
      ]
    case 'text':
      return [
        data({ id: 'c', choices: [{ index: 0, text, finish_reason: null }] }),
        data({ id: 'c', choices: [{ index: 0, text: '', finish_reason: 'stop' }], usage: TOKENS }),
        'data: [DONE]\n\n',
      ]
    case 'responses': {
      const item = { id: 'm', type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] }
      return [
        data({ type: 'response.created', response: { id: 'r', status: 'in_progress', output: [] } }),
        data({ type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: text }),
        data({
          type: 'response.completed',
          response: { id: 'r', status: 'completed', output: [item], usage: USED },
        }),
      ]
    }
    case 'anthropic':
      return [
        data({
          type: 'message_start',
          message: { id: 'm', role: 'assistant', content: [], usage: { input_tokens: 3 } },
        }),
        data({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
        data({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
        data({ type: 'content_block_stop', index: 0 }),
        data({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } }),
        data({ type: 'message_stop' }),
      ]
    default:
      return kind satisfies never
  }
}

/** A whole answer with this text, as JSON. */
function jsonOf(kind: AnswerKind, text: string): object {
  switch (kind) {
    case 'chat':
      return {
        id: 'c',
        choices: [{ index: 0, message: { content: text }, finish_reason: 'stop' }],
        usage: TOKENS,
      }
    case 'text':
      return { id: 'c', choices: [{ index: 0, text, finish_reason: 'stop' }], usage: TOKENS }
    case 'responses':
      return {
        id: 'r',
        object: 'response',
        status: 'completed',
        output: [{ type: 'message', content: [{ type: 'output_text', text }] }],
        usage: USED,
      }
    case 'anthropic':
      return {
        id: 'm',
        type: 'message',
        content: [{ type: 'text', text }],
        stop_reason: 'end_turn',
        usage: USED,
      }
    default:
      return kind satisfies never
  }
}

interface Sent {
  readonly kind: AnswerKind
  readonly paid: boolean
  readonly stream: boolean
  readonly body: string
  readonly type?: string
  readonly cut?: boolean
}

async function answerTo({ kind, paid, stream, body, type, cut }: Sent) {
  const seller: WorldOptions['seller'] = (_request, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': type ?? (stream ? 'text/event-stream' : 'application/json') })
    if (cut === true) response.write(body, () => setImmediate(() => response.destroy()))
    else response.end(body)
  }
  const world = await startWorld({
    kind: paid ? 'paid' : 'unpaid',
    endpoint: ENDPOINTS[kind],
    exchange: { request: { stream, body: Buffer.from('{}') } },
    seller,
  })
  worlds.push(world)
  const answer = await ask(world.url)
  const end = await answer.end()
  return {
    status: answer.message.statusCode,
    text: answer.bytes.toString(),
    end,
    exchange: world.exchange(),
    answer,
  }
}

const ways = KINDS.flatMap((kind) =>
  [true, false].flatMap((paid) => [true, false].map((stream) => ({ kind, paid, stream }))),
)
const streams = ways.filter(({ stream }) => stream)
const USAGE = { inputTokens: 3, outputTokens: 4 }

describe('events and answers over 1 MiB', () => {
  test.each(ways)('of $kind, paid $paid, stream $stream, keep text, end and usage', async (way) => {
    const long = `${'é"\\'.repeat(180_000)}end`
    const body = way.stream ? eventsOf(way.kind, long).join('') : JSON.stringify(jsonOf(way.kind, long))
    const { status, text, end, exchange } = await answerTo({ ...way, body })
    expect([status, end]).toEqual([200, 'whole'])
    expect(text.replaceAll(/,"cost":0\.001/g, '') === body).toBe(true)
    expect(exchange.relay).toMatchObject({ usage: USAGE, truncated: false })
  })
})

const NOTHING = [
  'event: error\ndata: overloaded\n\n',
  ': waking up\n\nid: 7\n\n',
  data({ detail: 'Not authenticated' }),
  data({ object: 'error', message: 'no GPU', code: 40301 }),
  ': hi\n\ndata: [DONE]\n\n',
]

describe('streams with nothing to deliver', () => {
  test.each(streams)('of $kind, paid $paid, are errors where they were paid', async (way) => {
    for (const body of NOTHING) {
      const { status, text } = await answerTo({ ...way, body })
      expect([body, status]).toEqual([body, way.paid ? 400 : 200])
      expect(text.includes('paid_not_delivered')).toBe(way.paid)
      if (!way.paid) expect(text).toBe(body)
    }
  })
})

describe('answers under the wrong type', () => {
  test.each(ways)('of $kind, paid $paid, stream $stream, are what they are', async (way) => {
    for (const [isEvents, type, before] of [
      [true, 'application/json', 'id: 1\n'],
      [true, 'text/html', ': hi\n\n'],
      [false, 'text/event-stream; charset=utf-8', '\n\n '],
      [false, 'application/jsonl', ''],
    ] as const) {
      const body =
        before + (isEvents ? eventsOf(way.kind, 'hello').join('') : JSON.stringify(jsonOf(way.kind, 'hello')))
      const { status, text, answer, exchange } = await answerTo({ ...way, body, type })
      expect(status).toBe(200)
      expect(text).toContain('hello')
      expect(exchange.relay.usage).toEqual(USAGE)
      if (!way.paid) expect(text).toBe(body)
      else
        expect(answer.message.headers['content-type']).toContain(
          way.stream ? 'text/event-stream' : 'application/json',
        )
    }
  })
})

describe('finish reasons that are none', () => {
  test.each(['NULL', ' ', 'None', 'undefined'])(
    '%j finishes no paid stream that is cut behind it',
    async (reason) => {
      for (const kind of ['chat', 'text', 'anthropic'] as const) {
        const events = eventsOf(kind, 'hello').map((event) =>
          event.replace(/"(?:stop|end_turn)"/, JSON.stringify(reason)),
        )
        const body = events.slice(0, -1).join('')
        const { text, exchange } = await answerTo({ kind, paid: true, stream: true, body, cut: true })
        expect(exchange.relay.truncated).toBe(true)
        expect(text).toMatch(/"(?:length|max_tokens)"/)
      }
    },
  )
})

describe('errors beside and without content', () => {
  const NONE = [
    { error: { code: '', message: null } },
    { error: [] },
    { detail: null, success: true },
    { errors: {} },
  ]
  test.each(ways)('of $kind, paid $paid, stream $stream: none of these is one', async (way) => {
    for (const more of NONE) {
      const body = way.stream
        ? eventsOf(way.kind, 'hello')
            .map((event) =>
              event.replace(/^data: \{|(?<=\n)data: \{/, `data: {${JSON.stringify(more).slice(1, -1)},`),
            )
            .join('')
        : JSON.stringify({ ...more, ...jsonOf(way.kind, 'hello') })
      const { status, text, exchange } = await answerTo({ ...way, body })
      expect([JSON.stringify(more), status]).toEqual([JSON.stringify(more), 200])
      expect(text).toContain('hello')
      expect(exchange.relay).toMatchObject({ usage: USAGE, truncated: false })
    }
  })

  const REAL = [
    { base_resp: { status_code: 1004, status_msg: 'bad key' }, choices: null },
    { detail: [{ loc: ['body'], msg: 'field required' }] },
    { errors: [{ code: 7003, message: 'no route' }], success: false, result: null },
    { object: 'error', message: 'no GPU', choices: [] },
  ]
  test.each(ways.filter(({ paid }) => paid))(
    'of $kind, stream $stream: each of these is one',
    async (way) => {
      for (const error of REAL) {
        const body = way.stream ? `data: ${JSON.stringify(error)}\n\n` : JSON.stringify(error)
        const { status, text } = await answerTo({ ...way, body })
        expect([JSON.stringify(error), status]).toEqual([JSON.stringify(error), 400])
        expect(text).toContain('paid_not_delivered')
      }
    },
  )
})
