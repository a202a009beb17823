/** A 402 that is no x402: sellers with accounts answer it when a balance is used up. */
import { TollwayError } from '../core/errors.ts'
import type { SellerError } from '../core/x402/seller-error.ts'
import { sellerSaid } from './answer/seller-message.ts'

/** Words of sellers that sell from a prepaid balance or by subscription. */
const ACCOUNT =
  /balance|credit|quota|billing|top[ -]?up|recharge|subscri|\bplan\b|payment method|overdue|arrears|account/i

/** What x402 sellers say as well: then only their offer is missing. */
const X402 = /payment[ _-]required|header is required|x-?402|x-payment/i

/** The seller wants money in another way. Not an outage: it answers the same after any pause. */
export class OtherPaymentError extends TollwayError {}

/** @returns `undefined` where the words do not say so */
export function otherPayment(answer: SellerError): OtherPaymentError | undefined {
  const text = `${answer.code ?? ''} ${answer.message ?? ''}`.trim()
  if (text === '' || X402.test(text)) return undefined
  const isAccount = ACCOUNT.test(text)
  return new OtherPaymentError({
    code: 'no_supported_offer',
    message: isAccount
      ? 'The seller answered 402 for an account without balance, credit or plan, and offers no x402 payment. Nothing was signed.'
      : 'The seller answered 402 without an x402 offer. Nothing was signed.',
    advice: [
      isAccount
        ? 'It sells to account holders: use a funded account by api_key, or the address at which it takes x402.'
        : 'Check that api_base points at an x402 seller.',
    ],
    ...sellerSaid(402, answer),
  })
}
