/** Selects among a seller's offers by `--payment-option`, `--token` and `--network`. */
import { methodOf } from '../../core/policy/read-offer.ts'
import { canonicalAddress } from '../../core/money/address.ts'
import { findAsset, findNetwork, networkNames, type Asset } from '../../core/money/assets.ts'
import type { AuthorizationMethod } from '../../core/money/assets.ts'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Challenge, Offer } from '../../core/x402/x402.ts'
import { printable } from '../../core/printable.ts'
import { unknownName } from '../../io/names/nearest-name.ts'

/** Requirements on an offer; an omitted one matches everything. */
export interface OfferChoice {
  /** Its place in the seller's list, from 1. */
  readonly option?: number | undefined
  /** Symbol or address. */
  readonly token?: string | undefined
  /** CAIP-2. */
  readonly network?: string | undefined
  readonly method?: AuthorizationMethod | undefined
}

/** The options as typed. */
export interface TypedChoice {
  readonly paymentOption?: number | undefined
  readonly token?: string | undefined
  readonly network?: string | undefined
}

/** @throws ConfigError for an unknown network */
export function readChoice({ paymentOption, token, network }: TypedChoice): OfferChoice {
  const known = network === undefined ? undefined : findNetwork(network)
  if (network !== undefined && !known) {
    throw new ConfigError(unknownName('network', network, networkNames()))
  }
  return { option: paymentOption, token, network: known?.id }
}

/**
 * A payer that accepts only the selected offers, so that the gate chooses among them.
 * @throws TollwayError `no_supported_offer` if the seller has no such offer
 */
export function narrowed(
  payer: Provider,
  challenge: Challenge,
  choice: OfferChoice,
  assets: readonly Asset[],
): Provider {
  // Compare by content: the payment reads the same 402 again.
  const meant = new Set(
    challenge.offers
      .filter((offer, index) => matches(offer, index + 1, choice, assets))
      .map(({ raw }) => JSON.stringify(raw)),
  )
  if (meant.size === 0) throw notOffered(challenge, assets)
  return {
    name: payer.name,
    address: payer.address,
    networks: payer.networks,
    supports: (offer) => meant.has(JSON.stringify(offer.raw)) && payer.supports(offer),
    ...(payer.ready ? { ready: payer.ready.bind(payer) } : {}),
    ...(payer.balance ? { balance: payer.balance.bind(payer) } : {}),
    authorize: payer.authorize.bind(payer),
    signIn: payer.signIn,
    mayOfferUsed: payer.mayOfferUsed,
    closed: payer.closed.bind(payer),
    close: payer.close.bind(payer),
  }
}

function matches(offer: Offer, place: number, choice: OfferChoice, assets: readonly Asset[]): boolean {
  const { option, token, network, method } = choice
  if (option !== undefined && option !== place) return false
  if (network !== undefined && offer.network !== network) return false
  if (method !== undefined && methodOf(offer) !== method) return false
  if (token === undefined) return true
  const wanted = token.toLowerCase()
  const symbol = findAsset(assets, offer.network, offer.asset)?.symbol.toLowerCase()
  const named = canonicalAddress(offer.network, token)
  if (named !== undefined && canonicalAddress(offer.network, offer.asset) === named) return true
  return symbol === wanted
}

/** One offer in short: its position, token, network and scheme. */
export function describeOffer(offer: Offer, place: number, assets: readonly Asset[]): string {
  const token = findAsset(assets, offer.network, offer.asset)?.symbol ?? printable(offer.asset, 60)
  const network = findNetwork(offer.network)?.alias ?? printable(offer.network, 60)
  return `${place}: ${token} on ${network} (${printable(offer.scheme, 60)})`
}

function notOffered(challenge: Challenge, assets: readonly Asset[]): TollwayError {
  const offers = challenge.offers.map((offer, index) => describeOffer(offer, index + 1, assets))
  return new TollwayError({
    code: 'no_supported_offer',
    message: `The seller has no matching offer; nothing was paid. It offers ${offers.join(', ')}.`,
    advice: ['Choose with --payment-option, --token or --network.'],
  })
}
