/** A 402 to a payment that asks for something else than what was signed: which term, from what to what. */
import { canonicalAddress } from '../core/money/address.ts'
import type { Reply } from '../core/request/exchange.ts'
import type { Quote } from '../core/policy/gate.ts'
import { decodeChallenge, type Challenge, type Offer } from '../core/x402/x402.ts'
import type { BoundedBody } from '../io/transport/upstream.ts'
import { headerOf } from './answer/read-reply.ts'
import { isRejection } from './answer/seller-message.ts'
import { repeatable } from '../core/x402/terms-text.ts'
import { hasOtherOffers, type RememberedOffer } from '../core/x402/remembered-terms.ts'

/** What a term may look like to be told: never a seller's free text. */
const PLAIN = /^[\w:.-]{1,90}$/

/** What a seller asks for instead of what was signed. */
export interface ChangedTerms {
  /** E.g. `amount 1000 -> 2000`. */
  readonly told: string
  readonly challenge: Challenge
}

/**
 * The terms that differ in the offer nearest to what was signed. A refusal of the payment that carries its offer along is no change.
 * @param remembered the terms that were paid without asking for them: every other offer is a change then, whatever the words are
 * @returns `undefined` when the same terms are still on offer, or nothing can be read
 */
export function changedTerms(
  reply: Pick<Reply, 'headers'>,
  body: BoundedBody,
  quote: Quote,
  remembered?: RememberedOffer,
): ChangedTerms | undefined {
  const isRefused = isRejection(body.bytes)
  if (isRefused && !remembered) return undefined
  const challenge = readOffers(reply, body)
  if (!challenge) return undefined
  const [nearest = []] = challenge.offers
    .map((offer) => differences(offer, quote))
    .toSorted((a, b) => a.length - b.length)
  // A challenge of MPP that came as the answer to a payment is never a way to pay once more.
  const again = repeatable(challenge)
  if (nearest.length > 0) return { told: nearest.join(', '), challenge: again }
  const isOther = remembered !== undefined && !isRefused && hasOtherOffers(remembered, challenge)
  return isOther ? { told: 'another offer at the same price', challenge: again } : undefined
}

function readOffers(reply: Pick<Reply, 'headers'>, body: BoundedBody): Challenge | undefined {
  try {
    return decodeChallenge({
      header: (name) => headerOf(reply, name),
      body: body.bytes,
      truncated: body.truncated,
    })
  } catch {
    return undefined
  }
}

function differences(offer: Offer, quote: Quote): string[] {
  const terms: [string, unknown, unknown][] = [
    ['amount', quote.offer.amount, offer.amount],
    ['payTo', quote.payTo, canonicalAddress(quote.asset.network, offer.payTo)],
    ['asset', quote.asset.address, canonicalAddress(quote.asset.network, offer.asset)],
    ['network', quote.asset.network, offer.network],
  ]
  return terms.flatMap(([name, signed, asked]) =>
    signed === asked ? [] : [`${name} ${plain(signed)} -> ${plain(asked)}`],
  )
}

function plain(value: unknown): string {
  return typeof value === 'string' && PLAIN.test(value) ? value : '(unreadable)'
}
