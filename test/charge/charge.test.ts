import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chargedShare, mayMove, takenOf, type ChargeState } from '../../src/core/charge/charge.ts'

const STATES: ChargeState[] = ['held', 'authorized', 'settled', 'uncertain', 'released']
const LEGAL = new Set([
  'held>authorized',
  'held>released',
  'authorized>settled',
  'authorized>uncertain',
  'authorized>released',
  'uncertain>settled',
  'uncertain>released',
])

test.each(STATES.flatMap((from) => STATES.map((to) => [from, to] as const)))(
  '%s to %s is a move exactly when the design lists it',
  (from, to) => {
    expect(mayMove(from, to)).toBe(LEGAL.has(`${from}>${to}`))
  },
)

test('only an assumed settlement may be released, and only by the chain', () => {
  expect(mayMove('settled', 'released', 'assumed')).toBe(true)
  expect(mayMove('settled', 'released', 'receipt')).toBe(false)
  expect(mayMove('settled', 'released', 'chain')).toBe(false)
  expect(mayMove('settled', 'uncertain', 'assumed')).toBe(false)
})

describe('what a charge counts for', () => {
  const amounts = fc.bigInt({ min: 1n, max: 2n ** 128n })

  test('rule 1: the part of a limit is rounded up, and is all of it for the whole amount and nothing for none', () => {
    fc.assert(
      fc.property(amounts, amounts, fc.bigInt({ min: 0n, max: 2n ** 128n }), (share, amount, taken) => {
        const charged = taken % (amount + 1n)
        const part = chargedShare(share, charged, amount)
        // The smallest whole number that is not below the exact part.
        expect(part * amount >= share * charged).toBe(true)
        expect((part - 1n) * amount < share * charged).toBe(true)
        expect(part <= share).toBe(true)
      }),
    )
    expect(chargedShare(7n, 0n, 10n)).toBe(0n)
    expect(chargedShare(7n, 10n, 10n)).toBe(7n)
    expect(chargedShare(7n, 1n, 10n)).toBe(1n)
    expect(chargedShare(7n, 0n, 0n)).toBe(7n)
  })

  test('rule 1: an amount below nothing is an error; more than was estimated counts in full', () => {
    expect(() => chargedShare(7n, -1n, 10n)).toThrow(RangeError)
    expect(chargedShare(7n, 11n, 10n)).toBe(8n)
  })

  test('rule 1: is what the chain proved, else what was signed; without a value in USD there is none', () => {
    expect(takenOf({ amount: 1000n, microUsd: 10n, charged: undefined })).toEqual({
      amount: 1000n,
      microUsd: 10n,
    })
    expect(takenOf({ amount: 1000n, microUsd: 10n, charged: 101n })).toEqual({ amount: 101n, microUsd: 2n })
    expect(takenOf({ amount: 1000n, microUsd: undefined, charged: 101n })).toEqual({
      amount: 101n,
      microUsd: undefined,
    })
  })
})
