import { expect, test } from 'vitest'
import { mayMove, type ChargeState } from '../../src/core/charge/charge.ts'

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
