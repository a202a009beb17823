/** Terms as a text: two 402s ask for the same if their texts are equal, in whatever order they name things. */
import { OFFER_RECEIPT, PAYMENT_IDENTIFIER, SIGN_IN } from './extensions.ts'
import { isRecord } from './wire-json.ts'
import type { Challenge, Offer } from './x402.ts'

/** Names of fields that are good for one request only: such an offer must be asked for each time. */
const ONCE =
  /nonce|quote|expir|deadline|valid_?(?:until|before|after)|invoice|session|salt|challenge|(?:order|request|payment|reference)_?id/i

/** Everything in a 402 that a payment depends on; not the seller's `error`, which is words. */
export function termsText(challenge: Challenge): string {
  const { x402Version, others, resource, extensions, readsXPayment } = challenge
  return textOf({
    x402Version,
    offers: offersOf(challenge),
    others: others.toSorted(),
    resource: resource ?? null,
    extensions: withoutSignedOffers(extensions),
    readsXPayment: readsXPayment === true,
  })
}

/** The offers alone. */
export function offersText(challenge: Challenge): string {
  return textOf(offersOf(challenge))
}

/**
 * Whether a 402 is good for one request only by what it carries: a nonce, a quote with an end, an id of the payment, or an offer to
 * sign in.
 */
export function isMadeForOneRequest({ offers, extensions }: Challenge): boolean {
  return (
    Object.hasOwn(extensions, PAYMENT_IDENTIFIER) ||
    Object.hasOwn(extensions, SIGN_IN) ||
    offers.some((offer) =>
      offer.mpp ? !offers.some((other) => isSameForX402(offer, other)) : hasOnce(offer),
    )
  )
}

/** The part of a 402 that can be paid again: a challenge of MPP is good for one payment, and a signed offer for as long as it says. */
export function repeatable(challenge: Challenge): Challenge {
  return {
    ...challenge,
    offers: challenge.offers.filter(({ mpp }) => mpp === undefined),
    extensions: withoutSignedOffers(challenge.extensions),
  }
}

/** Sellers sign their offers anew for each 402 (`offer-receipt`): the signatures are no terms. */
function withoutSignedOffers(extensions: Challenge['extensions']): Challenge['extensions'] {
  const extension = Object.hasOwn(extensions, OFFER_RECEIPT) ? extensions[OFFER_RECEIPT] : undefined
  if (!isRecord(extension) || !isRecord(extension['info'])) return extensions
  const { offers: _signed, ...info } = extension['info']
  return { ...extensions, [OFFER_RECEIPT]: { ...extension, info } }
}

/** Whether an offer of x402 asks for the same as a charge of MPP, so that nothing is lost without the charge. */
function isSameForX402(charge: Offer, offer: Offer): boolean {
  if (offer.mpp || offer.scheme !== 'exact') return false
  const [one, other] = [charge, offer].map(({ network, asset, amount, payTo }) =>
    JSON.stringify([network, asset.toLowerCase(), amount, payTo.toLowerCase()]),
  )
  return one === other
}

/** An offer's own fields and its `extra`: the names in a description of the service say nothing about the offer. */
function hasOnce({ raw, extra }: Offer): boolean {
  return [...Object.keys(raw), ...Object.keys(extra)].some((name) => ONCE.test(name))
}

function offersOf(challenge: Challenge): string[] {
  const { offers } = repeatable(challenge)
  return offers.map(({ raw }) => textOf(raw)).toSorted()
}

/** JSON with the members of every object in one order. */
function textOf(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).toSorted(byName)) : inner,
  )
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
