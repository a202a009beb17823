import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ERROR_TABLE } from '../../src/core/error-table.ts'
import { judgePaidAnswer, namedTransaction } from '../../src/core/charge/judge-paid-answer.ts'
import type { Receipt } from '../../src/core/x402/receipt.ts'

const receipt = (success: boolean): Receipt => ({
  success,
  transaction: undefined,
  payer: undefined,
  network: undefined,
  amount: undefined,
  errorReason: undefined,
})

test.each([200, 201, 204])('%i with a receipt is settled by receipt, without one assumed', (status) => {
  expect(judgePaidAnswer(status, receipt(true))).toEqual({ state: 'settled', proof: 'receipt' })
  expect(judgePaidAnswer(status, undefined)).toEqual({ state: 'settled', proof: 'assumed' })
  expect(judgePaidAnswer(status, receipt(false))).toEqual({ state: 'settled', proof: 'assumed' })
})

test.each([302, 400, 402, 404, 412, 429, 500, 502])(
  'a receipt of success on %i proves the payment, and the error says not to resend',
  (status) => {
    const verdict = judgePaidAnswer(status, receipt(true))
    expect(verdict).toMatchObject({
      state: 'settled',
      proof: 'receipt',
      error: { code: 'paid_not_delivered' },
    })
  },
)

test.each([
  [402, 'payment_rejected', undefined],
  [412, 'payment_rejected', undefined],
  [400, 'seller_error', 400],
  [404, 'seller_error', 404],
  [413, 'seller_error', 413],
  [422, 'seller_error', undefined],
  [302, 'seller_error', undefined],
  [429, 'seller_error', undefined],
  [500, 'seller_error', undefined],
  [503, 'seller_error', undefined],
])('%i without a receipt stays uncertain and is reported as %s', (status, code, kept) => {
  for (const given of [undefined, receipt(false)]) {
    const verdict = judgePaidAnswer(status, given)
    expect(verdict).toMatchObject({ state: 'uncertain', reason: `http_${status}`, error: { code } })
    expect(verdict.error?.status).toBe(kept)
  }
})

test('no response makes a client retry automatically, and none releases the charge', () => {
  const statuses = fc.integer({ min: 200, max: 599 })
  const receipts = fc.constantFrom(undefined, receipt(true), receipt(false))
  fc.assert(
    fc.property(statuses, receipts, (status, given) => {
      const verdict = judgePaidAnswer(status, given)
      expect(['settled', 'uncertain']).toContain(verdict.state)
      if (!verdict.error) return
      const told = verdict.error.status ?? ERROR_TABLE[verdict.error.code].status
      // 422 too: LiteLLM sends it again with a changed body, LangChain as it is.
      expect(told < 500 && ![408, 409, 422, 429].includes(told)).toBe(true)
    }),
  )
})

test('rule 4: a receipt names the transaction that takes the payment only if it says so, or that it is pending', () => {
  const transaction = `0x${'ab'.repeat(32)}`
  const named = { ...receipt(true), transaction }
  const failed = { ...receipt(false), transaction }
  expect(namedTransaction(named)).toBe(transaction)
  expect(namedTransaction({ ...failed, errorReason: 'settlement_pending' })).toBe(transaction)
  expect(namedTransaction({ ...failed, errorReason: 'Transaction pending' })).toBe(transaction)
  expect(namedTransaction({ ...failed, errorReason: 'insufficient_funds' })).toBeUndefined()
  expect(namedTransaction(failed)).toBeUndefined()
  expect(namedTransaction(receipt(true))).toBeUndefined()
  expect(namedTransaction(undefined)).toBeUndefined()
})

test('changed terms are told as such, unless a failed receipt names a transaction', () => {
  const transaction = `0x${'ab'.repeat(32)}`
  expect(judgePaidAnswer(402, undefined, 'price')).toMatchObject({
    state: 'uncertain',
    reason: 'terms_changed',
    error: { code: 'terms_changed' },
  })
  expect(judgePaidAnswer(402, { ...receipt(false), transaction }, 'price')).toMatchObject({
    state: 'uncertain',
    reason: 'settlement_pending',
  })
  for (const status of [402, 412, 500]) {
    const { error } = judgePaidAnswer(status, receipt(false))
    expect(error?.message).not.toContain('undefined')
    expect(error?.message).not.toContain('names transaction')
  }
})
