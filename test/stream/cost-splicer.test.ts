import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { cut } from '../kit/sse.ts'
import { blank, isObject, spaced } from '../kit/spaced-json.ts'

const through = (chunks: readonly Buffer[], cost: string | undefined = '0.001'): string => {
  const splicer = new CostSplicer(cost)
  return Buffer.concat(chunks.map((chunk) => splicer.push(chunk))).toString('utf8')
}
const spliced = (text: string, cost?: string): string => through([Buffer.from(text)], cost)
const unknown = (text: string): string => {
  const splicer = new CostSplicer(undefined)
  return splicer.push(Buffer.from(text)).toString()
}

/** Objects with many of the keys that matter, also where they do not. */
const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof({ depthSize: 'small', withCrossShrink: true }, fc.jsonValue(), tie('node'), tie('list')),
  list: fc.array(tie('tree'), { maxLength: 3 }),
  node: fc.dictionary(
    fc.oneof(fc.constantFrom('usage', 'cost', 'response', 'message', 'choices', 'Cost', 'x'), fc.string()),
    tie('tree'),
    { maxKeys: 5 },
  ),
}))

/** The rule again, on parsed values: what the splicer is held against. */
const setCost = (usage: unknown, adds: boolean): void => {
  if (!isObject(usage)) return
  const names = Object.keys(usage).filter((key) => key.toUpperCase() === 'COST')
  for (const name of names) usage[name] = 0.001
  if (adds) usage['cost'] = 0.001
}
const expected = (value: unknown): unknown => {
  if (!isObject(value)) return value
  setCost(value['usage'], true)
  if (isObject(value['response'])) setCost(value['response']['usage'], true)
  if (isObject(value['message'])) setCost(value['message']['usage'], false)
  if (Array.isArray(value['choices'])) {
    for (const [index, choice] of value['choices'].entries()) {
      if (isObject(choice)) setCost(choice['usage'], index === 0)
    }
  }
  return value
}

describe('the cost in an answer', () => {
  test.each([
    ['{"usage":{"prompt_tokens":1}}', '{"usage":{"prompt_tokens":1,"cost":0.001}}'],
    ['{"usage":{}}', '{"usage":{"cost":0.001}}'],
    ['{"usage": { } }', '{"usage": { "cost":0.001} }'],
    ['{"usage":{"a":1 }, "z": 1.00}', '{"usage":{"a":1 ,"cost":0.001}, "z": 1.00}'],
    ['{"usage":{"cost":99,"a":12345678901234567890}}', '{"usage":{"cost":0.001,"a":12345678901234567890}}'],
    ['{"usage":{"cost" : 99 , "a":1}}', '{"usage":{"cost" : 0.001 , "a":1}}'],
    ['{"usage":{"cost":"9\\"9"}}', '{"usage":{"cost":0.001}}'],
    ['{"usage":{"cost":9,"c\\u006fst":"x"}}', '{"usage":{"cost":0.001,"c\\u006fst":0.001}}'],
    ['{"us\\u0061ge":{"cost":{"a":[1,"]"]}}}', '{"us\\u0061ge":{"cost":0.001}}'],
    ['{"usage":{"cost":1},"usage":{"cost":2}}', '{"usage":{"cost":0.001},"usage":{"cost":0.001}}'],
    ['{"usage":{"Cost":9}}', '{"usage":{"Cost":0.001,"cost":0.001}}'],
    ['{"Usage":{"co\u017ft":9,"cost":9}}', '{"Usage":{"co\u017ft":0.001,"cost":0.001}}'],
    ['{"usage":{"details":{"cost":9}}}', '{"usage":{"details":{"cost":9},"cost":0.001}}'],
    ['{"response":{"id":1,"usage":{"a":1}}}', '{"response":{"id":1,"usage":{"a":1,"cost":0.001}}}'],
    ['{"message":{"usage":{"a":1}}}', '{"message":{"usage":{"a":1}}}'],
    ['{"message":{"usage":{"cost":1}}}', '{"message":{"usage":{"cost":0.001}}}'],
    [
      '{"choices":[{"usage":{"a":1}},{"usage":{"a":1}},{"usage":{"cost":1}}]}',
      '{"choices":[{"usage":{"a":1,"cost":0.001}},{"usage":{"a":1}},{"usage":{"cost":0.001}}]}',
    ],
  ])('turns %s into %s', (before, after) => {
    expect(spliced(before)).toBe(after)
  })

  test.each([
    '',
    '{}',
    '{"usage":null}',
    '{"usage":1}',
    '{"usage":[{"cost":1}]}',
    '{"usage":"{\\"cost\\":1}"}',
    '{"x":{"usage":{"cost":1}}}',
    '[{"usage":{"cost":1}}]',
    '{"choices":{"usage":{"cost":1}}}',
    '{"choices":[[{"usage":{"cost":1}}]]}',
    '{"x":["usage",{"cost":1}]}',
    `{"${'x'.repeat(100)}usage":{"cost":1}}`,
    'x',
  ])('has no place in %s', (text) => {
    expect(spliced(text)).toBe(text)
  })

  test('is null, and only where the seller told one, when what was paid has no value in USD', () => {
    expect(unknown('{"usage":{"cost":9}}')).toBe('{"usage":{"cost":null}}')
    expect(unknown('{"usage":{"a":9}}')).toBe('{"usage":{"a":9}}')
  })

  test('is all that changes, in any object, however it is cut into chunks', () => {
    fc.assert(
      fc.property(tree, blank, fc.infiniteStream(fc.nat(12)), (value, gap, sizes) => {
        const text = spaced(value, gap)
        const result = through(cut(Buffer.from(text), sizes))
        expect(result).toBe(spliced(text))
        expect(JSON.parse(result)).toEqual(expected(JSON.parse(text)))
      }),
      { numRuns: 1000 },
    )
  })

  test('is set in any bytes without fail, the same however they are cut', () => {
    const soup = fc.string({
      unit: fc.constantFrom('{', '}', '[', ']', '"usage"', '"cost"', '"', ':', ',', '\\', '1', ' ', '\n'),
    })
    fc.assert(
      fc.property(soup, fc.infiniteStream(fc.nat(5)), (text, sizes) => {
        expect(through(cut(Buffer.from(text), sizes))).toBe(spliced(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('leaves the bytes outside the usage object identical', () => {
    fc.assert(
      fc.property(fc.bigInt(), blank, (big, gap) => {
        const head = `{${gap}"id":${gap}${big}${gap},"x":1.000,"usage":`
        const tail = `${gap},"y":${big}${gap}}`
        expect(spliced(`${head}{"total":${big}}${tail}`)).toBe(`${head}{"total":${big},"cost":0.001}${tail}`)
      }),
    )
  })

  test('is set in each of 100,000 members that name one', () => {
    const of = (cost: string): string => `{"usage":{${Array(100_000).fill(`"cost":${cost}`).join(',')}}}`
    expect(spliced(of('9')) === of('0.001')).toBe(true)
  })
})
