/** The rules of payees and their pins (rule 6), shared by every store. */
import type { Charge, ChargeTerms } from '../../../core/charge/charge.ts'
import { TollwayError } from '../../../core/errors.ts'
import { ANY_PAYEE, payeeAdvice } from '../../../core/policy/payees.ts'
import type { Move } from '../contracts/charges.ts'
import type { Pin } from '../contracts/sellers.ts'

/**
 * Refuses a payee other than the pinned one. While none is pinned, refuses it when a payment to another payee of this seller is
 * on its way: whichever settles would be pinned, and only one of two may be a seller's first payment.
 * @param hasOtherOpen see {@link isOpenToAnother}
 * @throws TollwayError `payee_not_allowed`
 */
export function checkPayee(terms: ChargeTerms, pin: Pin | undefined, hasOtherOpen: () => boolean): void {
  if (pin) {
    if (pin.payTo === ANY_PAYEE || pin.payTo === terms.payTo) return
    throw payeeDiffers(terms, `the one pinned for ${terms.apiBase}`)
  }
  if (hasOtherOpen()) throw payeeDiffers(terms, `that of a payment to ${terms.apiBase} that is under way`)
}

/** Whether a charge is an open one of the same seller, network and asset to another payee. */
export function isOpenToAnother(charge: Charge, terms: ChargeTerms): boolean {
  return (
    (charge.state === 'held' || charge.state === 'authorized') &&
    charge.apiBase === terms.apiBase &&
    charge.network === terms.network &&
    charge.asset === terms.asset &&
    charge.payTo !== terms.payTo
  )
}

/** The pin that a move brings about where none exists; `undefined` for none. */
export function pinOf({ apiBase, network, asset, payTo }: Charge, move: Move): Pin | undefined {
  if (move.pin !== true || move.to !== 'settled') return undefined
  return { apiBase, network, asset, payTo, pinnedAt: move.at }
}

function payeeDiffers({ apiBase, seller, network, payTo }: ChargeTerms, than: string): TollwayError {
  return new TollwayError({
    code: 'payee_not_allowed',
    message: `The seller asks for payment to ${payTo}, an address other than ${than}. Nothing was signed.`,
    advice: payeeAdvice({ origin: seller, pinnedFor: apiBase, offer: { network, payTo } }),
    details: { pay_to: payTo },
  })
}
