import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { EventTexts } from '../../src/core/relay/event-texts.ts'
import { cut, eventsOf } from '../kit/sse.ts'

/** Longer than a line that is put together before it is known to be data. */
const LONG = 70_000

const stream = fc
  .array(
    fc.constantFrom(
      'data: a\n',
      'data:b\r\n',
      'data: {"c":1}\r',
      ': comment\n',
      'event: x\n',
      '\n',
      '\r\n',
      `data: ${'d'.repeat(LONG)}\n`,
      `data:${'e'.repeat(LONG)}\r\n`,
      `: ${'f'.repeat(LONG)}\r`,
    ),
    { maxLength: 12 },
  )
  .map((lines) => lines.join(''))

test('the data of events is what an event-stream parser reads, however the stream is cut', () => {
  fc.assert(
    fc.property(stream, fc.infiniteStream(fc.nat(30_000)), (text, sizes) => {
      const texts = new EventTexts()
      const found = cut(Buffer.from(text), sizes)
        .flatMap((chunk) => texts.push(chunk))
        // Each line of the data ends with a line feed, the last one too.
        .map((pieces) => Buffer.concat(pieces).toString().slice(0, -1))
      expect(found).toEqual(eventsOf(Buffer.from(text)).map(({ data }) => data))
    }),
    { numRuns: 60 },
  )
})
