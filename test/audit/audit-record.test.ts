/** The text of a record: canonical JSON (RFC 8785), whatever its fields are. */
import canonicalize from 'canonicalize'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { composeRecord, EMPTY_HEAD, readRecord } from '../../src/io/audit/audit-record.ts'

const OWN = new Set(['seq', 'ts', 'type', 'prev', 'hash'])
const NOW = Date.UTC(2026, 10, 30)

/** Names as they sort badly: digits, upper case, beyond the BMP, half of a pair, and names of an object's own. */
const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom('a', 'B', '10', '9', '\u{1f600}', '\uffff', '\ud800', '__proto__', 'constructor', ''),
)

const plain = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.constant(-0),
    fc.bigInt(),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constant(undefined),
    fc.array(
      tie('value').filter((value) => value !== undefined),
      { maxLength: 4 },
    ),
    fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value

/** What a reader of the record must find, worked out the general way. */
function expected(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value === 'string') return value.toWellFormed()
  if (Array.isArray(value)) return value.map(expected)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter((entry) => entry[1] !== undefined)
  return Object.fromEntries(entries.map(([key, inner]) => [key.toWellFormed(), expected(inner)]))
}

describe('the text of a record', () => {
  test('is what the general canonicalisation makes of it, byte for byte, and reads as it was written', () => {
    fc.assert(
      fc.property(fc.dictionary(name, plain, { maxKeys: 6, noNullPrototype: true }), (fields) => {
        const { line, head } = composeRecord(EMPTY_HEAD, NOW, 'charge.held', fields)
        const text = line.toString('utf8')
        const seen = JSON.parse(text) as Record<string, unknown>
        expect(text).toBe(`${canonicalize(seen)}\n`)
        expect(readRecord(line.subarray(0, -1), EMPTY_HEAD)).toMatchObject({ seq: 1, hash: head.hash })
        const rest = Object.fromEntries(Object.entries(seen).filter(([key]) => !OWN.has(key)))
        expect(canonicalize(rest)).toBe(canonicalize(expected(fields)))
      }),
      { numRuns: 500 },
    )
  })

  test.each<[string, unknown]>([
    ['a fraction', 1.5],
    ['a number beyond 2^53', 2 ** 53],
    ['NaN', Number.NaN],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['a function', () => 1],
    ['a list with nothing in it', [undefined]],
    ['a signature', `0x${'ab'.repeat(65)}`],
    ['a signature deep inside', { a: [{ b: 'AB'.repeat(65) }] }],
    ['a forbidden name deep inside', { a: { 'Private-Key': 'x' } }],
  ])('is refused for %s', (_what, value) => {
    expect(() => composeRecord(EMPTY_HEAD, NOW, 't', { field: value })).toThrow(TypeError)
  })

  test('names the place of what it refuses', () => {
    expect(() => composeRecord(EMPTY_HEAD, NOW, 't', { a: { b: [1, 0.5] } })).toThrow('audit field a.b[1] ')
  })
})
