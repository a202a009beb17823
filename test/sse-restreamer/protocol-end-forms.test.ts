/** The protocol's end in the forms that sellers write it, with what they send behind it, over a connection that stays. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, describe, expect, test } from 'vitest'
import { ManualTimers } from '../kit/manual-timers.ts'
import { ask, signalled, startWorld, type World } from '../kit/relay-world.ts'

const worlds: World[] = []

afterEach(async () => {
  for (const started of worlds.splice(0)) await started.close()
})

const data = (value: object): string => `data: ${JSON.stringify(value)}\n\n`
const HELLO = data({ id: 'c', choices: [{ index: 0, delta: { content: 'hello' }, finish_reason: null }] })
const STOP = data({ id: 'c', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
const SECOND = data({ id: 'c', choices: [{ index: 1, delta: { content: 'there' }, finish_reason: 'stop' }] })
const MESSAGE = [
  { type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant', content: [], usage: {} } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'hello' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 1 } },
]
const response = (status: string): object => ({
  type: `response.${status}`,
  response: {
    id: 'r',
    status,
    output: [{ type: 'message', content: [{ type: 'output_text', text: 'hello' }] }],
  },
})

/** Names of forms, with the endpoint and the bytes up to the end. */
const FORMS = [
  ['no space before [DONE]', '/chat/completions', `${HELLO}${STOP}data:[DONE]\n\n`],
  ['CRLF', '/chat/completions', `${HELLO}${STOP}data: [DONE]\n\n`.replaceAll('\n', '\r\n')],
  [
    'an id and a name before [DONE]',
    '/chat/completions',
    `${HELLO}${STOP}id: 9\nevent: done\ndata: [DONE]\n\n`,
  ],
  ['two choices', '/chat/completions', `${HELLO}${SECOND}${STOP}data: [DONE]\n\n`],
  ['a comment before [DONE]', '/chat/completions', `${HELLO}${STOP}: cost 0\n\ndata: [DONE]\n\n`],
  [
    'text with CRLF',
    '/completions',
    `${data({ choices: [{ index: 0, text: 'hello', finish_reason: 'stop' }] })}data: [DONE]\n\n`.replaceAll(
      '\n',
      '\r\n',
    ),
  ],
  ['message_stop without a name', '/messages', [...MESSAGE, { type: 'message_stop' }].map(data).join('')],
  [
    'message_stop with further members',
    '/messages',
    [...MESSAGE, { seq: 9, type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 1 } }]
      .map((event) => `event: ${event.type}\n${data(event)}`)
      .join(''),
  ],
  [
    'response.completed without a name',
    '/responses',
    data(response('created')) + data(response('completed')),
  ],
  [
    'response.incomplete with CRLF',
    '/responses',
    (data(response('created')) + data(response('incomplete'))).replaceAll('\n', '\r\n'),
  ],
] as const

const BEHIND = [': beat\n\n', data({ error: { message: 'late', code: 500 } }), HELLO, 'junk without an end']

interface Sent {
  readonly kind: 'paid' | 'unpaid'
  readonly endpoint: string
  readonly body: string
  readonly stream: boolean
}

/** Sends the body a byte at a time where it is short enough, and leaves the connection open. */
async function open({ kind, endpoint, body, stream }: Sent) {
  const timers = new ManualTimers()
  const sent = signalled<ServerResponse>()
  const closed = signalled()
  const world = await startWorld({
    kind,
    endpoint,
    exchange: { request: { stream, body: Buffer.from('{}') } },
    restreamer: { timers, idleMs: 5000, keepaliveMs: 0 },
    seller: (_request, seller) => {
      void once(seller, 'close').then(() => closed.resolve())
      seller.writeHead(200, { 'content-type': 'text/event-stream' })
      const bytes = Buffer.from(body)
      for (let at = 0; at < bytes.length; at += 7) seller.write(bytes.subarray(at, at + 7))
      seller.write('', () => sent.resolve(seller))
    },
  })
  worlds.push(world)
  return { world, timers, sent: sent.promise, closed: closed.promise, answer: await ask(world.url) }
}

describe.each(FORMS)('%s', (_name, endpoint, body) => {
  test('ends a paid stream at once, whatever is behind it', async () => {
    for (const behind of BEHIND) {
      const { world, answer } = await open({ kind: 'paid', endpoint, body: body + behind, stream: true })
      expect(await answer.end()).toBe('whole')
      expect(answer.bytes.toString()).toContain('hello')
      expect(answer.bytes.toString()).not.toContain('late')
      expect(world.exchange().relay).toMatchObject({ truncated: false, cut: false })
    }
  })

  test('ends a paid answer that becomes JSON at once', async () => {
    const { answer, world } = await open({ kind: 'paid', endpoint, body, stream: false })
    expect(await answer.end()).toBe('whole')
    expect(answer.bytes.toString()).toContain('hello')
    expect(world.exchange().relay.truncated).toBe(false)
  })

  test.each([true, false])(
    'ends an unpaid one a second later, heartbeats or not (stream %s)',
    async (stream) => {
      const { answer, timers, sent, closed } = await open({ kind: 'unpaid', endpoint, body, stream })
      await answer.until(body)
      const seller = await sent
      seller.write(': beat\n\n')
      await answer.until(': beat\n\n')
      await timers.fire(1000)
      expect(await answer.end()).toBe('whole')
      expect(answer.bytes.toString()).toBe(`${body}: beat\n\n`)
      await closed
    },
  )

  test.each(['paid', 'unpaid'] as const)(
    'is whole where the connection is reset behind it (%s)',
    async (kind) => {
      const { answer, sent } = await open({ kind, endpoint, body, stream: true })
      if (kind === 'unpaid') await answer.until(body)
      ;(await sent).socket?.resetAndDestroy()
      expect(await answer.end()).toBe('whole')
    },
  )
})
