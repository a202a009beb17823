/**
 * The gate (rule 6): the one place where a seller's offer becomes something that may be signed. A {@link Quote}
 * can be made nowhere else, and payers take nothing but quotes.
 */
import { findAsset, type Asset } from '../money/assets.ts'
import type { AuthorizationMethod } from '../money/assets.ts'
import { TollwayError, type ErrorCode } from '../errors.ts'
import { formatUnits, formatUsd, parseAtomic, toMicroUsd } from '../money/money.ts'
import { GAS_SPONSORING } from '../x402/x402.ts'
import type { Challenge, Offer } from '../x402/x402.ts'
import { EVM_ADDRESS } from '../evm.ts'
import { printable } from '../printable.ts'

/** Longest `maxTimeoutSeconds` an offer may ask for; below it the window is capped, above it the offer is refused. */
export const MAX_OFFERED_VALIDITY_SECONDS = 86_400

/** Shortest window that is signed: facilitators refuse authorizations about to expire. */
const MIN_VALIDITY_SECONDS = 10

/** What the gate holds an offer against. */
export interface GatePolicy {
  /** CAIP-2 ids the payer may pay on. */
  readonly networks: readonly string[]
  readonly assets: readonly Asset[]
  /** Origins that may be paid, e.g. `https://seller.example.com`. */
  readonly origins: ReadonlySet<string>
  /** Micro-USD, inclusive. */
  readonly maxMicroUsd: bigint | undefined
  /** Longest window that is signed, seconds. */
  readonly maxValiditySeconds: number
  /** Payees allowed for this seller, network and asset, lower case; `undefined` when none is pinned yet. */
  payees(network: string, asset: string): readonly string[] | undefined
  /** Whether the payer can make this kind of payment. */
  supports(offer: Offer): boolean
  /** What the price is held against, `undefined` when nothing is. */
  price?: ((network: string, asset: string) => PriceLimit | undefined) | undefined
  /** Which of several acceptable offers is paid: the cheapest in USD (default; of equals the seller's first), or the seller's first. */
  readonly order?: OfferOrder | undefined
  /**
   * For payments that are signed ahead: how long they are valid, seconds, whatever the offer wishes for the payment of one request.
   */
  readonly lifeSeconds?: number | undefined
}

/** See {@link GatePolicy.order}. */
export type OfferOrder = 'cheapest' | 'seller'

/** How much a seller may ask, seen from what it was paid before; smallest units. */
export interface PriceLimit {
  readonly pinned: bigint
  /** Inclusive. */
  readonly highest: bigint
  /** For the message: the arguments that tell `tollway sellers trust` which price is meant. */
  readonly target: string
}

const QUOTE_KEY = Symbol('only the gate makes quotes')

/** An offer that passed the gate, with everything a payer needs to sign it. Frozen. */
export class Quote {
  /** The exact amount, smallest units. */
  readonly amount: bigint
  /** Micro-USD rounded up, or `undefined` where the asset has no USD value. */
  readonly microUsd: bigint | undefined
  readonly asset: Asset
  /** Lower case. */
  readonly payTo: string
  /** How long the authorization may be valid, seconds. */
  readonly validitySeconds: number
  /** Where the payment goes: scheme, host and port. */
  readonly origin: string
  /** `upto`: the seller may take less than the amount. */
  readonly scheme: 'exact' | 'upto'
  readonly method: AuthorizationMethod
  /** `upto`: the only address that may settle, lower case. */
  readonly facilitator: string | undefined
  /** What the seller says of EIP-2612 gas sponsoring, `undefined` when it does not offer it. Seller's text: echoed, never read. */
  readonly sponsoring: Readonly<Record<string, unknown>> | undefined
  readonly offer: Offer
  readonly resource: unknown
  /** See `Challenge.offersInBody`. */
  readonly offersInBody: boolean
  readonly #vetted = true

  constructor(key: typeof QUOTE_KEY, fields: Pick<Quote, keyof Quote>) {
    if (key !== QUOTE_KEY) throw new TypeError('A Quote is made by vetChallenge() only.')
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
    this.offer = fields.offer
    this.resource = fields.resource
    this.offersInBody = fields.offersInBody
    Object.freeze(this)
  }

  /** Whether a value is a quote that came out of the gate. Payers ask before they sign. */
  static isVetted(value: unknown): value is Quote {
    return typeof value === 'object' && value !== null && #vetted in value && value.#vetted
  }
}

/** A refusal and how far the offer got: of several refused offers the one that got furthest is reported. */
interface Refusal {
  readonly stage: number
  readonly code: ErrorCode
  readonly message: string
  readonly advice?: readonly string[]
  readonly details?: Readonly<Record<string, string>>
}

/**
 * Chooses the offer to pay: of those that pass every check the first of {@link vetOffers}.
 * @param origin where the payment would be sent
 * @throws TollwayError with the code of the offer that got furthest
 */
export function vetChallenge(challenge: Challenge, origin: string, policy: GatePolicy): Quote {
  return vetOffers(challenge, origin, policy)[0]
}

/**
 * The offers that pass every check, in the order in which they are to be tried; at least one.
 * @throws TollwayError with the code of the offer that got furthest
 */
export function vetOffers(
  challenge: Challenge,
  origin: string,
  policy: GatePolicy,
): readonly [Quote, ...Quote[]] {
  if (!policy.origins.has(origin)) {
    throw new TollwayError({
      code: 'host_not_allowed',
      message: `${origin} is not on the list of sellers that may be paid.`,
      advice: ['Add a route with this api_base, or allow the origin in the policy.'],
    })
  }
  let best: Refusal | undefined
  const quotes: Quote[] = []
  for (const offer of challenge.offers) {
    const result = vetOffer(offer, challenge, origin, policy)
    if (result instanceof Quote) quotes.push(result)
    else if (!best || result.stage > best.stage) best = result
  }
  const [first, ...rest] = policy.order === 'seller' ? quotes : quotes.toSorted(byPrice)
  if (first) return [first, ...rest]
  const refusal: Refusal | Omit<Refusal, 'stage'> = best ?? {
    code: 'offer_empty' as const,
    message: 'The seller offered no way to pay.',
  }
  const offered = [
    ...challenge.offers.map((offer) => `${offer.scheme} on ${offer.network}`),
    ...challenge.others,
  ]
  throw new TollwayError({
    ...refusal,
    details: { ...refusal.details, offered: printable(offered.join(', '), 200) },
  })
}

/** The sort is stable: of equals the seller's first stays first. */
function byPrice(a: Quote, b: Quote): number {
  const [one, other] = [a.microUsd ?? 0n, b.microUsd ?? 0n]
  if (one === other) return 0
  return one < other ? -1 : 1
}

function wanted({ scheme, extra }: Offer): string {
  const method = extra['assetTransferMethod']
  if (typeof method === 'string') return method
  return method === undefined && scheme !== 'upto' ? 'eip3009' : 'another method'
}

/** How an offer wants to be paid; `undefined` for a method that is not known. `upto` is always Permit2. */
function methodOf({ scheme, extra }: Offer): AuthorizationMethod | undefined {
  const method = extra['assetTransferMethod']
  if (scheme === 'upto') return method === undefined || method === 'permit2' ? 'permit2' : undefined
  if (method === undefined || method === 'eip3009') return 'eip3009'
  return method === 'permit2' ? 'permit2' : undefined
}

function vetOffer(offer: Offer, challenge: Challenge, origin: string, policy: GatePolicy): Quote | Refusal {
  if (!policy.supports(offer)) {
    return {
      stage: 0,
      code: 'no_supported_offer',
      message: `The seller offers ${printable(describeKinds(challenge), 200)}, which the payer of this route does not support.`,
    }
  }
  if (!policy.networks.includes(offer.network)) {
    return {
      stage: 1,
      code: 'network_not_allowed',
      message: `The seller asks for payment on ${printable(offer.network, 200)}, and this payer may pay on ${policy.networks.join(', ')}.`,
      advice: ["Add the network to the payer's networks if you mean to pay there."],
    }
  }
  const asset = EVM_ADDRESS.test(offer.asset)
    ? findAsset(policy.assets, offer.network, offer.asset)
    : undefined
  if (!asset) {
    return {
      stage: 2,
      code: 'asset_not_allowed',
      message: `The seller asks for the asset ${printable(offer.asset, 200)} on ${offer.network}, which is not in the asset table.`,
      advice: ['Add it under assets if you mean to pay with it.'],
    }
  }
  const method = methodOf(offer)
  if (method === undefined || (asset.methods && !asset.methods.includes(method))) {
    return {
      stage: 2,
      code: 'no_supported_offer',
      message: `The seller wants ${asset.symbol} on ${asset.network} by ${printable(wanted(offer), 200)}, which is not a way this token is paid with.`,
    }
  }
  const facilitator = facilitatorOf(offer)
  if (offer.scheme === 'upto' && facilitator === undefined) {
    return {
      stage: 2,
      code: 'no_supported_offer',
      message:
        'The seller offers upto without naming the facilitator that may settle it (extra.facilitatorAddress).',
    }
  }
  if (offer.amountsDisagree) {
    return {
      stage: 3,
      code: 'amount_conflict',
      message: 'The offer carries amount and maxAmountRequired, and they differ.',
    }
  }
  const amount = parseAtomic(offer.amount)
  if (amount === undefined) {
    return {
      stage: 3,
      code: 'amount_invalid',
      message:
        'The offered amount is not a plain decimal integer in a string (no sign, point, exponent or 0x).',
    }
  }
  if (amount === 0n)
    return { stage: 4, code: 'amount_zero', message: 'The seller asks for a payment of zero.' }
  const payTo = offer.payTo.toLowerCase()
  const payees = policy.payees(offer.network, asset.address)
  if (!EVM_ADDRESS.test(payTo) || (payees && !payees.includes(payTo))) {
    return {
      stage: 5,
      code: 'payee_not_allowed',
      message: `The seller asks to pay ${printable(offer.payTo, 200)}, and ${origin} is pinned to ${payees?.join(', ') ?? 'an EVM address'}.`,
      advice: ['If the seller really changed its payee, set policy.sellers pay_to for it.'],
    }
  }
  const validity = readValidity(offer.maxTimeoutSeconds)
  if (validity === undefined) {
    return {
      stage: 6,
      code: 'validity_too_long',
      message: `The offer's maxTimeoutSeconds is not a number of seconds from 1 to ${MAX_OFFERED_VALIDITY_SECONDS}.`,
    }
  }
  const microUsd = asset.usd ? toMicroUsd(amount, asset.decimals, asset.usd) : undefined
  if (microUsd === undefined && policy.maxMicroUsd !== undefined) {
    return {
      stage: 7,
      code: 'unpriced_asset',
      message: `${asset.symbol} on ${asset.network} has no USD value, and max_usd_per_request is a USD limit.`,
      advice: ['Declare usd for it under assets.'],
    }
  }
  if (microUsd !== undefined && policy.maxMicroUsd !== undefined && microUsd > policy.maxMicroUsd) {
    return {
      stage: 8,
      code: 'price_above_limit',
      message: `The seller asks $${formatUsd(microUsd)}, above the ceiling of $${formatUsd(policy.maxMicroUsd)} per request.`,
      advice: ['Raise policy.max_usd_per_request if you mean to pay this.'],
      details: { asked_usd: formatUsd(microUsd) },
    }
  }
  const limit = policy.price?.(offer.network, asset.address)
  if (limit && amount > limit.highest) return unstable(amount, limit, asset)
  const validitySeconds =
    policy.lifeSeconds ?? Math.max(MIN_VALIDITY_SECONDS, Math.min(validity, policy.maxValiditySeconds))
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
    offer,
    resource: challenge.resource,
    offersInBody: challenge.offersInBody === true,
  }
  return new Quote(QUOTE_KEY, fields)
}

function facilitatorOf({ scheme, extra }: Offer): string | undefined {
  const address = extra['facilitatorAddress']
  return scheme === 'upto' && typeof address === 'string' && EVM_ADDRESS.test(address)
    ? address.toLowerCase()
    : undefined
}

/** What the seller advertises of gas sponsoring; v1 has no extensions. */
function sponsoringOf({ x402Version, extensions }: Challenge): Readonly<Record<string, unknown>> | undefined {
  const extension = Object.hasOwn(extensions, GAS_SPONSORING) ? extensions[GAS_SPONSORING] : undefined
  if (x402Version !== 2 || typeof extension !== 'object' || extension === null) return undefined
  const info = 'info' in extension ? extension.info : undefined
  return typeof info === 'object' && info !== null && !Array.isArray(info) ? { ...info } : {}
}

function unstable(amount: bigint, limit: PriceLimit, asset: Asset): Refusal {
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  const price = formatUnits(amount, asset.decimals)
  return {
    stage: 9,
    code: 'price_unstable',
    message: `The seller asks ${units(amount)}, and its pinned price is ${units(limit.pinned)}; up to ${units(limit.highest)} is allowed.`,
    advice: [
      `If the new price is right, run \`tollway sellers trust ${limit.target} --price ${price}\`, or raise policy.max_price_change.`,
    ],
  }
}

/** Seconds from 1 to a day; a missing field means no wish, and the cap applies. */
function readValidity(value: unknown): number | undefined {
  if (value === undefined) return MAX_OFFERED_VALIDITY_SECONDS
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) return undefined
  return value <= MAX_OFFERED_VALIDITY_SECONDS ? value : undefined
}

function describeKinds(challenge: Challenge): string {
  const kinds = challenge.offers.map((offer) => {
    const method = offer.extra['assetTransferMethod']
    return `${offer.scheme}${typeof method === 'string' ? ` by ${method}` : ''} on ${offer.network}`
  })
  return [...new Set([...kinds, ...challenge.others])].join(', ')
}
