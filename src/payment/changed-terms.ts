/** A 402 to a payment that asks for something else than what was signed: which term, from what to what. */
import { canonicalAddress } from '../core/money/address.ts'
import type { Reply } from '../core/request/exchange.ts'
import type { Quote } from '../core/policy/gate.ts'
import { decodeChallenge, type Offer } from '../core/x402/x402.ts'
import type { BoundedBody } from '../io/transport/upstream.ts'
import { headerOf } from './read-reply.ts'

/** What a term may look like to be told: never a seller's free text. */
const PLAIN = /^[\w:.-]{1,90}$/

/**
 * The terms that differ in the offer nearest to what was signed.
 * @returns e.g. `amount 1000 -> 2000`; `undefined` when the same terms are still on offer, or nothing can be read
 */
export function changedTerms(
  reply: Pick<Reply, 'headers'>,
  body: BoundedBody,
  quote: Quote,
): string | undefined {
  try {
    const { offers } = decodeChallenge({
      header: (name) => headerOf(reply, name),
      body: body.bytes,
      truncated: body.truncated,
    })
    const [nearest] = offers.map((offer) => differences(offer, quote)).toSorted((a, b) => a.length - b.length)
    return nearest === undefined || nearest.length === 0 ? undefined : nearest.join(', ')
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
