import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { highestPrice, parseRatio } from '../../src/core/policy/price-change.ts'

test.each([
  ['0.20', 200_000n],
  ['0', 0n],
  ['1', 1_000_000n],
  ['0.000001', 1n],
  ['25.5', 25_500_000n],
])('max_price_change reads %s', (text, ratio) => {
  expect(parseRatio(text)).toBe(ratio)
})

test.each(['', '-0.1', '20%', '.2', '0.', '00.2', '1e-1', '0.0000001', '1000000', ' 0.2', 0.2, undefined])(
  'max_price_change refuses %j',
  (text) => {
    expect(parseRatio(text)).toBeUndefined()
  },
)

test('rule 6: never allows more than the ratio, and never refuses the pinned price', () => {
  fc.assert(
    fc.property(fc.bigInt(1n, 10n ** 77n), fc.bigInt(0n, 10_000_000n), (pinned, ratio) => {
      const highest = highestPrice(pinned, ratio)
      expect(highest >= pinned).toBe(true)
      expect((highest - pinned) * 1_000_000n <= pinned * ratio).toBe(true)
      expect((highest + 1n - pinned) * 1_000_000n > pinned * ratio).toBe(true)
    }),
  )
})
