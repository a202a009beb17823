/** Whether what was found can be paid, and if not, why: by what the catalogue says, or by a 402. */
import type { Listing } from '../../core/catalogue/listing.ts'
import type { ValuedOffer } from '../../core/catalogue/compare-terms.ts'
import { canonicalAddress } from '../../core/money/address.ts'
import { findAsset, findNetwork } from '../../core/money/assets.ts'
import { formatUsd, parseAtomic, toMicroUsd } from '../../core/money/money.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Challenge } from '../../core/x402/x402.ts'
import { payableTerms, type PayableTerms } from '../../payment/vet-offers.ts'
import { gateFor, networkNamesOf, type Buyer } from './buyer.ts'

/** The judgement. */
export interface Judgement {
  /** `unknown`: the catalogue does not say enough, and the seller was not asked. */
  readonly payable: 'yes' | 'no' | 'unknown'
  readonly why: string
  /** The payer that would pay. */
  readonly payer: string | undefined
  /** The network it would pay on, CAIP-2. */
  readonly network: string | undefined
  readonly asset: string | undefined
  readonly payTo: string | undefined
  /** What the seller asks, micro-USD. */
  readonly microUsd: bigint | undefined
}

const NOTHING = {
  payer: undefined,
  network: undefined,
  asset: undefined,
  payTo: undefined,
  microUsd: undefined,
}

/** By the catalogue alone. */
export function judgeListed(listing: Listing, buyer: Buyer, now: number): Judgement {
  const { obstacle, url, terms, endsAt } = listing
  const no = (why: string): Judgement => ({ ...NOTHING, payable: 'no', why })
  if (obstacle) return no(`${obstacle.reason}: ${obstacle.explanation}`)
  if (url === undefined) return no('The catalogue names no address.')
  if (endsAt !== undefined && Date.parse(endsAt) <= now) return no(`The seller ended it (${endsAt}).`)
  const usable = terms.flatMap((term) => {
    const wallet = buyer.wallets.find(({ networks }) => networks.includes(term.network))
    return wallet ? [{ ...term, wallet }] : []
  })
  if (terms.length > 0 && usable.length === 0) {
    const places = networkNamesOf(terms.map(({ network }) => network))
    return no(`No payer of the configuration pays on ${places}.`)
  }
  const known = usable.find(
    ({ network, asset }) => asset === undefined || findAsset(buyer.assets, network, asset) !== undefined,
  )
  if (usable.length > 0 && !known)
    return no('Its token is not in the asset table; see assets in the configuration.')
  const place = {
    ...NOTHING,
    payer: known?.wallet.name,
    network: known?.network,
    asset: known?.asset && canonicalAddress(known.network, known.asset),
    payTo: known?.payTo && canonicalAddress(known.network, known.payTo),
  }
  const ending = endsAt === undefined ? '' : ` The seller ends it: ${endsAt}.`
  const why =
    buyer.wallets.length === 0
      ? 'No payer is configured.'
      : 'The seller was not asked; --probe asks it, unpaid.'
  return { ...place, payable: buyer.wallets.length === 0 ? 'no' : 'unknown', why: `${why}${ending}` }
}

/** By the seller's own offers, at the gate that every payment passes. */
export function judgeOffers(challenge: Challenge, origin: string, buyer: Buyer): Judgement {
  if (buyer.wallets.length === 0) {
    const places = networkNamesOf(challenge.offers.map(({ network }) => network))
    return { ...NOTHING, payable: 'no', why: `No payer is configured; it takes payments on ${places}.` }
  }
  const refusals: string[] = []
  for (const wallet of buyer.wallets) {
    try {
      return accepted(payableTerms(challenge, origin, gateFor(buyer, wallet, origin)), wallet.name)
    } catch (error) {
      if (!(error instanceof TollwayError)) throw error
      refusals.push(`${wallet.name}: ${error.message}`)
    }
  }
  return { ...NOTHING, payable: 'no', why: refusals.join(' ') }
}

function accepted({ asset, payTo, microUsd, scheme }: PayableTerms, payer: string): Judgement {
  const most = scheme === 'upto' ? 'at most ' : ''
  const price =
    microUsd === undefined ? `${asset.symbol}, which has no value in USD` : `$${formatUsd(microUsd)}`
  const place = findNetwork(asset.network)?.alias ?? asset.network
  const why = `It asks ${most}${price} in ${asset.symbol} on ${place}; ${payer} would pay.`
  return { payable: 'yes', why, payer, network: asset.network, asset: asset.address, payTo, microUsd }
}

/** The offers of a 402 with their values. */
export function valued({ offers }: Challenge, { assets }: Buyer): ValuedOffer[] {
  return offers.map((offer) => {
    const asset = findAsset(assets, offer.network, offer.asset)
    const amount = parseAtomic(offer.amount)
    const isPriced = asset?.usd !== undefined && amount !== undefined
    return { offer, microUsd: isPriced ? toMicroUsd(amount, asset.decimals, asset.usd) : undefined }
  })
}
