import { CommanderError } from 'commander'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { exitCodeOf } from '../../src/app/cli/shared/exit-codes.ts'
import { unsupportedNode } from '../../src/app/node-version.ts'
import { renderTable } from '../../src/app/cli/output/table.ts'
import { ConfigError, TollwayError, type ErrorCode } from '../../src/core/errors.ts'
import { ERROR_TABLE } from '../../src/core/error-table.ts'

describe('the Node check', () => {
  it('takes 22.19 and everything newer', () => {
    for (const version of ['22.19.0', '22.20.1', '23.0.0', '24.21.0', '100.0.0', '25.0.0-nightly']) {
      expect(unsupportedNode(version), version).toBeUndefined()
    }
  })
  it('refuses everything older', () => {
    for (const version of ['22.18.9', '20.19.5', '18.0.0', '4.9.1'])
      expect(unsupportedNode(version), version).toBeDefined()
  })
})

/** The error codes that end with an exit code. */
const codes = (wanted: number): ErrorCode[] =>
  Object.keys(ERROR_TABLE)
    .filter((code): code is ErrorCode => Object.hasOwn(ERROR_TABLE, code))
    .filter((code) => exitCodeOf(new TollwayError({ code, message: 'x' })) === wanted)

describe('the exit code', () => {
  it('is 2 for a mistake in usage or configuration', () => {
    expect(exitCodeOf(new ConfigError('x'))).toBe(2)
    expect(exitCodeOf(new CommanderError(1, 'commander.unknownOption', 'x'))).toBe(2)
  })
  it('is 0 when help was asked for', () => {
    expect(exitCodeOf(new CommanderError(0, 'commander.helpDisplayed', 'x'))).toBe(0)
  })
  it('is 3 for what a policy or a budget refused', () => {
    expect(codes(3)).toEqual([
      'budget_exhausted',
      'price_above_limit',
      'price_unstable',
      'payee_not_allowed',
      'fee_payer_not_allowed',
      'memo_not_allowed',
      'asset_not_allowed',
      'network_not_allowed',
      'host_not_allowed',
      'validity_too_long',
      'unpriced_asset',
      'approval_refused',
    ])
  })
  it('is 4 for every error after a payment was sent', () => {
    expect(codes(4)).toEqual([
      'payment_uncertain',
      'payment_rejected',
      'terms_changed',
      'paid_not_delivered',
      'seller_error',
    ])
  })
  it('is 1 for any other fault', () => {
    expect(exitCodeOf(new Error('x'))).toBe(1)
    expect(exitCodeOf('x')).toBe(1)
    expect(codes(1)).toContain('store_unavailable')
  })
})

it('a table keeps its columns aligned and ends no line in a blank', () => {
  const cell = fc.stringMatching(/^[a-z]{0,12}$/)
  fc.assert(
    fc.property(fc.array(fc.tuple(cell, cell, cell), { maxLength: 6 }), (rows) => {
      const lines = renderTable(['ONE', 'TWO', 'THREE'], rows).split('\n').slice(0, -1)
      expect(lines).toHaveLength(rows.length + 1)
      const second = lines[0]?.indexOf('TWO') ?? 0
      const third = lines[0]?.indexOf('THREE') ?? 0
      for (const [index, row] of rows.entries()) {
        const line = lines[index + 1] ?? ''
        expect(line).toBe(line.trimEnd())
        expect(line.slice(second).startsWith(row[1].trimEnd())).toBe(true)
        expect(line.slice(third).startsWith(row[2].trimEnd())).toBe(true)
      }
    }),
  )
})
