/** Streams that repeat what comes once, and usage where only some vendors put it. */
import { expect, test } from 'vitest'
import { collectorOf } from '../../src/core/stream/answer-conversion.ts'
import { SseRelay } from '../../src/core/stream/sse-relay.ts'

test('audio deltas join their data, and repeat no id, type or format', () => {
  const collector = collectorOf('chat')
  for (const [data, transcript] of [
    ['AAA', 'Hel'],
    ['BBB', 'lo'],
  ]) {
    const audio = { id: 'audio_1', format: 'wav', data, transcript, expires_at: 7 }
    collector.add({ choices: [{ index: 0, delta: { role: 'assistant', audio } }] })
  }
  expect(collector.answer(false)).toMatchObject({
    choices: [
      {
        message: {
          role: 'assistant',
          audio: { id: 'audio_1', format: 'wav', data: 'AAABBB', transcript: 'Hello', expires_at: 7 },
        },
      },
    ],
  })
})

test.each(['chat', 'text', 'other'] as const)("Groq's usage in x_groq counts for %s streams", (shape) => {
  const relay = new SseRelay({ splicer: undefined, shape, onTruncated: 'length' })
  relay.push(
    Buffer.from(
      'data: {"choices":[],"x_groq":{"id":"q","usage":{"prompt_tokens":3,"completion_tokens":4}}}\n\n',
    ),
  )
  expect(relay.usage).toEqual({ inputTokens: 3, outputTokens: 4 })
})
