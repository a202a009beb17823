/** Events over the limit of what is held: they end as what they are, with their usage, in bounded memory. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { EventOutline } from '../../src/core/stream/event-outline.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import type { AnswerKind } from '../../src/core/stream/stream-json.ts'
import { cut } from '../kit/sse.ts'

const LONG = 'x"\\u00e9\\n'.repeat(1) + 'y'.repeat(60_000)
const FALLBACK = { requestId: 'r', model: 'm', nowMs: 0 }
const IMAGE = { type: 'image_generation_call', result: LONG }
const usage = { prompt_tokens: 7, completion_tokens: 3 }
const used = { input_tokens: 7, output_tokens: 3, total_tokens: 10 }

const LONG_EVENTS: readonly [string, AnswerKind, unknown][] = [
  [
    'an image in response.completed',
    'responses',
    { type: 'response.completed', response: { id: 'r', output: [IMAGE], usage: used } },
  ],
  [
    'long instructions in response.incomplete',
    'responses',
    { type: 'response.incomplete', response: { id: 'r', instructions: LONG, output: [], usage: used } },
  ],
  [
    'usage before a long output',
    'responses',
    { response: { usage: used, output: [IMAGE], id: 'r' }, type: 'response.completed' },
  ],
  [
    'an image chunk with its finish reason and usage',
    'chat',
    {
      id: 'c',
      choices: [{ index: 0, delta: { images: [{ image_url: { url: LONG } }] }, finish_reason: 'stop' }],
      usage,
    },
  ],
  [
    'a long text with its finish reason',
    'chat',
    { choices: [{ delta: { content: LONG }, index: 0, finish_reason: 'stop' }], usage },
  ],
  ['a long completion', 'text', { choices: [{ text: LONG, index: 0, finish_reason: 'length' }], usage }],
  [
    'usage behind a long field of the seller',
    'chat',
    {
      debug: { trace: [LONG, { usage: { prompt_tokens: 99 } }] },
      choices: [{ index: 0, delta: { content: 'a' }, finish_reason: 'stop' }],
      usage,
    },
  ],
  [
    'a long stop sequence',
    'anthropic',
    {
      type: 'message_delta',
      delta: { stop_reason: 'stop_sequence', stop_sequence: LONG },
      usage: { input_tokens: 7, output_tokens: 3 },
    },
  ],
]

function relayed(kind: AnswerKind | 'other', text: string, size: number, broken = false) {
  const relay = new SseRelay({
    splicer: () => new CostSplicer('0.5'),
    shape: kind,
    onTruncated: 'length',
    maxLineBytes: 20_000,
  })
  const bytes = Buffer.from(text)
  const out: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) out.push(relay.push(bytes.subarray(at, at + size)))
  const end = relay.end(broken, FALLBACK)
  return { relay, end, bytes: Buffer.concat([...out, end.bytes]).toString() }
}

describe.each(LONG_EVENTS)('%s', (_name, kind, event) => {
  const json = JSON.stringify(event)

  test.each([4096, 39_983])('ends the stream as what it was, usage and all, in chunks of %d', (size) => {
    for (const shape of [kind, 'other'] as const) {
      const { relay, end, bytes } = relayed(shape, `data: ${json}\n\n`, size)
      expect(relay.usage).toEqual({ inputTokens: 7, outputTokens: 3 })
      expect(end).toMatchObject({ truncated: false, cut: false })
      if (shape !== 'anthropic')
        expect(bytes.replace(',"cost":0.5', '').length).toBe(json.length + 'data: \n\n'.length)
      if (shape !== 'other') expect([relay.hasContent, relay.complete]).toEqual([true, true])
    }
  })

  test('without its line end, and over several lines, too', () => {
    expect(relayed(kind, `data: ${json}`, 4096).end.truncated).toBe(false)
    const several = `data: {\ndata: ${json.slice(1)}\n\n`
    const { relay, end } = relayed(kind, several, 4096)
    expect(end.truncated).toBe(false)
    expect(relay.usage).toEqual({ inputTokens: 7, outputTokens: 3 })
  })

  test('cut in the middle is a cut', () => {
    const { relay, end } = relayed(kind, `data: ${json.slice(0, -2)}`, 4096, true)
    expect(end.truncated).toBe(true)
    expect(relay.complete).toBe(false)
  })
})

test('an event of many short lines over the limit is read as a whole', () => {
  const lines = Array.from({ length: 3000 }, (_, at) => `data: "k${at}": "${'v'.repeat(40)}",\n`).join('')
  const text = `data: {\n${lines}data: "choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],\ndata: "usage":${JSON.stringify(usage)}}\n\n`
  const { relay, end } = relayed('chat', text, 4096)
  expect(end.truncated).toBe(false)
  expect(relay.usage).toEqual({ inputTokens: 7, outputTokens: 3 })
})

test('a failed response with long instructions is known, and nothing is added behind it', () => {
  const event = {
    type: 'response.failed',
    response: { instructions: LONG, error: { message: 'GPU' }, status: 'failed' },
  }
  const text = `data: ${JSON.stringify(event)}\n\n`
  const { relay, end, bytes } = relayed('responses', text, 4096)
  expect([relay.failure, end.truncated, bytes]).toEqual(['GPU', true, text])
})

test('an outline keeps what matters of any object, however it is cut', () => {
  const value = fc.jsonValue({ maxDepth: 3, stringUnit: 'binary' })
  const chunk = fc.record({
    id: value,
    type: fc.string(),
    junk: value,
    usage: fc.record({ prompt_tokens: fc.nat() }),
    choices: fc.array(
      fc.record({
        index: fc.nat(9),
        delta: fc.dictionary(fc.string(), fc.string({ maxLength: 40 })),
        finish_reason: fc.string(),
        other: value,
      }),
      { maxLength: 3 },
    ),
  })
  fc.assert(
    fc.property(chunk, fc.array(fc.nat(9)), fc.boolean(), (generated, sizes, isPretty) => {
      const outline = new EventOutline()
      const text = JSON.stringify(generated, null, isPretty ? 2 : 0)
      const told = JSON.parse(text) as typeof generated
      for (const part of cut(Buffer.from(text), sizes)) outline.push(part)
      const kept = (choices: readonly object[]): unknown =>
        choices.map((choice) => ({ ...choice, other: null }))
      const read = outline.outline as typeof told
      expect([read.type, read.usage, kept(read.choices)]).toEqual([told.type, told.usage, kept(told.choices)])
      if (typeof told.id !== 'object') expect(read.id).toEqual(told.id)
    }),
    { numRuns: 200 },
  )
})

test('an outline of a hostile text stays small', () => {
  const outline = new EventOutline()
  outline.push(Buffer.from('{'))
  for (let n = 0; n < 50_000; n += 1) outline.push(Buffer.from(`"k${n}":${n},`))
  outline.push(
    Buffer.from(`"deep":${'['.repeat(100_000)}${']'.repeat(100_000)},"s":"${'z'.repeat(500_000)}"}`),
  )
  expect(JSON.stringify(outline.outline).length).toBeLessThan(200_000)
})
