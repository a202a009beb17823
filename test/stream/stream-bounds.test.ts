/** Streams made to hold the process up or fill its memory: every event has something new. */
import { expect, test } from 'vitest'
import { collectorOf } from '../../src/core/stream/answer-conversion.ts'
import { AnthropicCollector } from '../../src/core/stream/anthropic-stream.ts'
import { Gathered, Room } from '../../src/core/stream/gathered.ts'
import type { AnswerKind, Json } from '../../src/core/stream/stream-json.ts'
import { AnthropicProgress, ResponsesProgress } from '../../src/core/stream/event-progress.ts'

const EVENTS = 20_000

const HOSTILE: Readonly<Record<AnswerKind, (n: number) => Json>> = {
  chat: (n) => ({
    [`k${n}`]: n,
    choices: [{ index: 0, [`c${n}`]: n, delta: { [`d${n}`]: n, content: 'x' } }],
  }),
  text: (n) => ({ [`k${n}`]: n, choices: [{ index: 0, [`c${n}`]: n, text: 'x' }] }),
  responses: (n) =>
    n === 0
      ? { type: 'response.created', response: { id: 'r' } }
      : { type: 'response.output_item.added', output_index: n, item: { type: 'message', content: [] } },
  anthropic: (n) =>
    n === 0
      ? { type: 'message_start', message: { id: 'm', role: 'assistant' } }
      : { type: 'message_delta', delta: { [`d${n}`]: n }, usage: { [`u${n}`]: n } },
}

test.each(['chat', 'text', 'anthropic'] as const)(
  'of a %s stream with a new name in every event a few hundred are kept',
  (kind) => {
    const collector = collectorOf(kind)
    for (let n = 0; n < EVENTS; n += 1) collector.add(HOSTILE[kind](n))
    const text = JSON.stringify(collector.answer(true))
    expect(text.match(/"[kcdu]\d+":/g)?.length ?? 0).toBeLessThanOrEqual(4 * 256)
    if (kind !== 'anthropic') expect(text).toContain('x'.repeat(EVENTS))
  },
)

test('the rest of a list is not looked at when more objects came than are gathered', () => {
  let looked = 0
  const item = (): Json =>
    new Proxy<Json>({}, { get: () => void (looked += 1), ownKeys: () => ((looked += 1), []) })
  const collector = collectorOf('chat')
  collector.add({ choices: [{ index: 0, delta: { x: Array.from({ length: 6_000 }, item) } }] })
  const most = looked
  expect(collector.isFull).toBe(true)
  collector.add({ choices: [{ index: 0, delta: { x: Array.from({ length: 50_000 }, item) } }] })
  expect(looked).toBe(most)
  const answer = collector.answer(true) as { choices: { message: { x: unknown[] } }[] } | undefined
  expect(answer?.choices[0]?.message.x).toHaveLength(5_000)
})

test('a response has no more items than a protocol has', () => {
  const collector = collectorOf('responses')
  for (let n = 0; n < EVENTS; n += 1) collector.add(HOSTILE.responses(n))
  const output = collector.answer(true)?.['output']
  expect(Array.isArray(output) && output.length > 0 && output.length <= 10_000).toBe(true)
})

test('blocks without a number do not grow without end', () => {
  const collector = new AnthropicCollector()
  collector.add({ type: 'message_start', message: { id: 'm' } })
  for (let n = 0; n < EVENTS; n += 1) {
    collector.add({ type: 'content_block_start', content_block: { type: 'text', text: 'y' } })
  }
  expect(collector.openBlocks().length).toBeLessThanOrEqual(10_000)
})

test('beyond what is kept, an open stream is known only by what is open in it', () => {
  const filler = 'z'.repeat(3000)
  const fallback = { requestId: 'r', model: 'm', nowMs: 0 }
  const anthropic = new AnthropicProgress()
  const responses = new ResponsesProgress()
  const send = (progress: AnthropicProgress | ResponsesProgress, event: Json): void => {
    progress.read(Buffer.from(JSON.stringify(event)))
  }
  send(anthropic, { type: 'message_start', message: { id: 'm' } })
  send(responses, { type: 'response.created', sequence_number: 0, response: { id: 'r' } })
  for (let n = 0; n < 500; n += 1) {
    send(anthropic, { type: 'content_block_start', index: n, content_block: { type: 'text', text: filler } })
    send(anthropic, { type: 'content_block_stop', index: n })
    const item = { type: 'message', id: `i${n}`, content: [{ type: 'output_text', text: filler }] }
    send(responses, { type: 'response.output_item.done', sequence_number: n + 1, output_index: n, item })
  }
  send(anthropic, { type: 'content_block_start', index: 500, content_block: { type: 'text', text: '' } })
  const ended = JSON.stringify(anthropic.truncatedEnd(fallback))
  expect(ended).toContain('"index":500')
  expect(JSON.stringify(responses.truncatedEnd(fallback)).length).toBeLessThan(3 * 262_144)
  expect(responses.truncatedEnd(fallback)[0]?.data).toMatchObject({ sequence_number: 501 })
})

test('gathered members go on, are replaced, and may have any name', () => {
  const gathered = new Gathered(new Room(), { a: 'x', list: 1 })
  gathered.joinAll({ a: 'y', list: [1], more: [1], __proto__x: 1 })
  gathered.joinAll({ list: [2], more: [2], a: null })
  gathered.set('__proto__', 'own')
  expect(gathered.toJson()).toEqual(
    JSON.parse('{"a":"xy","list":[1,2],"more":[1,2],"__proto__x":1,"__proto__":"own"}'),
  )
})

test.each([
  ['objects in a list', { choices: [{ delta: { x: Array.from({ length: 9_000 }, () => ({})) } }] }],
  [
    'tool calls',
    { choices: [{ delta: { tool_calls: Array.from({ length: 9_000 }, () => ({ id: 'c' })) } }] },
  ],
  ['choices', { choices: Array.from({ length: 9_000 }, () => ({ delta: { content: 'a' } })) }],
])('an answer of thousands of %s is full: it is cut where it holds more than is gathered', (_name, event) => {
  const collector = collectorOf('chat')
  collector.add({ choices: [{ delta: { content: 'a', x: [{}, {}] } }] })
  expect(collector.isFull).toBe(false)
  collector.add(event)
  expect(collector.isFull).toBe(true)
})
