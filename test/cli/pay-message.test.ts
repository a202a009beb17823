import { expect, test } from 'vitest'
import { saysUnpaid } from '../../src/app/cli/commands/pay.ts'

test.each([
  'The payee is not the pinned one. This offer was not paid.',
  'The ledger is closed. Nothing was paid.',
  'The reservation expired. Nothing was sent.',
  'The seller offers only MPP. Nothing was signed.',
  'The asset is not in the asset table; no payment was sent',
])('an error that says that no money moved is not followed by "Nothing was paid.": %s', (message) => {
  expect(saysUnpaid(message)).toBe(true)
})

test.each(['The seller answered 500.', 'Tollway paid the seller.', ''])(
  'an error that says nothing about money is: %j',
  (message) => {
    expect(saysUnpaid(message)).toBe(false)
  },
)
