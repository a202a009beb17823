/** Generated conversations as their bytes on the wire: every spelling that the event stream format allows. */
import * as fc from 'fast-check'
import { streamOfJson } from '../../src/core/stream/answer-conversion.ts'
import type { AnswerKind } from '../../src/core/stream/stream-json.ts'
import { anthropicAnswers, chatAnswers, responsesAnswers, textAnswers } from './answers.ts'
import { cut, eventsOf } from './sse.ts'

/** One answer of a seller. */
export interface Conversation {
  readonly kind: AnswerKind
  readonly endpoint: string
  readonly type: 'application/json' | 'text/event-stream'
  readonly chunks: readonly Buffer[]
}

const KINDS = [
  { kind: 'chat', endpoint: '/chat/completions', answers: chatAnswers },
  { kind: 'text', endpoint: '/completions', answers: textAnswers },
  { kind: 'responses', endpoint: '/responses', answers: responsesAnswers },
  { kind: 'anthropic', endpoint: '/messages', answers: anthropicAnswers },
] as const

interface Spelling {
  readonly eol: string
  readonly bom: boolean
  readonly comments: boolean
  readonly ids: boolean
  /** Data over several lines. */
  readonly lines: boolean
  readonly blank: string
}

const spelling: fc.Arbitrary<Spelling> = fc.record({
  eol: fc.constantFrom('\n', '\r\n', '\r'),
  bom: fc.boolean(),
  comments: fc.boolean(),
  ids: fc.boolean(),
  lines: fc.boolean(),
  blank: fc.constantFrom('', ' '),
})

/** Writes events anew. Data over several lines is JSON with line breaks between its tokens. */
function spelt(stream: Buffer, how: Spelling): Buffer {
  const lines = eventsOf(stream).flatMap(({ event, data }, index) => {
    const text = how.lines && data !== '[DONE]' ? JSON.stringify(JSON.parse(data), null, 1) : data
    return [
      ...(how.comments ? [`: comment ${index}`] : []),
      ...(how.ids ? [`id: ${index}`] : []),
      ...(event === undefined ? [] : [`event:${how.blank}${event}`]),
      ...text.split('\n').map((line) => `data:${how.blank}${line}`),
      '',
    ]
  })
  return Buffer.from(`${how.bom ? '\ufeff' : ''}${lines.map((line) => line + how.eol).join('')}`)
}

/** Conversations of every protocol, in JSON and as streams, cut anywhere: also inside characters and line ends. */
export const conversations: fc.Arbitrary<Conversation> = fc
  .constantFrom(...KINDS)
  .chain(({ kind, endpoint, answers }) =>
    fc
      .record({
        answer: answers as fc.Arbitrary<object>,
        isStream: fc.boolean(),
        how: spelling,
        sizes: fc.array(fc.nat(200), { minLength: 1, maxLength: 60 }),
      })
      .map(({ answer, isStream, how, sizes }): Conversation => {
        const json = JSON.stringify(answer, null, how.lines ? 2 : 0)
        const stream = streamOfJson(kind, json)
        if (!stream) throw new Error('a generated answer is none')
        return {
          kind,
          endpoint,
          type: isStream ? 'text/event-stream' : 'application/json',
          chunks: cut(isStream ? spelt(stream, how) : Buffer.from(json), sizes),
        }
      }),
  )
