import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { replaceMember, scanTopLevel, spliceCostAt, spliceUsageCost } from '../../src/core/json-scan.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')
const spliced = (text: string, cost = '0.001'): string | undefined =>
  spliceUsageCost(bytes(text), cost)?.toString('utf8')

const Parsed = z.custom<object>((value) => value instanceof Object)

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** JSON objects, written with blanks in odd places. */
const blank = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 2 })
const spaced = (value: unknown, gap: string): string => {
  if (Array.isArray(value))
    return `[${gap}${value.map((item) => spaced(item, gap)).join(`${gap},${gap}`)}${gap}]`
  if (!isObject(value)) return JSON.stringify(value)
  const members = Object.entries(value).map(
    ([key, item]) => `${JSON.stringify(key)}${gap}:${gap}${spaced(item, gap)}`,
  )
  return `{${gap}${members.join(`${gap},${gap}`)}${gap}}`
}
const json = fc.jsonValue()
const usage = fc.dictionary(fc.oneof(fc.constant('cost'), fc.string()), json)

/** What parsing gives, with the cost put in. */
const setCost = (value: unknown, cost: number): unknown => {
  if (isObject(value) && isObject(value['usage'])) value['usage']['cost'] = cost
  return value
}

describe('the top level of a JSON object', () => {
  test('is found with keys decoded and values as they are written', () => {
    const text = ' {"mod\\u0065l" : "a\\"}b" ,"n":1e2,"o":{"x":[1,{"y":"]"}]}} '
    const members = scanTopLevel(bytes(text))
    expect(members?.map(({ key }) => key)).toEqual(['model', 'n', 'o'])
    expect(members?.map((m) => text.slice(m.valueStart, m.valueEnd))).toEqual([
      '"a\\"}b"',
      '1e2',
      '{"x":[1,{"y":"]"}]}',
    ])
  })

  test('reports a key that is there twice, however it is spelled', () => {
    const members = scanTopLevel(bytes('{"model":"a","x":1,"\\u006dodel":"b"}'))
    expect(members?.map(({ key, duplicate }) => [key, duplicate])).toEqual([
      ['model', true],
      ['x', false],
      ['model', true],
    ])
  })

  test.each([
    '',
    ' ',
    '[]',
    '1',
    'null',
    '"{}"',
    '{',
    '{}x',
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    '{a:1}',
    '{"a":01}',
  ])('is not found in %j', (text) => {
    expect(scanTopLevel(bytes(text))).toBeUndefined()
  })

  test.each([
    '{"a":1 2}',
    '{"a":[}]}',
    '{"a":[{]}}',
    '{"a":"x}',
    '{"a":"\n"}',
    '{"a":tru}',
    '{"\\x":1}',
    '\ufeff{}',
    '{"a":1}{}',
  ])('is not found in %j', (text) => {
    expect(scanTopLevel(bytes(text))).toBeUndefined()
  })

  test('of any object is what JSON.parse sees', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), json), blank, (value, gap) => {
        const text = bytes(gap + spaced(value, gap) + gap)
        const members = scanTopLevel(text) ?? []
        const read = members.map((m) => [
          m.key,
          JSON.parse(text.toString('utf8', m.valueStart, m.valueEnd)) as unknown,
        ])
        expect(read).toEqual(Object.entries(Parsed.parse(JSON.parse(text.toString('utf8')))))
      }),
    )
  })

  test('of arbitrary bytes never throws, and what parses as an object is found', () => {
    const soup = fc.string({
      unit: fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        '"',
        ',',
        ':',
        '\\',
        'u',
        '0',
        '1',
        'e',
        '-',
        '.',
        ' ',
        '\n',
        'null',
      ),
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), soup.map(bytes)), (junk) => {
        let parsed: unknown
        try {
          parsed = JSON.parse(Buffer.from(junk).toString('utf8')) as unknown
        } catch {
          parsed = undefined
        }
        const found = scanTopLevel(junk)
        if (isObject(parsed)) expect(found).toBeDefined()
        spliceUsageCost(junk, '1')
      }),
      { numRuns: 2000 },
    )
  })

  test('of an object nested 200,000 deep is found without exhausting the stack', () => {
    const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
    expect(scanTopLevel(bytes(deep))).toHaveLength(1)
  })
})

describe('replacing a member', () => {
  test('leaves every other byte as it was', () => {
    const text = '{ "id" : 12345678901234567890, "model":  "a" ,"x":1.0}'
    const member = scanTopLevel(bytes(text))?.find(({ key }) => key === 'model')
    if (!member) throw new Error('not found')
    expect(replaceMember(bytes(text), member, '"b"').toString()).toBe(
      '{ "id" : 12345678901234567890, "model":  "b" ,"x":1.0}',
    )
  })
})

describe('the cost of an answer', () => {
  test.each([
    ['{"usage":{"prompt_tokens":1}}', '{"usage":{"prompt_tokens":1,"cost":0.001}}'],
    ['{"usage":{}}', '{"usage":{"cost":0.001}}'],
    ['{"usage": { } }', '{"usage": {"cost":0.001 } }'],
    ['{"usage":{"a":1 }, "z": 1.00}', '{"usage":{"a":1,"cost":0.001 }, "z": 1.00}'],
    ['{"usage":{"cost":99,"a":12345678901234567890}}', '{"usage":{"cost":0.001,"a":12345678901234567890}}'],
    ['{"usage":{"cost":9,"c\\u006fst":"x"}}', '{"usage":{"cost":0.001,"c\\u006fst":0.001}}'],
    ['{"us\\u0061ge":{"cost":{"a":[1]}}}', '{"us\\u0061ge":{"cost":0.001}}'],
    ['{"usage":{"cost":1},"usage":{"cost":2}}', '{"usage":{"cost":0.001},"usage":{"cost":0.001}}'],
  ])('turns %s into %s', (before, after) => {
    expect(spliced(before)).toBe(after)
  })

  test.each(['{}', '{"usage":null}', '{"usage":1}', '{"x":{"usage":{}}}', '[{"usage":{}}]', 'x'])(
    'has no place in %s',
    (text) => {
      expect(spliced(text)).toBeUndefined()
    },
  )

  test('goes into a nested usage object by its path', () => {
    const text = bytes('{"type":"response.completed","response":{"usage":{"input_tokens":1}}}')
    expect(spliceCostAt(text, ['response', 'usage'], '0.5')?.toString()).toBe(
      '{"type":"response.completed","response":{"usage":{"input_tokens":1,"cost":0.5}}}',
    )
    expect(spliceCostAt(text, ['usage'], '0.5')).toBeUndefined()
  })

  test('of any object is all that changes', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), json),
        usage,
        fc.dictionary(fc.string(), json),
        blank,
        (before, value, after, gap) => {
          const text = spaced({ ...before, usage: value, ...after }, gap)
          const result = spliced(text)
          const expected = setCost(JSON.parse(text) as unknown, 0.001)
          if (result === undefined) expect(isObject(expected) && isObject(expected['usage'])).toBe(false)
          else expect(JSON.parse(result)).toEqual(expected)
        },
      ),
    )
  })

  test('leaves the bytes outside the usage object identical', () => {
    fc.assert(
      fc.property(fc.bigInt(), blank, (big, gap) => {
        const head = `{${gap}"id":${gap}${big}${gap},"x":1.000,"usage":`
        const tail = `${gap},"y":${big}${gap}}`
        const result = spliced(`${head}{"total":${big}}${tail}`)
        expect(result).toBe(`${head}{"total":${big},"cost":0.001}${tail}`)
      }),
    )
  })
})
