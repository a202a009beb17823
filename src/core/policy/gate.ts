/**
 * The gate (rule 6): the one place where a seller's offer becomes something that may be signed. A {@link Quote}
 * can be made nowhere else, and payers take nothing but quotes.
 */
import { findAsset, type Asset, type AuthorizationMethod } from '../money/assets.ts'
import { TollwayError } from '../errors.ts'
import { parseAtomic, toMicroUsd } from '../money/money.ts'
import { echoedExtensions, unservedExtensions } from '../x402/extensions.ts'
import type { Challenge, Offer } from '../x402/x402.ts'
import { canonicalAddress, isSolanaNetwork } from '../money/address.ts'
import { payeeAdvice } from './payees.ts'
import { printable } from '../printable.ts'
import { assetAdvice, kindAdvice, methodAdvice, networkAdvice, valueAdvice } from './config-lines.ts'
import { forbiddenPayee } from './forbidden-payee.ts'
import type { GatePolicy } from './gate-policy.ts'
import {
  facilitatorOf,
  namesAnother,
  methodOf,
  readValidity,
  sponsoringOf,
  wantedMethod,
} from './read-offer.ts'
import {
  NOT_PAID,
  type PassedOffer,
  type Refusal,
  aboveCeiling,
  extensionRefusal,
  kindsOf,
  priceUnstable,
  refusalError,
} from './refusal.ts'
import { refuseMake } from './refuse-make.ts'
import { solanaTermsOf, type SolanaTerms } from './solana-offer.ts'

/** The shortest validity window that is signed: facilitators refuse authorizations that are about to expire. */
const MIN_VALIDITY_SECONDS = 10

const QUOTE_KEY = Symbol('only the gate makes quotes')

/** An offer that passed the gate, with everything a payer needs to sign it. Frozen. */
export class Quote {
  /** The exact amount, smallest units. */
  readonly amount: bigint
  /** Micro-USD, rounded up; `undefined` when the asset has no USD value. */
  readonly microUsd: bigint | undefined
  readonly asset: Asset
  /** On EVM networks in lower case. */
  readonly payTo: string
  /** How long the authorization is valid, seconds. */
  readonly validitySeconds: number
  /** Where the payment is sent: scheme, host and port. */
  readonly origin: string
  /** `upto`: the seller may take less than the amount. */
  readonly scheme: 'exact' | 'upto'
  readonly method: AuthorizationMethod
  /** `upto`: the only address that may settle, lower case. */
  readonly facilitator: string | undefined
  /** The seller's own text about EIP-2612 gas sponsoring, echoed and never interpreted; `undefined` when it offers none. */
  readonly sponsoring: Readonly<Record<string, unknown>> | undefined
  /** On Solana: what else goes into the payment. */
  readonly solana: SolanaTerms | undefined
  readonly offer: Offer
  readonly resource: unknown
  /** The seller's extensions that go back with the payment. */
  readonly extensions: Readonly<Record<string, unknown>>
  /** See `Challenge.readsXPayment`. */
  readonly readsXPayment: boolean
  readonly #vetted = true

  constructor(key: typeof QUOTE_KEY, fields: Pick<Quote, keyof Quote>) {
    if (key !== QUOTE_KEY) throw new TypeError('A Quote is made by the gate only: call vetOffers().')
    this.amount = fields.amount
    this.microUsd = fields.microUsd
    this.asset = fields.asset
    this.payTo = fields.payTo
    this.validitySeconds = fields.validitySeconds
    this.origin = fields.origin
    this.scheme = fields.scheme
    this.method = fields.method
    this.facilitator = fields.facilitator
    this.sponsoring = fields.sponsoring
    this.solana = fields.solana
    this.offer = fields.offer
    this.resource = fields.resource
    this.extensions = fields.extensions
    this.readsXPayment = fields.readsXPayment
    Object.freeze(this)
  }

  /** Whether a value is a quote made by the gate. Payers check this before they sign. */
  static isVetted(value: unknown): value is Quote {
    return typeof value === 'object' && value !== null && #vetted in value && value.#vetted
  }
}

/**
 * The offers that pass every check, at least one, in the order in which they should be tried.
 * @param origin where the payment would be sent: scheme, host and port
 * @throws TollwayError with the code of the offer that passed the most checks
 */
export function vetOffers(
  challenge: Challenge,
  origin: string,
  policy: GatePolicy,
): readonly [Quote, ...Quote[]] {
  if (!policy.origins.has(origin)) {
    throw new TollwayError({
      code: 'host_not_allowed',
      message: `${origin} is not on the list of sellers that may be paid. ${NOT_PAID}`,
      advice: [`Add "${origin}" to origins of paymentInterceptor(), if you mean to pay there.`],
    })
  }
  const [unserved] = unservedExtensions(challenge.extensions)
  if (unserved !== undefined) throw extensionRefusal(unserved)
  const { quotes, refused } = vetEach(challenge, origin, policy)
  const [first, ...rest] = quotes
  if (first) return [first, ...rest]
  const best = refused.reduce<Refusal | undefined>(
    (one, { refusal }) => (one === undefined || refusal.stage > one.stage ? refusal : one),
    undefined,
  )
  const nothing = {
    code: 'offer_empty' as const,
    message: 'The seller offered no way to pay.',
    advice: ['Check that api_base points at an x402 seller.'],
  }
  throw refusalError(best ?? nothing, passedOf(refused), challenge.others, policy.assets)
}

/** An offer that the gate does not let through. */
interface RefusedOffer {
  readonly offer: Offer
  readonly refusal: Refusal
}

/** The offers that the gate does not let through, each with its reason, for the message when no other can be paid either. */
export function refusedOffers(challenge: Challenge, origin: string, policy: GatePolicy): PassedOffer[] {
  return passedOf(vetEach(challenge, origin, policy).refused)
}

function vetEach(
  challenge: Challenge,
  origin: string,
  policy: GatePolicy,
): { readonly quotes: readonly Quote[]; readonly refused: readonly RefusedOffer[] } {
  const quotes: Quote[] = []
  const refused: RefusedOffer[] = []
  const offered = printable(kindsOf(challenge.offers, challenge.others).join(', '), 200)
  for (const offer of challenge.offers) {
    const result = vetOffer(offer, challenge, offered, origin, policy)
    if (result instanceof Quote) quotes.push(result)
    else refused.push({ offer, refusal: result })
  }
  return { quotes: policy.order === 'seller' ? quotes : quotes.toSorted(byPrice), refused }
}

function passedOf(refused: readonly RefusedOffer[]): PassedOffer[] {
  return refused.map(({ offer, refusal }) => ({ offer, why: refusal.brief ?? refusal.code }))
}

/**
 * The cheapest first. Among equal prices one whose display text fits the token goes before one that names something else, and one
 * that is paid for after the answer before one that is paid up front; the sort is stable, so that else the seller's order is kept.
 */
function byPrice(a: Quote, b: Quote): number {
  const [one, other] = [a.microUsd ?? 0n, b.microUsd ?? 0n]
  if (one === other) return rankOf(a) - rankOf(b)
  return one < other ? -1 : 1
}

function rankOf({ offer, asset }: Quote): number {
  return (namesAnother(offer, asset) ? 2 : 0) + (offer.extra['paymentFlow'] === 'upfront' ? 1 : 0)
}

function vetOffer(
  offer: Offer,
  challenge: Challenge,
  offered: string,
  origin: string,
  policy: GatePolicy,
): Quote | Refusal {
  if (!policy.supports(offer)) {
    return {
      stage: 0,
      code: 'no_supported_offer',
      message: `The seller offers ${offered}, which the payer of this route does not support.`,
      brief: 'the payer does not support this kind',
      advice: kindAdvice(offer, policy.networks),
    }
  }
  if (!policy.networks.includes(offer.network)) {
    return {
      stage: 1,
      code: 'network_not_allowed',
      message: `The seller asks for payment on ${printable(offer.network, 200)}, but this payer may pay on ${policy.networks.join(', ')} only.`,
      brief: 'the payer may not pay on this network',
      advice: networkAdvice(offer, policy.networks, policy.assets),
    }
  }
  const asset = findAsset(policy.assets, offer.network, offer.asset)
  if (!asset) {
    return {
      stage: 2,
      code: 'asset_not_allowed',
      message: `The seller asks for the asset ${printable(offer.asset, 200)} on ${offer.network}, which is not in the asset table.`,
      brief: 'not in the asset table',
      advice: assetAdvice(offer),
    }
  }
  const method = methodOf(offer)
  if (method === undefined || (asset.methods && !asset.methods.includes(method))) {
    return {
      stage: 2,
      code: 'no_supported_offer',
      message: `The seller wants ${asset.symbol} on ${asset.network} by ${printable(wantedMethod(offer), 200)}, a method that this token does not support.`,
      brief: `method ${printable(wantedMethod(offer), 60)} of the token is not supported`,
      advice: [methodAdvice(asset)],
    }
  }
  const unmet = refuseMake(offer, asset, policy)
  if (unmet) return unmet
  const facilitator = facilitatorOf(offer)
  if (offer.amountsDisagree) {
    return {
      stage: 3,
      code: 'amount_conflict',
      message: 'The offer carries amount and maxAmountRequired, and they differ.',
      advice: ['Report it to the seller.'],
    }
  }
  const amount = parseAtomic(offer.amount)
  if (amount === undefined) {
    return {
      stage: 3,
      code: 'amount_invalid',
      message:
        'The offered amount is not a plain decimal integer in a string (no sign, point, exponent or 0x).',
      advice: ['Report it to the seller.'],
    }
  }
  if (amount === 0n) {
    return {
      stage: 4,
      code: 'amount_zero',
      message: 'The seller asks for a payment of zero.',
      advice: ['If the seller is free of charge, remove payer from the route.'],
    }
  }
  const payTo = canonicalAddress(offer.network, offer.payTo)
  const payees = policy.payees(offer.network, asset.address)
  if (payTo === undefined || (payees && !payees.includes(payTo))) {
    const expected = isSolanaNetwork(offer.network) ? 'a Solana address' : 'an EVM address'
    return {
      stage: 5,
      code: 'payee_not_allowed',
      message: payees
        ? `The seller asks for payment to ${printable(offer.payTo, 200)}, but ${origin} is pinned to ${payees.join(', ')}.`
        : `The seller asks for payment to ${printable(offer.payTo, 200)}, which is not ${expected}.`,
      advice: payees
        ? payeeAdvice({
            origin,
            offer,
            pinnedFor: policy.pinnedFor,
            isRoutesOwn: policy.isRoutesOwn,
            listed: payees,
          })
        : ['Report it to the seller.'],
    }
  }
  const tokens = policy.assets.map(({ address }) => address)
  const forbidden = forbiddenPayee(payTo, tokens, policy.self)
  if (forbidden !== undefined) {
    return {
      stage: 5,
      code: 'payee_not_allowed',
      message: `The seller asks for payment to ${payTo}, which is ${forbidden}: the money would not reach a seller.`,
      advice: ['Report it to the seller.'],
    }
  }
  const solana = method === 'solana' ? solanaTermsOf(offer, { asset, amount, self: policy.self }) : undefined
  if (solana && 'code' in solana) return { stage: 5, ...solana }
  const validity = readValidity(offer.maxTimeoutSeconds)
  if (validity === undefined) {
    return {
      stage: 6,
      code: 'validity_too_long',
      message: `The offer's maxTimeoutSeconds is not a whole number of seconds above zero.`,
      advice: ['Report it to the seller.'],
    }
  }
  const microUsd = asset.usd ? toMicroUsd(amount, asset.decimals, asset.usd) : undefined
  if (microUsd === undefined && policy.maxMicroUsd !== undefined) {
    return {
      stage: 7,
      code: 'unpriced_asset',
      message: `${asset.symbol} on ${asset.network} has no USD value, so max_usd_per_request cannot be checked.`,
      advice: [valueAdvice(asset)],
    }
  }
  if (microUsd !== undefined && policy.maxMicroUsd !== undefined && microUsd > policy.maxMicroUsd) {
    return aboveCeiling(microUsd, policy.maxMicroUsd)
  }
  const limit = policy.price?.(offer.network, asset.address)
  if (limit && amount > limit.highest) return priceUnstable(amount, limit, asset)
  const validitySeconds =
    policy.lifeSeconds ??
    Math.max(
      MIN_VALIDITY_SECONDS,
      Math.min(validity + (policy.clockBehindSeconds ?? 0), policy.maxValiditySeconds),
    )
  const fields = {
    amount,
    microUsd,
    asset,
    payTo,
    validitySeconds,
    origin,
    scheme: offer.scheme === 'upto' ? ('upto' as const) : ('exact' as const),
    method,
    facilitator,
    sponsoring: method === 'permit2' ? sponsoringOf(challenge) : undefined,
    solana,
    offer,
    resource: challenge.resource,
    extensions: offer.x402Version === 2 ? echoedExtensions(challenge.extensions) : {},
    readsXPayment: challenge.readsXPayment === true,
  }
  return new Quote(QUOTE_KEY, fields)
}
