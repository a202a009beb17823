/** Why offers are not paid, reported for all of them. */
import { findAsset, findNetwork, type Asset } from '../money/assets.ts'
import { formatUnits, formatUsd, parseAtomic } from '../money/money.ts'
import { printable } from '../printable.ts'
import { TollwayError, type ErrorCode } from '../errors.ts'
import type { Offer } from '../x402/x402.ts'
import type { PriceLimit } from './gate-policy.ts'

/** A refused offer. Of several, the one that passed the most checks is reported first. */
export interface Refusal {
  /** How many checks the offer passed. */
  readonly stage: number
  readonly code: ErrorCode
  readonly message: string
  readonly advice?: readonly string[]
  readonly details?: Readonly<Record<string, string>>
  /** The reason in a few words, for the list of all offers; default the code. */
  readonly brief?: string | undefined
}

/** An offer that is not paid, and why in a few words. */
export interface PassedOffer {
  readonly offer: Offer
  readonly why: string
}

/** Ends the message of every refusal. It is about this offer only: an earlier one of the same request may have been paid. */
export const NOT_PAID = 'This offer was not paid.'

/** The longest list of offers in a message, characters. */
const MOST_CHARACTERS = 2_000

/**
 * The error of a challenge without a payable offer.
 * @param refusal of the offer that passed the most checks
 * @param passed all offers that are not paid
 * @param others what else the seller named
 */
export function refusalError(
  refusal: Omit<Refusal, 'stage'>,
  passed: readonly PassedOffer[],
  others: readonly string[],
  assets: readonly Asset[],
): TollwayError {
  const { code, message, advice = [], details } = refusal
  const listed = listPassed(passed, others, assets)
  return new TollwayError({
    code,
    message: `${message} ${NOT_PAID}${listed === undefined ? '' : ` ${listed}`}`,
    advice,
    details: {
      ...details,
      offered: printable(
        kindsOf(
          passed.map(({ offer }) => offer),
          others,
        ).join(', '),
        200,
      ),
      ...(listed === undefined ? {} : { passed_over: listed }),
    },
  })
}

/** The same error, with the list of all offers in its message; `assets` give their tokens a name. */
export function withPassed(
  error: TollwayError,
  passed: readonly PassedOffer[],
  others: readonly string[],
  assets: readonly Asset[],
): TollwayError {
  const listed = listPassed(passed, others, assets)
  if (listed === undefined) return error
  const { code, status, advice, details, headers, param } = error
  const own = advice.length === 0 ? error.message : error.message.slice(0, -advice.join(' ').length).trim()
  return new TollwayError({
    code,
    status,
    message: `${own} ${listed}`,
    advice,
    details: { ...details, passed_over: listed },
    headers,
    param: param ?? undefined,
    cause: error,
  })
}

/**
 * Every offer with the reason why it is not paid, alike ones together, in the seller's order; `undefined` for a single offer, whose
 * refusal says it all.
 */
export function listPassed(
  passed: readonly PassedOffer[],
  others: readonly string[],
  assets: readonly Asset[],
): string | undefined {
  if (passed.length + others.length < 2) return undefined
  const counts = new Map<string, number>()
  const lines = passed.map(({ offer, why }) => `${labelOf(offer, assets)}: ${why}`)
  for (const line of [...lines, ...others.map((other) => `${printable(other, 100)}: not supported`)]) {
    counts.set(line, (counts.get(line) ?? 0) + 1)
  }
  const entries = [...counts].map(([line, count]) => ({
    text: count === 1 ? line : `${count} x ${line}`,
    count,
  }))
  let length = 0
  const shown = entries.filter(({ text }) => (length += text.length + 2) <= MOST_CHARACTERS)
  const left = entries.slice(shown.length).reduce((sum, { count }) => sum + count, 0)
  const more = left === 0 ? '' : `; and ${left} more`
  const total = passed.length + others.length
  return `All ${total} offers of the seller were passed over: ${shown.map(({ text }) => text).join('; ')}${more}.`
}

/** The ways to pay that a seller offers, each once, for a message. */
export function kindsOf(offers: readonly Offer[], others: readonly string[]): string[] {
  const kinds = offers.map(({ scheme, network, extra }) => {
    const method = extra['assetTransferMethod']
    return `${scheme}${typeof method === 'string' ? ` by ${method}` : ''} on ${network}`
  })
  return [...new Set([...kinds, ...others])]
}

/** An offer in short: scheme, price, token and network. */
function labelOf(offer: Offer, assets: readonly Asset[]): string {
  const network = findNetwork(offer.network)?.alias ?? printable(offer.network, 60)
  const asset = findAsset(assets, offer.network, offer.asset)
  const amount = parseAtomic(offer.amount)
  const price = asset && amount !== undefined ? `${formatUnits(amount, asset.decimals)} ` : ''
  return `${printable(offer.scheme, 30)} ${price}${asset?.symbol ?? printable(offer.asset, 44)} on ${network}`
}

/** The refusal of a price above the ceiling of one request, both in micro-USD. */
export function aboveCeiling(asked: bigint, ceiling: bigint): Refusal {
  const price = formatUsd(asked)
  return {
    stage: 8,
    code: 'price_above_limit',
    message: `The seller asks $${price}, which is above the ceiling of $${formatUsd(ceiling)} per request.`,
    advice: [
      `Raise policy.max_usd_per_request if you mean to pay this: policy: { max_usd_per_request: "${price}" }.`,
    ],
    details: { asked_usd: price },
  }
}

/** The refusal of a price that rose too far above the pinned one. */
export function priceUnstable(amount: bigint, limit: PriceLimit, asset: Asset): Refusal {
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  const price = formatUnits(amount, asset.decimals)
  const why = limit.isBorrowed
    ? `but no price is pinned for this model and token yet, and the highest price pinned for what was paid before is ${units(limit.pinned)}.`
    : `but its pinned price is ${units(limit.pinned)} and at most ${units(limit.highest)} is allowed.`
  return {
    stage: 9,
    code: 'price_unstable',
    message: `The seller asks ${units(amount)}, ${why}`,
    advice: [
      `If the new price is right, run \`tollway sellers trust ${limit.target} --price ${price}\`, or raise policy.max_price_change.`,
    ],
  }
}

/** The refusal of a seller that insists on an extension. */
export function extensionRefusal(name: string): TollwayError {
  return new TollwayError({
    code: 'no_supported_offer',
    message: `The seller requires the extension ${printable(name, 60)}, which no payer supports. ${NOT_PAID}`,
    advice: ['Use another seller.'],
    details: { extension: printable(name, 200) },
  })
}
