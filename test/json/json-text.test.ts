import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JsonText } from '../../src/core/json/json-text.ts'

function isJsonText(bytes: Uint8Array): boolean {
  const text = new JsonText()
  return text.push(bytes) && text.isWhole
}

function parses(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** JSON, often damaged a little: cut, joined, or with a few other characters in it. */
const texts = fc.oneof(
  fc.json(),
  fc
    .tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom('', ',', '}', ']', '"', '\\', '-', '0', '.', 'e', 'NaN', ' {}', '\u0001'),
    )
    .map(([text, at, piece]) => {
      const cut = at % (text.length + 1)
      return `${text.slice(0, cut)}${piece}${text.slice(cut)}`
    }),
  fc.tuple(fc.json(), fc.nat()).map(([text, at]) => text.slice(0, at % (text.length + 1))),
  fc.stringMatching(/^[-+0-9.eE ]{0,8}$/),
  fc.stringMatching(/^"[\\u0-9a-f"/bnx]{0,9}"$/),
)

test('says of any text, in chunks of any size, what JSON.parse says', () => {
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 7 }), (text, size) => {
      const bytes = Buffer.from(text)
      const follower = new JsonText()
      for (let at = 0; at < bytes.length; at += size) follower.push(bytes.subarray(at, at + size))
      expect(follower.isWhole).toBe(parses(text))
    }),
    { numRuns: 3000 },
  )
})

describe('is no text that clients can read', () => {
  test.each([
    '',
    ' ',
    'NaN',
    '{"a":NaN}',
    '{"a":Infinity}',
    '{"a":1}{"a":1}',
    '{"a":1}\n{"a":1}',
    '{"a":1',
    '{"a":"1',
    "{'a':1}",
    '{"a":1,}',
    '[1,]',
    '{"a":01}',
    '{"a":1.}',
    '{"a":"\t"}',
    '{"a":undefined}',
    '// a\n{}',
    `${'['.repeat(600)}${']'.repeat(600)}`,
    '\u00ef{}',
  ])('%j', (text) => {
    expect(isJsonText(Buffer.from(text))).toBe(false)
  })
})

test.each([
  '{}',
  '\uFEFF{"a":1}',
  ' {"a":[1,-0.5e+3,true,null,"\\u00e9\\n"]} \n',
  '3',
  '"x"',
  `${'['.repeat(500)}${']'.repeat(500)}`,
])('is one: %j', (text) => {
  expect(isJsonText(Buffer.from(text))).toBe(true)
})
