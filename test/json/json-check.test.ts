import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkJsonObject } from '../../src/core/json/json-check.ts'

const check = (text: string, bounds: Partial<Parameters<typeof checkJsonObject>[1]> = {}): string =>
  checkJsonObject(Buffer.from(text), { maxMembers: 1000, maxDepth: 1000, ...bounds })

const parses = (text: string): boolean => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value)
  } catch {
    return false
  }
}

describe('the check of a JSON object', () => {
  test('takes what JSON.parse takes, of objects and of texts that are nearly some', () => {
    const soup = fc.string({
      unit: fc.constantFrom(
        ...String.raw`{ } [ ] " , : \ \u 0 1 a f e E - + . null true false {"a": "a" é /`.split(' '),
        ...' \n\t\r\u0001',
      ),
    })
    const mangled = fc
      .tuple(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(), fc.nat(3), soup)
      .map(([value, at, gone, put]) => {
        const text = JSON.stringify(value)
        const from = at % text.length
        return text.slice(0, from) + put.slice(0, 2) + text.slice(from + gone)
      })
    fc.assert(
      fc.property(
        fc.oneof(
          soup,
          soup.map((text) => `{"a":${text}}`),
          mangled,
        ),
        (text) => {
          expect(check(text)).toBe(parses(text) ? 'object' : 'not_json')
        },
      ),
      { numRuns: 5000 },
    )
  })

  const values = String.raw`1 -0 0.5 1e5 1E+5 -1.5e-5 01 1. .5 - +1 1e 1e+ 0x1 NaN nul nulll True
    "\u00e9" "\u00g9" "\x" "\" "\/" "" [1,] [,1] {"a"} {"a":1,} 'a' /**/1 [1:2] []] {] [}`.split(/\s+/)

  test.each([...values, '[1 2]', '"\n"', '\u00a01', '"\u007f"'])(
    'agrees with JSON.parse about %j',
    (value) => {
      for (const text of [`{"a":${value}}`, `{"a":[${value}],"b":${value} }`, value]) {
        expect(check(text)).toBe(parses(text) ? 'object' : 'not_json')
      }
    },
  )

  test('counts top-level members, duplicates included, and no others', () => {
    const members = (count: number): string => Array(count).fill('"a":{"b":1,"c":2}').join(',')
    expect(check(`{${members(3)}}`, { maxMembers: 3 })).toBe('object')
    expect(check(`{${members(4)}}`, { maxMembers: 3 })).toBe('too_many_members')
    expect(check(`{"x":{${members(4)}}}`, { maxMembers: 3 })).toBe('object')
  })

  test('counts how deep values are nested', () => {
    const nested = (depth: number): string => `{"a":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`
    expect(check(nested(3), { maxDepth: 3 })).toBe('object')
    expect(check(nested(4), { maxDepth: 3 })).toBe('too_deep')
    expect(check(nested(5_000_000))).toBe('too_deep')
    expect(check(`{"a":[${Array(50).fill('[]').join(',')}]}`, { maxDepth: 3 })).toBe('object')
  })
})
