/** How the events of a stream become one JSON answer: what comes in pieces is joined, and what is repeated comes once. */
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { collectorOf } from '../../src/core/stream/answer-conversion.ts'
import type { AnswerKind, Json } from '../../src/core/stream/stream-json.ts'

function collect(kind: AnswerKind, events: readonly Json[]): unknown {
  const collector = collectorOf(kind)
  for (const event of events) collector.add(event)
  return collector.answer(false)
}

/** The message of a chat answer of these deltas. */
function messageOf(...deltas: readonly Json[]): unknown {
  const answer = collect(
    'chat',
    deltas.map((delta) => ({ id: 'c', choices: [{ index: 0, delta }] })),
  )
  return (answer as { choices: { message: unknown }[] }).choices[0]?.message
}

describe('a chat message', () => {
  test('audio deltas join their data, and repeat no id, type or format', () => {
    const audio = { id: 'audio_1', format: 'wav', expires_at: 7 }
    expect(
      messageOf(
        { role: 'assistant', audio: { ...audio, data: 'AAA', transcript: 'Hel' } },
        { role: 'assistant', audio: { ...audio, data: 'AAA', transcript: 'lo' } },
        { audio: { expires_at: 8 } },
      ),
    ).toMatchObject({
      role: 'assistant',
      audio: { id: 'audio_1', format: 'wav', data: 'AAAAAA', transcript: 'Hello', expires_at: 8 },
    })
  })

  test('reasoning details of one index and type are one element, in the order of their indexes', () => {
    expect(
      messageOf(
        { reasoning_details: [{ type: 'reasoning.summary', index: 1, summary: 'Sec', format: 'f' }] },
        { reasoning_details: [{ type: 'reasoning.text', index: 0, text: 'ha', format: 'f' }] },
        {
          reasoning_details: [
            { type: 'reasoning.text', index: 0, text: 'ha', format: 'f' },
            { type: 'reasoning.summary', index: 1, summary: 'ond', format: 'f' },
          ],
        },
        { reasoning_details: [{ type: 'reasoning.encrypted', index: 0, id: 'r1', data: 'x' }] },
        { reasoning_details: [{ type: 'reasoning.text', index: 0, signature: 'sig' }] },
      ),
    ).toMatchObject({
      reasoning_details: [
        { type: 'reasoning.text', index: 0, text: 'haha', format: 'f', signature: 'sig' },
        { type: 'reasoning.encrypted', index: 0, id: 'r1', data: 'x' },
        { type: 'reasoning.summary', index: 1, summary: 'Second', format: 'f' },
      ],
    })
  })

  test('reasoning details without an index continue the last one of their type', () => {
    expect(
      messageOf(
        { reasoning_details: [{ type: 'reasoning.text', text: 'a' }] },
        { reasoning_details: [{ type: 'reasoning.text', text: 'b' }] },
        { reasoning_details: [{ type: 'reasoning.encrypted', data: 'x' }] },
        { reasoning_details: [{ type: 'reasoning.encrypted', data: 'y' }] },
      ),
    ).toMatchObject({
      reasoning_details: [
        { type: 'reasoning.text', text: 'ab' },
        { type: 'reasoning.encrypted', data: 'x' },
        { type: 'reasoning.encrypted', data: 'y' },
      ],
    })
  })

  test('annotations and images come whole: all of them are kept, and none that is repeated', () => {
    const cite = (url: string, index?: number): Json => ({
      type: 'url_citation',
      ...(index === undefined ? {} : { index }),
      url_citation: { url, title: 'T', start_index: 0 },
    })
    const image = (index: number): Json => ({ type: 'image_url', index, image_url: { url: `data:${index}` } })
    expect(
      messageOf(
        { annotations: [cite('a'), cite('b')], images: [image(0)] },
        { annotations: [cite('a'), cite('c')], images: [image(1)] },
      ),
    ).toMatchObject({ annotations: [cite('a'), cite('b'), cite('c')], images: [image(0), image(1)] })
    // Sellers that number the annotations of each chunk from zero.
    expect(messageOf({ annotations: [cite('a', 0)] }, { annotations: [cite('b', 0)] })).toMatchObject({
      annotations: [cite('a', 0), cite('b', 0)],
    })
  })

  test("Mistral's content parts are joined, and the text behind them is one more part", () => {
    const think = (text: string): Json => ({
      content: [{ type: 'thinking', thinking: [{ type: 'text', text }] }],
    })
    expect(
      messageOf({ role: 'assistant', content: '' }, think('Let '), think('me'), { content: 'Yes' }),
    ).toEqual({
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: [{ type: 'text', text: 'Let me' }] },
        { type: 'text', text: 'Yes' },
      ],
    })
    expect(messageOf({ content: 'a' }, { content: [{ type: 'text', text: 'b' }] })).toMatchObject({
      content: [{ type: 'text', text: 'ab' }],
    })
  })

  test('tool calls whose id, type and name are repeated in every chunk have them once', () => {
    const call = (args: string): Json => ({
      tool_calls: [{ index: 0, id: 'x', type: 'function', function: { name: 'look', arguments: args } }],
    })
    const custom = (input: string): Json => ({
      tool_calls: [{ index: 1, id: 'y', type: 'custom', custom: { name: 'sh', input } }],
    })
    expect(messageOf(call('{"a"'), custom('l'), call(':1}'), custom('s'))).toMatchObject({
      tool_calls: [
        { id: 'x', type: 'function', function: { name: 'look', arguments: '{"a":1}' } },
        { id: 'y', type: 'custom', custom: { name: 'sh', input: 'ls' } },
      ],
    })
    expect(
      messageOf(
        { function_call: { name: 'look', arguments: '{' } },
        { function_call: { name: 'look', arguments: '}' } },
      ),
    ).toMatchObject({ function_call: { name: 'look', arguments: '{}' } })
  })

  test('texts, lists by index and objects are what OpenAI’s own rule makes of any number of pieces', () => {
    const texts = fc.array(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 4 }), (elements) => {
        const most = Math.max(...elements.map(({ length }) => length))
        const deltas = Array.from({ length: most }, (_, at) => ({
          parts: elements.flatMap((pieces, index) =>
            pieces[at] === undefined ? [] : [{ index, type: 't', inner: { text: pieces[at] } }],
          ),
        }))
        expect(messageOf(...deltas)).toMatchObject({
          parts: elements.map((pieces, index) => ({ index, type: 't', inner: { text: pieces.join('') } })),
        })
      }),
    )
  })
})

describe('a choice', () => {
  test('log probabilities follow one another, whatever the tokens are', () => {
    const answer = collect(
      'text',
      [0, 1].map((n) => ({
        choices: [
          {
            index: 0,
            text: 'index',
            logprobs: {
              tokens: ['index'],
              token_logprobs: [0],
              top_logprobs: [{ index: 0 }],
              text_offset: [n],
            },
          },
        ],
      })),
    )
    expect(answer).toMatchObject({
      choices: [
        {
          text: 'indexindex',
          logprobs: {
            tokens: ['index', 'index'],
            token_logprobs: [0, 0],
            top_logprobs: [{ index: 0 }, { index: 0 }],
            text_offset: [0, 1],
          },
        },
      ],
    })
    const chat = (token: string): Json => ({
      choices: [{ index: 0, delta: {}, logprobs: { content: [{ token, logprob: 0 }], refusal: null } }],
    })
    expect(
      collect('chat', [chat('a'), { choices: [{ index: 0, logprobs: null }] }, chat('b')]),
    ).toMatchObject({
      choices: [{ logprobs: { content: [{ token: 'a' }, { token: 'b' }], refusal: null } }],
    })
  })

  test.each(['chat', 'text'] as const)('keeps what a %s stream says once, and every token id', (kind) => {
    const empty = { id: '', model: '', created: 0, citations: [], system_fingerprint: null }
    const first = { ...empty, prompt_filter_results: [{ prompt_index: 0 }], choices: [] }
    const second = {
      id: 'c',
      model: 'm',
      created: 7,
      citations: ['a'],
      system_fingerprint: 'fp',
      choices: [{ index: 0, content_filter_results: { hate: { severity: 'safe' } }, token_ids: [1] }],
    }
    const third = {
      ...empty,
      created: 7,
      choices: [{ index: 0, content_filter_results: {}, token_ids: [2] }],
    }
    expect(collect(kind, [first, second, third])).toMatchObject({
      id: 'c',
      model: 'm',
      created: 7,
      citations: ['a'],
      system_fingerprint: 'fp',
      prompt_filter_results: [{ prompt_index: 0 }],
      choices: [{ content_filter_results: { hate: { severity: 'safe' } }, token_ids: [1, 2] }],
    })
  })

  test.each(['chat', 'text'] as const)("Groq's usage in x_groq is the usage of the %s answer", (kind) => {
    const usage = { prompt_tokens: 3, completion_tokens: 4 }
    expect(
      collect(kind, [
        { choices: [], x_groq: { id: 'q' } },
        { choices: [], x_groq: { usage } },
      ]),
    ).toMatchObject({
      usage,
    })
  })
})

describe('a response without its output in the last event', () => {
  test('has the annotations and log probabilities that came one by one', () => {
    const at = { output_index: 0, item_id: 'm', content_index: 0 }
    const item = { id: 'm', type: 'message', role: 'assistant', status: 'in_progress', content: [] }
    const annotations = [
      { type: 'file_citation', index: 5, file_id: 'a' },
      { type: 'file_citation', index: 5, file_id: 'b' },
    ]
    const logprobs = [{ token: 'x', logprob: 0 }]
    const answer = collect('responses', [
      { type: 'response.created', response: { id: 'r', output: [] } },
      { type: 'response.output_item.added', output_index: 0, item },
      {
        type: 'response.content_part.added',
        ...at,
        part: { type: 'output_text', text: '', annotations: [] },
      },
      { type: 'response.output_text.delta', ...at, delta: 'x', logprobs },
      { type: 'response.output_text.delta', ...at, delta: 'x', logprobs },
      ...annotations.map((annotation, n) => ({
        type: 'response.output_text.annotation.added',
        ...at,
        annotation_index: n,
        annotation,
      })),
      { type: 'response.completed', response: { id: 'r', status: 'completed' } },
    ])
    expect(answer).toMatchObject({
      output: [
        { content: [{ type: 'output_text', text: 'xx', annotations, logprobs: [...logprobs, ...logprobs] }] },
      ],
    })
  })
})
