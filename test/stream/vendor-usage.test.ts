/** Token counts in the forms of many sellers, in streams and in JSON. */
import { describe, expect, test } from 'vitest'
import { JsonUsage } from '../../src/core/stream/json-usage.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { readUsage } from '../../src/core/stream/usage.ts'

const sse = (...events: readonly unknown[]): Buffer =>
  Buffer.from(events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join(''))

const content = { index: 0, delta: { content: 'a' }, finish_reason: null }

const FORMS: readonly [string, object][] = [
  ['Groq', { choices: [], x_groq: { id: 'q', usage: { prompt_tokens: 3, completion_tokens: 4 } } }],
  [
    'Gemini',
    {
      candidates: [],
      usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 1, thoughtsTokenCount: 3 },
    },
  ],
  ['Gemini without an answer yet', { usageMetadata: { promptTokenCount: 3, totalTokenCount: 7 } }],
  ['Cohere 1', { text: '', meta: { tokens: { input_tokens: 3, output_tokens: 4 } } }],
  ['Cohere, billed', { meta: { billed_units: { input_tokens: 3, output_tokens: 4 } } }],
  [
    'Cohere 2',
    { usage: { billed_units: { input_tokens: 1 }, tokens: { input_tokens: 3, output_tokens: 4 } } },
  ],
  ['DeepSeek', { usage: { prompt_tokens: 3, completion_tokens: 4, prompt_cache_hit_tokens: 2 } }],
  ['OpenRouter', { usage: { prompt_tokens: 3, completion_tokens: 4, cost: 1, is_byok: false } }],
  ['Bedrock', { usage: { inputTokens: 3, outputTokens: 4, totalTokens: 7 } }],
  [
    'Bedrock, at the end',
    { 'amazon-bedrock-invocationMetrics': { inputTokenCount: 3, outputTokenCount: 4 } },
  ],
  ['Ollama', { done: true, prompt_eval_count: 3, eval_count: 4 }],
  ['a total beside the input', { usage: { prompt_tokens: 3, total_tokens: 7 } }],
]

describe.each(FORMS)('the usage of %s', (_name, answer) => {
  test('is read in streams and in JSON', () => {
    for (const shape of ['chat', 'text', 'other'] as const) {
      const relay = new SseRelay({ splicer: undefined, shape, onTruncated: 'length' })
      relay.push(sse(answer))
      expect(relay.usage).toMatchObject({ inputTokens: 3, outputTokens: 4 })
    }
    const json = new JsonUsage()
    json.push(Buffer.from(JSON.stringify(answer)))
    expect(json.usage).toMatchObject({ inputTokens: 3, outputTokens: 4 })
  })

  test('is read in an event that is too long to be held', () => {
    const relay = new SseRelay({
      splicer: undefined,
      shape: 'chat',
      onTruncated: 'length',
      maxLineBytes: 100,
    })
    relay.push(sse({ filler: 'x'.repeat(1000), ...answer }))
    expect(relay.usage).toMatchObject({ inputTokens: 3, outputTokens: 4 })
  })
})

describe('usage in chunks with content', () => {
  const used = (prompt_tokens: number, completion_tokens: number): object => ({
    usage: { prompt_tokens, completion_tokens },
  })
  test.each([
    ['that grows: the last counts', [used(3, 1), used(3, 2), used(3, 4)]],
    ['with zeros at the end: they are no counts', [used(3, 4), used(0, 0)]],
    ['with null at the end', [used(3, 4), { usage: null }]],
    ['whose output comes without the input', [used(3, 0), { usage: { completion_tokens: 4 } }]],
  ])('%s', (_name, chunks) => {
    const relay = new SseRelay({ splicer: undefined, shape: 'chat', stripUsage: true, onTruncated: 'length' })
    const events = sse(...chunks.map((chunk) => ({ choices: [content], ...chunk })))
    // What holds content is never stripped.
    expect(relay.push(events).equals(events)).toBe(true)
    expect(relay.usage).toMatchObject({ inputTokens: 3, outputTokens: 4 })
  })
})

test('the usage of a message without input tokens has its output', () => {
  const relay = new SseRelay({ splicer: undefined, shape: 'anthropic', onTruncated: 'length' })
  relay.push(sse({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 4 } }))
  expect(relay.usage).toEqual({ inputTokens: 0, outputTokens: 4 })
})

test.each([
  [null],
  ['x'],
  [[]],
  [{}],
  [{ prompt_tokens: -1 }],
  [{ input_tokens: 1.5 }],
  [{ completion_tokens: 4 }],
])('%j is no usage', (value) => {
  expect(readUsage(value)).toBeUndefined()
})
