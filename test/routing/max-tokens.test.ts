import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { reduceMaxTokens } from '../../src/core/routing/max-tokens.ts'

const PRICE = { asked: 200_000n, limit: 100_000n, lowest: 16 }

function reduced(text: string, more: object = {}): { text: string; from: number; to: number } | undefined {
  const result = reduceMaxTokens(Buffer.from(text), { ...PRICE, ...more })
  return result && { text: result.body.toString(), from: result.from, to: result.to }
}

describe('lowering the limit of answer tokens', () => {
  test('scales by the ratio of the prices, less 10 %, and changes nothing else', () => {
    expect(reduced('{ "seed": 9007199254740993, "max_tokens":1000 , "x": [1.50]}')).toEqual({
      text: '{ "seed": 9007199254740993, "max_tokens":450 , "x": [1.50]}',
      from: 1000,
      to: 450,
    })
  })

  test('cuts by the price of a token where it is known', () => {
    // 100,000 micro-USD too much at 1,000 micro-USD a token: 100 tokens, and a fiftieth more.
    expect(reduced('{"max_output_tokens":200}', { perToken: 10n ** 15n })).toMatchObject({
      from: 200,
      to: 98,
    })
  })

  test('lowers every spelling that is higher, and leaves a lower one', () => {
    expect(reduced('{"max_tokens":10,"max_completion_tokens":1000,"max_output_tokens":900}')?.text).toBe(
      '{"max_tokens":10,"max_completion_tokens":450,"max_output_tokens":450}',
    )
  })

  test.each([
    ['a body without a limit', '{"model":"m"}'],
    ['one that names it twice', '{"max_tokens":1000,"max_tokens":5000}'],
    ['one that is text', '{"max_tokens":"1000"}'],
    ['a fraction', '{"max_tokens":1000.5}'],
    ['null', '{"max_tokens":null}'],
    ['no JSON', 'max_tokens=1000'],
    ['a result below the lowest allowed', '{"max_tokens":30}'],
  ])('leaves %s alone', (_name, text) => {
    expect(reduced(text)).toBeUndefined()
  })

  test('always gives less than before and no less than allowed, and with a known price of a token it fits', () => {
    const amount = fc.bigInt({ min: 1n, max: 10n ** 9n })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 1_000_000 }),
        fc.integer({ min: 1, max: 10_000 }),
        amount,
        amount,
        amount,
        (tokens, lowest, fixed, limit, perToken) => {
          // What a seller that reckons with every token asks, in units of 10^-18 USD and in micro-USD.
          const quote = (count: number): bigint =>
            fixed + (BigInt(count) * perToken * 10n ** 9n + 10n ** 12n - 1n) / 10n ** 12n
          const asked = quote(tokens)
          const body = Buffer.from(`{"max_tokens":${tokens}}`)
          const result = reduceMaxTokens(body, { asked, limit, perToken: perToken * 10n ** 9n, lowest })
          if (!result) return
          expect(result.to).toBeLessThan(tokens)
          expect(result.to).toBeGreaterThanOrEqual(lowest)
          expect(quote(result.to)).toBeLessThanOrEqual(limit + 1n)
        },
      ),
    )
  })
})
