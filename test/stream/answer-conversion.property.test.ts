import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { collectorOf, streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import { parseJson, type AnswerKind } from '../../src/core/stream/stream-json.ts'
import { eventsOf } from '../kit/sse.ts'
import { anthropicAnswers, chatAnswers, responsesAnswers, textAnswers } from '../kit/answers.ts'

/** The events of a JSON answer, put together again. */
function thereAndBack(kind: AnswerKind, answer: unknown): unknown {
  const stream = streamOfJson(kind, JSON.stringify(answer))
  if (!stream) throw new Error('no answer of this kind')
  const collector = collectorOf(kind)
  for (const { data, event } of eventsOf(stream)) {
    const json = parseJson(data)
    if (!json) continue
    // Clients of named events choose by the name.
    if (event !== undefined) expect(json['type']).toBe(event)
    collector.add(json)
  }
  return collector.answer(false)
}

describe('a JSON answer that becomes a stream and JSON again', () => {
  const kinds = [
    ['chat', chatAnswers],
    ['text', textAnswers],
    ['responses', responsesAnswers],
    ['anthropic', anthropicAnswers],
  ] as const
  it.each(kinds)('is the same answer: %s', (kind, answers) => {
    fc.assert(
      fc.property(answers, (answer) => {
        expect(thereAndBack(kind, answer)).toEqual(answer)
      }),
      { numRuns: 200 },
    )
  })

  it.each(kinds)('is not made up of what is no answer: %s', (kind) => {
    for (const text of ['', '[]', '{}', '{"choices":1}', '{"output":"x"}', '{"content":"x"}', '{"a":']) {
      expect(streamOfJson(kind, text)).toBeUndefined()
    }
  })

  it.each(kinds)('survives events that nobody sends: %s', (kind) => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.boolean(), (values, truncated) => {
        const collector = collectorOf(kind)
        for (const value of values) {
          const event = parseJson(JSON.stringify(value))
          if (event) collector.add(event)
        }
        collector.answer(truncated)
      }),
    )
  })
})

describe('a stream that broke off', () => {
  it('leaves out a call with half of its input', () => {
    const collector = collectorOf('anthropic')
    collector.add({ type: 'message_start', message: { id: 'm', type: 'message', role: 'assistant' } })
    collector.add({
      type: 'content_block_start',
      index: 0,
      content_block: { type: 'tool_use', id: 't', input: {} },
    })
    collector.add({
      type: 'content_block_delta',
      index: 0,
      delta: { type: 'input_json_delta', partial_json: '{"a":1' },
    })
    expect(collector.answer(true)).toMatchObject({ content: [], stop_reason: 'max_tokens' })
  })

  it('keeps calls apart whose seller gives all of them the index 0', () => {
    const collector = collectorOf('chat')
    for (const id of ['a', 'b']) {
      const call = { index: 0, id, type: 'function', function: { name: id, arguments: '{}' } }
      collector.add({ choices: [{ index: 0, delta: { tool_calls: [call] } }] })
    }
    expect(collector.answer(false)).toMatchObject({
      choices: [{ finish_reason: 'tool_calls', message: { tool_calls: [{ id: 'a' }, { id: 'b' }] } }],
    })
  })
})
