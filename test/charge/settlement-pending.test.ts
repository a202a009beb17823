/** A settlement that was sent to the chain and not seen there yet: uncertain, with its transaction, and told as pending. */
import { describe, expect, it } from 'vitest'
import {
  claimedTransaction,
  judgePaidAnswer,
  namedTransaction,
} from '../../src/core/charge/judge-paid-answer.ts'
import { decodeReceipt } from '../../src/core/x402/receipt.ts'
import { encodeHeader } from '../kit/seller-answers.ts'

const HASH = `0x${'Cd'.repeat(32)}`

function receipt(fields: object) {
  return decodeReceipt((name) => (name === 'payment-response' ? encodeHeader(fields) : undefined))
}

describe('a failed receipt', () => {
  it.each([
    ['names a transaction and settlement_pending', { errorReason: 'settlement_pending', transaction: HASH }],
    ['names a transaction and another reason', { errorReason: 'timed out', transaction: HASH }],
    ['is written with underscores', { error_reason: 'settlement_pending', transaction_hash: HASH }],
    ['names a transaction alone', { transaction: HASH }],
    ['names a transaction with a reason that is no text', { transaction: HASH, errorReason: { code: 1 } }],
  ])('rule 4: that %s keeps the transaction and is told as pending', (_name, fields) => {
    const told = receipt({ success: false, ...fields })
    expect(claimedTransaction(told)).toBe(HASH.toLowerCase())
    for (const status of [402, 412, 500, 504, 404, 302]) {
      const verdict = judgePaidAnswer(status, told)
      expect(verdict).toMatchObject({ state: 'uncertain', reason: 'settlement_pending' })
      expect(verdict.error?.message).toMatch(/pending: .*transaction 0x(?:cd){32}/)
    }
  })

  it.each(['settlement_pending', 'Settlement pending', 'transaction_pending'])(
    'rule 4: that says %s without a transaction is told as pending',
    (errorReason) => {
      const told = receipt({ success: false, errorReason, transaction: '' })
      expect(claimedTransaction(told)).toBeUndefined()
      expect(judgePaidAnswer(402, told)).toMatchObject({ state: 'uncertain', reason: 'settlement_pending' })
    },
  )

  it.each([{}, { transaction: '' }, { transaction: 'pending' }, { transaction: `0x${'0'.repeat(63)}` }])(
    'that names no transaction (%j) is no pending one',
    (fields) => {
      const told = receipt({ success: false, errorReason: 'invalid_exact_evm_signature', ...fields })
      expect(claimedTransaction(told)).toBeUndefined()
      expect(judgePaidAnswer(402, told)).toMatchObject({ error: { code: 'payment_rejected' } })
    },
  )

  it('rule 4: on a 200 keeps the transaction beside the assumed proof', () => {
    const told = receipt({ success: false, errorReason: 'settlement_pending', transaction: HASH })
    expect(judgePaidAnswer(200, told)).toEqual({ state: 'settled', proof: 'assumed' })
    expect(namedTransaction(told)).toBe(HASH.toLowerCase())
  })
})
