/** What proves that a copied ledger says the same as the old one. */
import { describe, expect, test } from 'vitest'
import { TableSums } from '../../src/io/store/copy/tables.ts'

describe('the sums of a copied table', () => {
  const table = { name: 'totals', by: ['budget', 'window'], sums: ['spent'] }
  const sumsOf = (...rows: readonly Record<string, unknown>[]): TableSums => {
    const sums = new TableSums(table)
    for (const row of rows) sums.add(row)
    return sums
  }
  const row = (spent: string, budget: string | null = 'all') => ({ budget, window: 'day', spent })
  const whole = sumsOf(row('1'), row('99999999999999999999'), row('5', null))

  test('are equal for the same rows in another order, and count them', () => {
    expect(whole.difference(sumsOf(row('5', null), row('99999999999999999999'), row('1')))).toBeUndefined()
    expect(whole.rows).toBe(3n)
  })

  test.each([
    ['a row is missing', sumsOf(row('1'), row('5', null))],
    ['a row is there twice', sumsOf(row('1'), row('1'), row('99999999999999999999'), row('5', null))],
    ['an amount differs by one', sumsOf(row('2'), row('99999999999999999999'), row('5', null))],
    ['an amount is in another group', sumsOf(row('1'), row('99999999999999999999'), row('5', 'other'))],
    ['a group is empty', sumsOf(row('1'), row('99999999999999999999'))],
  ])('differ when %s', (_name, other) => {
    expect(whole.difference(other)).toMatch(/^totals \[/)
    expect(other.difference(whole)).toMatch(/^totals \[/)
  })
})
