import * as fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { dataStart, SseLines, type SsePiece } from '../../src/core/relay/sse-lines.ts'
import { SseRelay } from '../../src/core/relay/sse-relay.ts'
import { cut } from '../kit/sse.ts'

const LIMIT = 40

const text = fc.string({
  unit: fc.constantFrom(
    '\r',
    '\n',
    'a',
    ':',
    ' ',
    'é',
    '🦆',
    'data: ',
    '\r\n',
    '\ufeff',
    '{"usage":{}}',
    '[DONE]',
  ),
  maxLength: 60,
})

function pieces(chunks: readonly Buffer[], limit = LIMIT): SsePiece[] {
  const lines = new SseLines(limit)
  const out = chunks.flatMap((chunk) => lines.push(chunk))
  const tail = lines.flush()
  return tail ? [...out, tail] : out
}

const joined = (list: readonly SsePiece[]): string =>
  Buffer.concat(list.flatMap(({ bytes, end }) => [bytes, end])).toString('latin1')

describe('lines of an event stream, however it is cut into chunks', () => {
  test('are the stream itself when put together again', () => {
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.nat(8)), (stream, sizes) => {
        const whole = Buffer.from(stream)
        expect(joined(pieces(cut(whole, sizes)))).toBe(whole.toString('latin1'))
      }),
    )
  })

  test('are what splitting at CR, LF and CRLF gives, where none is over the limit', () => {
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.nat(8)), (stream, sizes) => {
        const whole = Buffer.from(stream)
        const found = pieces(cut(whole, sizes), 10_000).filter(({ kind }) => kind !== 'raw')
        const expected = stream.split(/\r\n|\r|\n/)
        if (expected.at(-1) === '') expected.pop()
        expect(found.map(({ bytes }) => bytes.toString())).toEqual(expected)
      }),
    )
  })

  test('hold back no more than the limit', () => {
    fc.assert(
      fc.property(text, fc.infiniteStream(fc.nat(8)), (stream, sizes) => {
        const lines = new SseLines(LIMIT)
        let given = 0
        let taken = 0
        for (const chunk of cut(Buffer.from(stream), sizes)) {
          given += chunk.length
          for (const { bytes, end } of lines.push(chunk)) taken += bytes.length + end.length
          expect(given - taken).toBeLessThanOrEqual(LIMIT)
        }
      }),
    )
  })

  test('are read or passed over by their length alone', () => {
    fc.assert(
      fc.property(fc.nat(2 * LIMIT), fc.infiniteStream(fc.nat(LIMIT)), (length, sizes) => {
        const found = pieces(cut(Buffer.from(`${'x'.repeat(length)}\n`), sizes))
        expect(found.some(({ kind }) => kind === 'line')).toBe(length <= LIMIT)
      }),
    )
  })
})

const relayed = (chunks: readonly Buffer[], broken: boolean, shape: 'chat' | 'text' | 'other'): string => {
  const relay = new SseRelay({
    splicer: () => new CostSplicer('0.001'),
    shape,
    onTruncated: 'length',
    maxLineBytes: LIMIT,
  })
  const out = chunks.map((chunk) => relay.push(chunk))
  const end = relay.end(broken, { requestId: 'r', model: 'm', nowMs: 0 })
  return Buffer.concat([...out, end.bytes]).toString('latin1')
}

describe('lines of nothing', () => {
  test.each([
    ['CR', '\r'],
    ['LF', '\n'],
    ['CRLF', '\r\n'],
  ])('ended by %s: no byte is searched more than once for each kind of line end', (_name, end) => {
    const bytes = Buffer.from(end.repeat(65_536))
    let searched = 0
    const { indexOf } = Buffer.prototype
    const spy = vi.spyOn(bytes.constructor.prototype as Buffer, 'indexOf')
    spy.mockImplementation(function (this: Buffer, value, from) {
      const found = indexOf.call(this, value, from)
      searched += (found < 0 ? this.length : found + 1) - Number(from)
      return found
    })
    const found = new SseLines(LIMIT).push(bytes)
    spy.mockRestore()
    expect(found).toHaveLength(65_536)
    // Searching each line to the end of its chunk would look at some two billion.
    expect(searched).toBeGreaterThanOrEqual(bytes.length)
    expect(searched).toBeLessThanOrEqual(2 * bytes.length)
  })
})

describe('a relayed stream', () => {
  test('is the same for the client however the seller cut it into chunks', () => {
    const shape = fc.constantFrom('chat' as const, 'text' as const, 'other' as const)
    const event = fc.constantFrom(
      'data: {"choices":[{"index":0}]}',
      'data:{"usage":{"cost":9}}',
      'data: {"error":{"message":"no"}}',
      'data: [DONE]',
      ': comment',
      'event: x',
      '',
    )
    const end = fc.constantFrom('\n', '\r', '\r\n', '')
    const stream = fc.oneof(
      text,
      fc.array(fc.tuple(event, end, end)).map((list) => list.flat().join('')),
    )
    fc.assert(
      fc.property(
        stream,
        fc.infiniteStream(fc.nat(12)),
        fc.boolean(),
        shape,
        (whole, sizes, broken, kind) => {
          const bytes = Buffer.from(whole)
          expect(relayed(cut(bytes, sizes), broken, kind)).toBe(relayed([bytes], broken, kind))
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('a data line', () => {
  test.each([
    ['data: x', false, 6],
    ['data:x', false, 5],
    ['data:', false, 5],
    ['data:  x', false, 6],
    ['\ufeffdata: x', true, 9],
    ['\ufeffdata: x', false, undefined],
    ['data', false, undefined],
    [': data: x', false, undefined],
    ['event: data:', false, undefined],
  ])('%j (first line: %s) has its value at %s', (line, first, start) => {
    expect(dataStart(Buffer.from(line), first)).toBe(start)
  })
})
