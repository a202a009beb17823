/** The current price of a seller's vouchers, checked by the same gate as every payment (rule 6). */
import { chooseOffer } from '../../payment/vet-offers.ts'
import { TollwayError } from '../../core/errors.ts'
import { formatUnits } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Quote } from '../../core/policy/gate.ts'
import type { VoucherTerms } from '../../core/vouchers/voucher.ts'
import { askPrice, commandRequest, priceQuestion, headersOf } from './ask-price.ts'
import { readInference } from './endpoint.ts'
import { narrowed, type OfferChoice } from './offer-choice.ts'
import { signingCeiling, type BuyingContext } from './buying-context.ts'

/** The requested terms. */
export interface TermsRequest {
  readonly endpoint: string
  readonly model: string
  /** Name of the payer that signs. */
  readonly signedBy: string
  readonly choice: OfferChoice
  /** How long the vouchers are valid, seconds. */
  readonly lifeSeconds: number
}

/** Terms that passed the gate. */
export interface Terms {
  readonly quote: Quote
  readonly signer: Provider
  readonly terms: VoucherTerms
  /** Whether no payee is configured, so that signing the first voucher pins it. */
  readonly pin: boolean
}

/**
 * Asks a seller for its terms and checks them at the gate.
 * @throws TollwayError with the gate's codes, `seller_unavailable`, `signer_unavailable`, `insufficient_funds`
 */
export async function askTerms(
  context: BuyingContext,
  request: TermsRequest,
  signal: AbortSignal,
): Promise<Terms> {
  const { config, ledger, clock, observers } = context
  const { seller, apiBase, url } = readInference(request.endpoint)
  const { model, signedBy, lifeSeconds } = request
  const asked = commandRequest(clock.now(), {
    route: 'buy',
    payer: signedBy,
    apiBase,
    endpoint: '/chat/completions',
    model,
  })
  const question = priceQuestion(url, model)
  const headers = { ...question.headers, ...headersOf(config, signedBy) }
  const challenge = await askPrice(context, asked, { ...question, headers }, signal)
  const signer = await context.payer(signedBy)
  const payer = narrowed(signer, challenge, request.choice, config.assets)
  // The maximum of an `upto` offer is not a price, so nothing is signed in advance for it.
  const exact: Provider = {
    ...payer,
    supports: (offer) => offer.scheme === 'exact' && payer.supports(offer),
  }
  const paymentContext = {
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
  const vetted = await chooseOffer(
    { context: paymentContext, ...asked, payer: exact, leaving: signal },
    challenge,
  )
  const { quote } = vetted
  const { network, address } = quote.asset
  const { payTo, amount, method } = quote
  return { quote, signer, terms: { seller, network, asset: address, payTo, amount, method }, pin: vetted.pin }
}

/** The highest price of one voucher. */
export interface PriceCap {
  /** Smallest units. */
  readonly amount: bigint
  /** Its price when ordered, smallest units, if no cap was given. */
  readonly bought: bigint | undefined
}

/** Refuses a price over a cap. @throws TollwayError `price_above_limit` */
export function assertWithinCap({ amount, asset }: Quote, cap: PriceCap | undefined): void {
  if (cap === undefined || amount <= cap.amount) return
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  const why =
    cap.bought === undefined
      ? `the cost cap of ${units(cap.amount)}`
      : `${units(cap.amount)}: ordered at ${units(cap.bought)}, it may rise by policy.max_price_change if no --cost-cap is given`
  throw new TollwayError({
    code: 'price_above_limit',
    message: `The seller asks ${units(amount)} for one voucher, above ${why}; nothing was signed.`,
    advice: ['Run `tollway buy` again with a higher --cost-cap if you accept the price.'],
  })
}
