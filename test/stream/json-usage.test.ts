import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { JsonUsage } from '../../src/core/stream/json-usage.ts'
import { readUsage } from '../../src/core/stream/usage.ts'

function read(text: string, size = text.length): ReturnType<typeof readUsage> {
  const bytes = Buffer.from(text)
  const usage = new JsonUsage()
  for (let at = 0; at < bytes.length; at += size) usage.push(bytes.subarray(at, at + size))
  return usage.usage
}

const usage = fc.record({
  prompt_tokens: fc.nat(),
  completion_tokens: fc.nat(),
  details: fc.jsonValue({ maxDepth: 2 }),
})

describe('the usage of a JSON answer', () => {
  test('is what a parser finds at its top, however the text is cut and whatever is around it', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 })),
        fc.option(usage),
        fc.boolean(),
        fc.constantFrom(undefined, 2),
        fc.integer({ min: 1, max: 9 }),
        (others, own, isFirst, indent, size) => {
          const value = isFirst ? { usage: own, ...others } : { ...others, usage: own }
          expect(read(JSON.stringify(value, null, indent), size)).toEqual(readUsage(value.usage))
        },
      ),
    )
  })

  test('is found behind texts full of quotes, backslashes and brackets, however they are cut', () => {
    const text = fc.string({ unit: fc.constantFrom('"', '\\', '{', ']', 'a', 'usage'), maxLength: 12 })
    const value = fc.letrec<{ json: unknown }>((tie) => ({
      json: fc.oneof(
        { maxDepth: 3 },
        text,
        fc.nat(),
        fc.array(tie('json')),
        fc.dictionary(text, tie('json')),
      ),
    })).json
    fc.assert(
      fc.property(fc.dictionary(text, value), usage, fc.integer({ min: 1, max: 40 }), (others, own, size) => {
        expect(read(JSON.stringify({ ...others, usage: own }), size)).toEqual(readUsage(own))
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    ['in a key written with escapes', '{"us\\u0061ge":{"prompt_tokens":1,"completion_tokens":2}}'],
    [
      'in the last of several',
      '{"usage":{"prompt_tokens":9},"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    ],
    [
      'behind texts that look like one',
      '{"a":"\\"usage\\":{","b":{"usage":{"prompt_tokens":9}},"usage":{"prompt_tokens":1,"completion_tokens":2}}',
    ],
  ])('is found %s', (_name, text) => {
    expect(read(text, 1)).toEqual({ inputTokens: 1, outputTokens: 2 })
  })

  test.each([
    ['a list', '[{"usage":{"prompt_tokens":1}}]'],
    ['no JSON', 'RIFF{"usage":{"prompt_tokens":1}}'],
    ['one of more than 16 KiB', `{"usage":{"prompt_tokens":1,"x":"${'x'.repeat(17_000)}"}}`],
    ['one that breaks off', '{"usage":{"prompt_tokens":1'],
    ['one behind the end', '{} "usage":{"prompt_tokens":1}}'],
  ])('is none in %s', (_name, text) => {
    expect(read(text, 3)).toBeUndefined()
  })
})
