import { expect, test } from 'vitest'
import { cash } from '../../providers/cash.ts'
import { quoteOf } from '../kit/quotes.ts'
import { describeProvider } from './conformance.ts'

describeProvider('cash', () => Promise.resolve(cash()))

test('cash remembers what it paid and how each payment ended', async () => {
  const payer = cash()
  const quote = quoteOf()
  const { record } = await payer.authorize(quote, 'chg_1', new AbortController().signal)
  await payer.authorize(quote, 'chg_2', new AbortController().signal)
  await payer.closed('chg_1', { state: 'uncertain', transaction: undefined })
  expect(payer.payments).toEqual([
    { charge: 'chg_1', quote, nonce: record.nonce, outcome: { state: 'uncertain', transaction: undefined } },
    { charge: 'chg_2', quote, nonce: expect.any(String), outcome: undefined },
  ])
  expect(payer.isClosed).toBe(false)
  await payer.close()
  expect(payer.isClosed).toBe(true)
})
