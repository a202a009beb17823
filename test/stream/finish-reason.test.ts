/** Which finish reasons end an answer, and what becomes of one that is cut behind a reason that ends nothing. */
import { describe, expect, test } from 'vitest'
import { collectorOf, streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { parseJson, type AnswerKind } from '../../src/core/stream/stream-json.ts'
import { eventsOf } from '../kit/sse.ts'

const FALLBACK = { requestId: 'r', model: 'm', nowMs: 0 }
const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

/** Streams of one chunk with content and one with this reason, per protocol. */
const STREAMS: Readonly<Record<'chat' | 'tools' | 'text' | 'anthropic', (reason: unknown) => string>> = {
  chat: (reason) => event({ choices: [{ index: 0, delta: { content: 'he' }, finish_reason: reason }] }),
  tools: (reason) =>
    event({
      choices: [
        {
          index: 0,
          delta: { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"x"' } }] },
          finish_reason: reason,
        },
      ],
    }),
  text: (reason) => event({ choices: [{ index: 0, text: 'he', finish_reason: reason }] }),
  anthropic: (reason) =>
    event({ type: 'message_start', message: { id: 'm', content: [] } }) +
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }) +
    event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'he' } }) +
    event({ type: 'message_delta', delta: { stop_reason: reason }, usage: { output_tokens: 1 } }),
}

function run(name: keyof typeof STREAMS, reason: unknown, broken: boolean) {
  const shape: AnswerKind = name === 'tools' ? 'chat' : name
  const relay = new SseRelay({ splicer: undefined, shape, onTruncated: 'length' })
  const head = relay.push(Buffer.from(STREAMS[name](reason)))
  const wasComplete = relay.complete
  const end = relay.end(broken, FALLBACK)
  const collector = collectorOf(shape)
  for (const { data } of eventsOf(Buffer.concat([head, end.bytes]))) {
    const json = parseJson(data)
    if (json) collector.add(json)
  }
  return { truncated: end.truncated, wasComplete, json: JSON.stringify(collector.answer(end.truncated)) }
}

describe.each(['chat', 'tools', 'text', 'anthropic'] as const)('%s', (name) => {
  const cutReason = name === 'anthropic' ? '"stop_reason":"max_tokens"' : '"finish_reason":"length"'

  test.each([null, '', 'null', ' ', 'None', 'NULL', 'undefined', 0, false, {}])(
    'the reason %j finishes nothing: a cut behind it is a cut, and so is the end',
    (reason) => {
      for (const broken of [true, false]) {
        const { truncated, wasComplete, json } = run(name, reason, broken)
        expect({ truncated, wasComplete }).toEqual({ truncated: true, wasComplete: false })
        expect(json).toContain(cutReason)
      }
    },
  )

  test.each(['in_progress', 'generating', 'abort', 'something new'])(
    'the unknown reason %j finishes at the end, and nothing before it',
    (reason) => {
      const cut = run(name, reason, true)
      expect(cut).toMatchObject({ truncated: true, wasComplete: false })
      expect(cut.json).toContain(cutReason)
      const whole = run(name, reason, false)
      expect(whole).toMatchObject({ truncated: false, wasComplete: false })
      expect(whole.json).toContain(JSON.stringify(reason))
    },
  )

  test.each(['stop', 'STOP', 'MAX_TOKENS', 'tool_calls', 'end_turn', 'content_filter'])(
    'the reason %j finishes at once',
    (reason) => {
      for (const broken of [true, false]) {
        expect(run(name, reason, broken)).toMatchObject({ truncated: false, wasComplete: true })
      }
    },
  )
})

test('an unknown reason in a chunk that more content follows has finished nothing', () => {
  const relay = new SseRelay({ splicer: undefined, shape: 'chat', onTruncated: 'length' })
  relay.push(Buffer.from(STREAMS.chat('generating') + STREAMS.chat(null)))
  expect(relay.end(false, FALLBACK).truncated).toBe(true)
})

test('a JSON answer without a reason becomes a stream with one', () => {
  for (const [message, reason, expected] of [
    [{ content: 'x' }, '', 'stop'],
    [{ content: 'x' }, 'null', 'stop'],
    [{ tool_calls: [{ id: 'a' }] }, '', 'tool_calls'],
    [{ content: 'x' }, 'odd', 'odd'],
  ] as const) {
    const stream = streamOfJson('chat', JSON.stringify({ choices: [{ message, finish_reason: reason }] }))
    expect(stream?.toString()).toContain(`"finish_reason":"${expected}"`)
  }
})
