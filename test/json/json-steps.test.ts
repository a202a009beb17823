import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseInSteps, TOO_MUCH } from '../../src/core/json/json-parse.ts'
import { STEP_BYTES } from '../../src/core/json/json-scan.ts'
import { READABLE_DEPTH } from '../../src/core/json/json-text.ts'
import { EmbeddedJson, isWrittenIn, writeInSteps } from '../../src/core/json/json-write.ts'
import { blank, spaced } from '../kit/spaced-json.ts'

/** Runs all steps. */
function inSteps<T>(work: Generator<void, T, undefined>): { readonly result: T; readonly steps: number } {
  let steps = 0
  for (let step = work.next(); ; step = work.next(), steps += 1) {
    if (step.done === true) return { result: step.value, steps }
  }
}
const parsed = (text: string | Buffer): unknown => inSteps(parseInSteps(Buffer.from(text), Infinity)).result
const native = (text: string): unknown => {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
const written = (value: unknown): string => [...writeInSteps(value)].join('')

/** Places where a step may end: escapes, halves of characters, characters of two to four bytes. */
const UNITS = ['a', 'é', '€', '😀', '\\n', '\\\\', '\\"', '\\u00e9', '\\ud83d\\ude00', '\\ud83d', '"', '\\']

describe('a JSON text parsed in steps', () => {
  test('is what JSON.parse makes of it', () => {
    fc.assert(
      fc.property(fc.jsonValue(), blank, (value, gap) => {
        const text = gap + spaced(value, gap) + gap
        expect(parsed(text)).toStrictEqual(native(text))
      }),
    )
  })

  test('is refused wherever JSON.parse refuses it', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '1',
      '-',
      '01',
      '1e5',
      'true',
      'nul',
      ' ',
      '\n',
      '\\',
      '\\u',
      '\\ud8',
      '\u0000',
      '﻿',
      'é',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (all) => {
        expect(parsed(all.join(''))).toStrictEqual(native(all.join('')))
      }),
      { numRuns: 2000 },
    )
  })

  test.each(UNITS)('is the same however its steps cut a text of %j', (unit) => {
    for (let shift = 0; shift < 13; shift += 1) {
      const text = `["${'b'.repeat(STEP_BYTES - 2 - shift)}${unit.repeat(20)}","${unit}"]`
      expect(parsed(text)).toStrictEqual(native(text))
    }
  })

  test('keeps the last of several members of a name, and a member named __proto__', () => {
    const text = '{"a":1,"b":2,"a":3,"__proto__":{"x":1},"7":0}'
    expect(JSON.stringify(parsed(text))).toBe(JSON.stringify(JSON.parse(text)))
  })

  test('reads bytes that are no UTF-8 as JSON.parse reads them decoded', () => {
    const bytes = Buffer.from([0x22, 0xff, 0xc3, 0x61, 0xe2, 0x82, 0x22])
    expect(parsed(bytes)).toBe(JSON.parse(bytes.toString('utf8')))
  })

  test.each([
    ['of one text', JSON.stringify('a'.repeat(5 * STEP_BYTES)), 5],
    ['of numbers', `[${'1,'.repeat(40_000)}1]`, 9],
    ['of empty objects', `[${'{},'.repeat(40_000)}1]`, 9],
    ['of lists in lists', `${'['.repeat(500)}${'[[]],'.repeat(6_000)}1${']'.repeat(500)}`, 3],
    ['of members', JSON.stringify(Object.fromEntries(Array.from({ length: 9_000 }, (_, n) => [n, n]))), 2],
  ])('takes 64 kB or 4,096 values in a step, %s', (_what, text, steps) => {
    const done = inSteps(parseInSteps(Buffer.from(text), Infinity))
    expect(done.steps).toBe(steps)
    expect(done.result).toStrictEqual(JSON.parse(text))
  })

  test('is refused when it has more values than it may have, or is nested too deep', () => {
    const read = (text: string, values: number): unknown =>
      inSteps(parseInSteps(Buffer.from(text), values)).result
    expect(read('[1,2,3]', 4)).toStrictEqual([1, 2, 3])
    expect(read('[1,2,3]', 3)).toBe(TOO_MUCH)
    const deep = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
    expect(read(deep(READABLE_DEPTH), Infinity)).toBeDefined()
    expect(read(deep(READABLE_DEPTH + 1), Infinity)).toBe(TOO_MUCH)
  })
})

describe('JSON written in steps', () => {
  test('is what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(written(value)).toBe(JSON.stringify(value))
      }),
    )
  })

  test('leaves out what is undefined, as JSON.stringify does', () => {
    const value = { a: undefined, b: [undefined, Infinity], c: { d: undefined, e: -0 } }
    expect(written(value)).toBe(JSON.stringify(value))
  })

  test.each(['a', 'é', '"', '\u0001', '😀', '\ud83d'])(
    'is the same wherever a long text of %j is cut',
    (unit) => {
      for (const shift of [0, 1]) {
        const text = 'b'.repeat(STEP_BYTES - shift) + unit.repeat(STEP_BYTES)
        expect(written({ [text]: [text] })).toBe(JSON.stringify({ [text]: [text] }))
      }
    },
  )

  test('embeds JSON in a text', () => {
    const value = { x: 'a"\\😀'.repeat(30_000), y: [1, { z: null }] }
    const outer = { input: new EmbeddedJson(value) }
    expect(written(outer)).toBe(JSON.stringify({ input: JSON.stringify(value) }))
    expect(JSON.stringify(outer)).toBe(written(outer))
  })

  test('comes in pieces of 64 kB, or six times as much where everything is escaped', () => {
    const value = { a: '\u0001'.repeat(500_000), b: Array.from({ length: 200_000 }, () => 'xyz') }
    expect(Math.max(...[...writeInSteps(value)].map(({ length }) => length))).toBeLessThanOrEqual(
      6 * STEP_BYTES,
    )
  })

  test('is measured without being written whole', () => {
    expect(isWrittenIn('aa', 4)).toBe(true)
    expect(isWrittenIn('aa', 3)).toBe(false)
    let read = 0
    const many = Array.from({ length: 100 }, () =>
      Object.defineProperty({}, 'a', {
        enumerable: true,
        get: () => ((read += 1), 'a'.repeat(STEP_BYTES)),
      }),
    )
    expect(isWrittenIn(many, 10)).toBe(false)
    expect(read).toBeLessThan(5)
  })
})
