import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import {
  MAX_MEMBERS,
  replaceMember,
  scanInSteps,
  scanTopLevel,
  STEP_BYTES,
  type Member,
} from '../../src/core/json/json-scan.ts'
import { blank, isObject, spaced } from '../kit/spaced-json.ts'

const bytes = (text: string): Buffer => Buffer.from(text, 'utf8')
const Parsed = z.custom<object>((value) => value instanceof Object)

const json = fc.jsonValue()
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
      }),
      { numRuns: 2000 },
    )
  })

  test('is given up beyond the bound on members', () => {
    const of = (count: number): Buffer => bytes(`{${Array(count).fill('"a":1').join(',')}}`)
    expect(scanTopLevel(of(MAX_MEMBERS))).toHaveLength(MAX_MEMBERS)
    expect(scanTopLevel(of(MAX_MEMBERS + 1))).toBeUndefined()
  })

  test('of an object nested 200,000 deep is found without exhausting the stack', () => {
    const deep = `{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`
    expect(scanTopLevel(bytes(deep))).toHaveLength(1)
  })
})

describe('replacing a member', () => {
  test('leaves every other byte unchanged', () => {
    const text = '{ "id" : 12345678901234567890, "model":  "a" ,"x":1.0}'
    const member = scanTopLevel(bytes(text))?.find(({ key }) => key === 'model')
    if (!member) throw new Error('not found')
    expect(replaceMember(bytes(text), member, '"b"').toString()).toBe(
      '{ "id" : 12345678901234567890, "model":  "b" ,"x":1.0}',
    )
  })
})

describe('in steps', () => {
  const walked = (text: string): { steps: number; members: Member[] | undefined } => {
    const scan = scanInSteps(bytes(text))
    for (let steps = 1; ; steps += 1) {
      const step = scan.next()
      if (step.done === true) return { steps, members: step.value }
    }
  }

  test.each([
    ['a text', `{"a":"${'x'.repeat(999_999)}"}`],
    ['escapes', `{"a":"${'\\\\'.repeat(500_000)}"}`],
    ['escapes from an odd place', `{"aa":"${'\\"'.repeat(500_000)}"}`],
    ['blanks', `{"a":${' '.repeat(1_000_000)}1}`],
    ['brackets', `{"a":${'['.repeat(500_000)}${']'.repeat(500_000)}}`],
    ['small texts', `{"a":[${'"",'.repeat(333_333)}1]}`],
    ['a key', `{"${'k'.repeat(1_000_000)}":1}`],
  ])('no more than 64 kB of %s are read at once', (_what, text) => {
    const { steps, members } = walked(text)
    expect(members).toHaveLength(1)
    expect(steps).toBeGreaterThanOrEqual(Math.floor(text.length / STEP_BYTES))
  })

  test.each(['\\"', '"', '\\u0022', '}', ']', '\\\\'])('whatever stands where a step ends: %s', (odd) => {
    for (let length = STEP_BYTES - 20; length < STEP_BYTES + 4; length += 1) {
      const value = JSON.stringify([`${'x'.repeat(length)}${odd}`, { [odd]: odd }])
      const text = `{"a":${value},"b":${value}}`
      const members = walked(text).members ?? []
      expect(members.map(({ key }) => key)).toEqual(['a', 'b'])
      for (const { valueStart, valueEnd } of members) expect(text.slice(valueStart, valueEnd)).toBe(value)
    }
  })
})
