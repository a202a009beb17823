/** What a seller's vouchers would cost today, through the same gate as every payment (rule 6). */
import { chooseOffer } from '../../payment/vet-offers.ts'
import { TollwayError } from '../../core/errors.ts'
import { formatUnits } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Quote } from '../../core/policy/gate.ts'
import type { VoucherTerms } from '../../core/vouchers/voucher.ts'
import { askPrice, commandRequest, priceQuestion } from './ask-price.ts'
import { readInference } from './endpoint.ts'
import { narrowed, type OfferChoice } from './offer-choice.ts'
import { signingCeiling, type BuyingContext } from './buying-context.ts'

/** What is asked for. */
export interface TermsRequest {
  readonly endpoint: string
  readonly model: string
  /** Name of the payer that signs. */
  readonly signedBy: string
  readonly choice: OfferChoice
  /** How long the vouchers are valid, seconds. */
  readonly lifeSeconds: number
}

/** What passed the gate. */
export interface Terms {
  readonly quote: Quote
  readonly signer: Provider
  readonly terms: VoucherTerms
  /** Whether no payee is configured: it is pinned when the first voucher is signed. */
  readonly pin: boolean
}

/**
 * Asks a seller and puts its answer through the gate.
 * @throws TollwayError with the gate's codes, `seller_unavailable`, `signer_unavailable`, `insufficient_funds`
 */
export async function askTerms(
  parts: BuyingContext,
  wish: TermsRequest,
  signal: AbortSignal,
): Promise<Terms> {
  const { config, ledger, clock, observers } = parts
  const { seller, apiBase, url } = readInference(wish.endpoint)
  const { model, signedBy, lifeSeconds } = wish
  const asked = commandRequest(clock.now(), {
    route: 'buy',
    payer: signedBy,
    apiBase,
    endpoint: '/chat/completions',
    model,
  })
  const challenge = await askPrice(parts, asked, priceQuestion(url, model), signal)
  const signer = await parts.payer(signedBy)
  const payer = narrowed(signer, challenge, wish.choice, config.assets)
  // The maximum that `upto` may take is not a price: nothing is signed ahead for it.
  const exact: Provider = {
    ...payer,
    supports: (offer) => offer.scheme === 'exact' && payer.supports(offer),
  }
  const context = {
    ledger,
    origins: new Set([new URL(apiBase).origin]),
    policy: {
      ...config.policy,
      maxMicroUsd: signingCeiling(config),
      assets: config.assets,
      lifeSeconds,
    },
    observers,
  }
  const vetted = await chooseOffer({ context, ...asked, payer: exact, leaving: signal }, challenge)
  const { quote } = vetted
  const { network, address } = quote.asset
  const { payTo, amount, method } = quote
  return { quote, signer, terms: { seller, network, asset: address, payTo, amount, method }, pin: vetted.pin }
}

/** What one voucher may cost. */
export interface PriceCap {
  /** Smallest units. */
  readonly amount: bigint
  /** What it cost when it was ordered, smallest units, where nobody said what it may cost. */
  readonly bought: bigint | undefined
}

/** Refuses a price over a cap. @throws TollwayError `price_above_limit` */
export function assertWithinCap({ amount, asset }: Quote, cap: PriceCap | undefined): void {
  if (cap === undefined || amount <= cap.amount) return
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  const why =
    cap.bought === undefined
      ? `the cost cap of ${units(cap.amount)}`
      : `${units(cap.amount)}: ordered at ${units(cap.bought)}, it may rise by policy.max_price_change where no --cost-cap was given`
  throw new TollwayError({
    code: 'price_above_limit',
    message: `The seller asks ${units(amount)} for one, above ${why}; nothing was signed.`,
    advice: ['Run `tollway buy` again with a higher --cost-cap if the price is right.'],
  })
}
