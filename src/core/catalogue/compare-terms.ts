/** What a 402 asks for, compared with what a catalogue says about it. */
import { canonicalAddress } from '../money/address.ts'
import { findNetwork } from '../money/assets.ts'
import { formatUsd, parseAtomic, parseUsd } from '../money/money.ts'
import type { Offer } from '../x402/x402.ts'
import { cleanText } from './clean.ts'
import type { Listing, ListedTerms } from './listing.ts'

/** One offer of a 402, with its value where its token has one. */
export interface ValuedOffer {
  readonly offer: Pick<Offer, 'network' | 'asset' | 'payTo' | 'amount'>
  /** Micro-USD. */
  readonly microUsd: bigint | undefined
}

/**
 * Sentences on what differs; none when the 402 is as the catalogue says. Only what the catalogue names is compared.
 * @param offers of the 402, at least one
 */
export function differencesOf({ terms, prices }: Listing, offers: readonly ValuedOffer[]): string[] {
  const told = terms.flatMap((one) => differenceOf(one, offers) ?? [])
  // A catalogue may name several ways to pay; one that is as it says is enough.
  const fromTerms = told.length === terms.length ? told : []
  const names = terms.some(({ amount }) => amount !== undefined)
  return [...new Set([...fromTerms, ...(names ? [] : priceDifference(prices, offers))])]
}

function differenceOf(terms: ListedTerms, offers: readonly ValuedOffer[]): string | undefined {
  const place = nameOf(terms.network)
  const here = offers.filter(({ offer }) => offer.network === terms.network)
  if (here.length === 0) return `The catalogue names ${place}; the 402 asks on ${placesOf(offers)}.`
  const inToken = here.filter(({ offer }) => isSame(terms.network, terms.asset, offer.asset))
  if (inToken.length === 0) return `The 402 asks for another token on ${place} than the catalogue names.`
  const toPayee = inToken.filter(({ offer }) => isSame(terms.network, terms.payTo, offer.payTo))
  if (toPayee.length === 0) {
    const asked = cleanText(inToken[0]?.offer.payTo, 60)
    return `The 402 pays ${asked} on ${place}; the catalogue names ${terms.payTo ?? ''}.`
  }
  if (terms.amount === undefined || toPayee.some(({ offer }) => isAmount(offer.amount, terms.amount)))
    return undefined
  const asked = cleanText(String(toPayee[0]?.offer.amount), 60)
  return `The 402 asks for ${asked} units on ${place}; the catalogue names ${terms.amount}.`
}

function priceDifference(prices: Listing['prices'], offers: readonly ValuedOffer[]): string[] {
  const listed = prices
    .filter(({ unit, per }) => unit === 'request' && per === 1)
    .flatMap(({ usd }) => parseUsd(usd) ?? [])
  const asked = offers.flatMap(({ microUsd }) => microUsd ?? [])
  const [least, most] = [minimum(listed), minimum(listed.map((usd) => -usd))]
  const cheapest = minimum(asked)
  if (least === undefined || most === undefined || cheapest === undefined) return []
  if (cheapest >= least && cheapest <= -most) return []
  const told = least === -most ? `$${formatUsd(least)}` : `$${formatUsd(least)} to $${formatUsd(-most)}`
  return [`The 402 asks $${formatUsd(cheapest)}; the catalogue names ${told}.`]
}

/** Whether an address is the listed one; every one is where the catalogue names none. */
function isSame(network: string, listed: string | undefined, asked: string): boolean {
  if (listed === undefined) return true
  const wanted = canonicalAddress(network, listed)
  return wanted !== undefined && wanted === canonicalAddress(network, asked)
}

function isAmount(asked: unknown, listed: string | undefined): boolean {
  const amount = parseAtomic(asked)
  return amount !== undefined && amount === parseAtomic(listed)
}

function minimum(values: readonly bigint[]): bigint | undefined {
  return values.reduce<bigint | undefined>(
    (least, value) => (least === undefined || value < least ? value : least),
    undefined,
  )
}

function placesOf(offers: readonly ValuedOffer[]): string {
  return [...new Set(offers.map(({ offer }) => nameOf(offer.network)))].slice(0, 5).join(', ')
}

function nameOf(network: string): string {
  return findNetwork(network)?.alias ?? cleanText(network, 60)
}
