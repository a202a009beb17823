import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  formatUnits,
  formatUsd,
  parseAtomic,
  parseRate,
  parseUsd,
  toMicroUsd,
} from '../../src/core/money/money.ts'

describe('parseAtomic', () => {
  test.each([
    '0x10',
    '1e6',
    '+5',
    ' 5',
    '5 ',
    '05',
    '-1',
    '1.0',
    '',
    '٣',
    '1_000',
    'NaN',
    '1n',
    '٠',
    '0x',
    (2n ** 256n).toString(),
    '9'.repeat(79),
  ])('refuses %j', (text) => {
    expect(parseAtomic(text)).toBeUndefined()
  })

  test.each([1000, 1000n, null, undefined, ['1'], { toString: () => '1' }, true])(
    'refuses the non-string %s',
    (value) => {
      expect(parseAtomic(value)).toBeUndefined()
    },
  )

  test('rule 1: reads every uint256 back from its decimal text', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 2n ** 256n - 1n), (amount) => {
        expect(parseAtomic(amount.toString())).toBe(amount)
      }),
    )
  })

  test('rule 1: reads every accepted amount exactly as BigInt does', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[-+0-9a-fx._ ]{0,12}$/)), (text) => {
        const amount = parseAtomic(text)
        if (amount !== undefined) expect(amount.toString()).toBe(text)
      }),
    )
  })
})

describe('USD', () => {
  test.each([
    ['5.00', 5_000_000n],
    ['0.000001', 1n],
    ['0', 0n],
    ['12', 12_000_000n],
  ])('reads %s', (text, micro) => {
    expect(parseUsd(text)).toBe(micro)
  })

  test.each(['.5', '5.', '0.0000001', '1,5', '$5', '05', '-1', '1e3', '', 5, null])('refuses %j', (text) => {
    expect(parseUsd(text)).toBeUndefined()
  })

  test('reads back every USD amount that it writes', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, 10n ** 20n), (micro) => {
        expect(parseUsd(formatUsd(micro))).toBe(micro)
      }),
    )
  })

  test('drops trailing zeros and keeps small amounts', () => {
    expect([1000n, 1_000_000n, 1n, 0n, 1_500_000n].map(formatUsd)).toEqual([
      '0.001',
      '1',
      '0.000001',
      '0',
      '1.5',
    ])
    expect(formatUnits(-1500n, 3)).toBe('-1.5')
  })
})

describe('toMicroUsd', () => {
  test('converts a 6-decimal dollar token one to one', () => {
    expect(toMicroUsd(1000n, 6, { numerator: 1n, scale: 0 })).toBe(1000n)
  })

  test('rule 1: rounds against the caller: never below the exact value, never a whole micro-dollar above it', () => {
    const rate = fc.stringMatching(/^(?:0|[1-9]\d{0,5})\.\d{1,18}$/).map(parseRate)
    fc.assert(
      fc.property(
        fc.bigInt(0n, 10n ** 30n),
        fc.integer({ min: 0, max: 18 }),
        rate,
        (amount, decimals, parsed) => {
          fc.pre(parsed !== undefined)
          const scale = 10n ** BigInt(decimals + parsed.scale)
          const exact = amount * parsed.numerator * 1_000_000n
          const micro = toMicroUsd(amount, decimals, parsed)
          expect(micro * scale >= exact).toBe(true)
          expect((micro - 1n) * scale < exact || micro === 0n).toBe(true)
        },
      ),
    )
  })

  test('refuses a rate of zero', () => {
    expect(parseRate('0')).toBeUndefined()
    expect(parseRate('0.000')).toBeUndefined()
    expect(parseRate('0.05')).toEqual({ numerator: 5n, scale: 2 })
  })
})
