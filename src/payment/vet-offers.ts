/** Puts a seller's 402 through the gate (rule 6), with what policy and ledger say about this seller. */
import { findAsset } from '../core/money/assets.ts'
import { TollwayError, type ErrorCode } from '../core/errors.ts'
import type { TollwayEvent } from '../core/telemetry/events.ts'
import type { Provider } from '../core/payer/provider.ts'
import { refusedOffers, vetOffers, type Quote } from '../core/policy/gate.ts'
import type { GatePolicy } from '../core/policy/gate-policy.ts'
import { withPassed, type PassedOffer } from '../core/policy/refusal.ts'
import { ANY_PAYEE } from '../core/policy/payees.ts'
import { signedOffers, type SignedStatement } from '../core/x402/signed-statements.ts'
import type { Challenge } from '../core/x402/x402.ts'
import type { KnownPrice, PriceKey } from '../io/store/contracts/sellers.ts'
import type { PayingCall, PaymentContext } from './payment-context.ts'
import { priceLimit, rangeFor } from './price-limit.ts'

/** An offer that may be paid. */
export interface Vetted {
  readonly quote: Quote
  /** Whether the payee is compared with the pinned one, and pinned once the payment settles: none is configured. */
  readonly pin: boolean
  /** Whether the seller may name any payee. */
  readonly isAnyPayee: boolean
  readonly priceKey: PriceKey
  readonly knownPrice: KnownPrice | undefined
  /** What the seller signed about its offers (`offer-receipt`). */
  readonly signedOffers: readonly (SignedStatement | 'unreadable')[]
}

/** The part of a call that {@link chooseOffer} reads; vouchers are bought by it too. */
export type VettingCall = Omit<PayingCall, 'context'> & {
  readonly context: Pick<PaymentContext, 'policy' | 'origins' | 'ledger' | 'observers'>
}

/**
 * Chooses the offer to pay: the first in the policy's order that passes the gate and that the payer can pay.
 * @param clockBehindSeconds see `GatePolicy.clockBehindSeconds`
 * @throws TollwayError with the gate's codes, what the payer cannot pay with, `store_unavailable`
 */
export async function chooseOffer(
  call: VettingCall,
  challenge: Challenge,
  clockBehindSeconds = 0,
): Promise<Vetted> {
  const { context, exchange, candidate, payer, leaving } = call
  const { policy, origins, ledger } = context
  const { apiBase, pin } = candidate.route
  const origin = new URL(apiBase).origin
  const configured = policy.payTo.get(origin)
  const pins = configured ? [] : await ledger.pins(apiBase)
  const keyOf = (network: string, asset: string): PriceKey => ({
    apiBase,
    endpoint: exchange.endpoint,
    model: candidate.remoteModel,
    network,
    asset,
  })
  const asked = assetsOf(challenge, call, keyOf)
  const prices = await ledger.knownPrices(asked)
  const ranges =
    policy.maxPriceChange === undefined || prices.length === asked.length
      ? []
      : await ledger.store.priceRanges(rangeFor(candidate.route, keyOf('', '')))
  const memory = { maxChange: policy.maxPriceChange, known: prices, ranges, assets: policy.assets, keyOf }
  const priceOf = (network: string, asset: string): KnownPrice | undefined =>
    prices.find((price) => price.network === network && price.asset === asset)
  try {
    const gate: GatePolicy = {
      networks: payer.networks.filter((network) => pin === undefined || network === pin.network),
      assets: policy.assets.filter(({ address }) => pin?.asset === undefined || address === pin.asset),
      origins: origins ?? new Set([origin]),
      maxMicroUsd: policy.maxMicroUsd === 'none' ? undefined : policy.maxMicroUsd,
      maxValiditySeconds: policy.maxValiditySeconds,
      payees(network, asset) {
        const known = pins.find((one) => one.network === network && one.asset === asset)
        const allowed = configured ?? (known && (known.payTo === ANY_PAYEE ? ANY_PAYEE : [known.payTo]))
        if (allowed === undefined || allowed === ANY_PAYEE) return pin?.payTo
        return pin?.payTo ? allowed.filter((payee) => pin.payTo?.includes(payee)) : allowed
      },
      pinnedFor: configured ? undefined : apiBase,
      isRoutesOwn: pin?.payTo !== undefined,
      self: payer.address,
      supports: (offer) => payer.supports(offer),
      order: policy.offerOrder,
      lifeSeconds: policy.lifeSeconds,
      clockBehindSeconds,
      price: (network, asset) => priceLimit(memory, network, asset),
    }
    const quotes = vetOffers(challenge, origin, gate)
    const quote = await firstReady(quotes, payer, leaving, (error, unready) => {
      const passed = [...refusedOffers(challenge, origin, gate), ...unready]
      return withPassed(error, passed, challenge.others, policy.assets)
    })
    const { network, address } = quote.asset
    const knownPrice = priceOf(network, address)
    if (knownPrice && knownPrice.last !== quote.amount) {
      reportPriceMove(call, origin, quote.amount > knownPrice.last ? 'up' : 'down')
    }
    const pinned = pins.find((one) => one.network === network && one.asset === address)
    const isAnyPayee = configured === ANY_PAYEE || pinned?.payTo === ANY_PAYEE
    return {
      quote,
      pin: configured === undefined,
      isAnyPayee,
      priceKey: keyOf(network, address),
      knownPrice,
      signedOffers: signedOffers(challenge.extensions),
    }
  } catch (error) {
    if (error instanceof TollwayError && error.code === 'price_unstable') {
      reportPriceMove(call, origin, 'refused')
    }
    throw error
  }
}

/** What a payer would pay for an offer. No quote, so nothing can sign it. */
export type PayableTerms = Pick<Quote, 'asset' | 'payTo' | 'microUsd' | 'scheme'>

/**
 * What would be paid, to show it to a person.
 * @throws TollwayError with the gate's codes
 */
export function payableTerms(challenge: Challenge, origin: string, gate: GatePolicy): PayableTerms {
  const [{ asset, payTo, microUsd, scheme }] = vetOffers(challenge, origin, gate)
  return { asset, payTo, microUsd, scheme }
}

/**
 * The first of the acceptable quotes that the payer can pay, as far as it knows. When it can pay none, the error of the first is thrown.
 * @param refusal the error of the first one, with the others
 */
async function firstReady(
  quotes: readonly [Quote, ...Quote[]],
  payer: Provider,
  signal: AbortSignal,
  refusal: (first: TollwayError, unready: readonly PassedOffer[]) => TollwayError,
): Promise<Quote> {
  if (!payer.ready) return quotes[0]
  const errors: TollwayError[] = []
  const unready: PassedOffer[] = []
  for (const quote of quotes) {
    try {
      await payer.ready(quote, signal)
      return quote
    } catch (error) {
      if (!(error instanceof TollwayError)) throw error
      errors.push(error)
      unready.push({ offer: quote.offer, why: error.code })
    }
  }
  throw errors[0] ? refusal(errors[0], unready) : new TypeError('there is no quote')
}

/** The networks and assets on offer that this payer might pay with, each once. */
function assetsOf(
  challenge: Challenge,
  { context: { policy }, payer }: VettingCall,
  keyOf: (network: string, asset: string) => PriceKey,
): PriceKey[] {
  const keys = challenge.offers.flatMap((offer) => {
    if (!payer.networks.includes(offer.network)) return []
    const asset = findAsset(policy.assets, offer.network, offer.asset)
    return asset ? [keyOf(asset.network, asset.address)] : []
  })
  return [...new Map(keys.map((key) => [`${key.network} ${key.asset}`, key])).values()]
}

function reportPriceMove(
  { context: { observers }, candidate }: VettingCall,
  seller: string,
  direction: 'up' | 'down' | 'refused',
): void {
  for (const observer of observers) {
    observer({ type: 'price_moved', seller, route: candidate.route.modelName, direction })
  }
}

/** The network of an offer that was refused before one was chosen: the seller's text is no label. */
const NO_NETWORK = 'none'

/** Reports one state of an offer. @param network CAIP-2, once an offer was chosen */
export function reportOffer(
  { context, candidate }: PayingCall,
  state: Extract<TollwayEvent, { type: 'offer' }>['state'],
  network: string = NO_NETWORK,
  reason: ErrorCode | '' = '',
): void {
  const { payer = NO_NETWORK, apiBase } = candidate.route
  const seller = new URL(apiBase).origin
  for (const observer of context.observers) observer({ type: 'offer', payer, seller, network, state, reason })
}

/** Reports that nothing was sent for an offer, where an error of ours says why. */
export function reportRefusal(call: PayingCall, error: unknown, network?: string): void {
  if (error instanceof TollwayError) reportOffer(call, 'refused', network, error.code)
}

/** Reports an offer of which nothing may be paid. */
export function reportUnacceptable(call: PayingCall, error: unknown): void {
  reportOffer(call, 'offered')
  reportRefusal(call, error)
}
