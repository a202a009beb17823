import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { ERROR_TABLE } from '../../src/core/errors.ts'
import { judgePaidAnswer } from '../../src/core/charge/judge-paid-answer.ts'
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
