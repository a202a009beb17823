import { assert, bigInt, constantFrom, integer, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { formatUnits, toMicroUsd } from '../../src/core/money/money.ts'
import { parseSpelledAmount } from '../../src/core/money/spelled-amount.ts'

const usdc = { symbol: 'USDC', decimals: 6, usd: { numerator: 1n, scale: 0 } }
const obol = { symbol: 'OBOL', decimals: 18, usd: { numerator: 5n, scale: 2 } }

describe('amounts as people spell them', () => {
  test.each([
    ['1500000', 1_500_000n],
    ['1.5', 1_500_000n],
    ['0.000001', 1n],
    ['1.5 USDC', 1_500_000n],
    ['2 usdc', 2_000_000n],
    ['$1.50', 1_500_000n],
    ['$ 2', 2_000_000n],
    [' 7 ', 7n],
  ])('%s is %s units of USDC', (text, units) => {
    expect(parseSpelledAmount(text, usdc)).toBe(units)
  })

  test('converts USD to another token by its value, rounded down', () => {
    expect(parseSpelledAmount('$0.10', obol)).toBe(2n * 10n ** 18n)
    expect(parseSpelledAmount('$0.000001', { ...usdc, usd: { numerator: 3n, scale: 0 } })).toBe(0n)
    expect(parseSpelledAmount('$1', { symbol: 'OBOL', decimals: 18, usd: undefined })).toBeUndefined()
  })

  test.each([
    '',
    'abc',
    '-1',
    '1e6',
    '1.5 OBOL',
    '1.5 USDC now',
    '1.0000001',
    '01',
    '0x10',
    '$',
    '$1.0000001',
    '.5',
    '1.',
    '1,5',
    'NaN',
  ])('refuses %j', (text) => {
    expect(parseSpelledAmount(text, usdc)).toBeUndefined()
  })

  test('rule 1: reads an amount in whole tokens back to the smallest unit', () => {
    assert(
      property(bigInt({ min: 0n, max: 10n ** 30n }), constantFrom(usdc, obol), (units, token) => {
        const text = `${formatUnits(units, token.decimals)} ${token.symbol}`
        expect(parseSpelledAmount(text, token)).toBe(units)
      }),
    )
  })

  test('rule 1: never turns an amount in USD into tokens worth more', () => {
    assert(
      property(
        bigInt({ min: 0n, max: 10n ** 12n }),
        bigInt({ min: 1n, max: 10n ** 6n }),
        integer({ min: 0, max: 6 }),
        (micro, numerator, scale) => {
          const token = { symbol: 'T', decimals: 9, usd: { numerator, scale } }
          const units = parseSpelledAmount(`$${formatUnits(micro, 6)}`, token) ?? -1n
          expect(units).toBeGreaterThanOrEqual(0n)
          expect(toMicroUsd(units, 9, token.usd)).toBeLessThanOrEqual(micro)
        },
      ),
    )
  })
})
