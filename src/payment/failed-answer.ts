/** An answer to a payment that is none: what is read of it, and the error that the client gets. */
import type { VerdictError } from '../core/charge/judge-paid-answer.ts'
import { TollwayError } from '../core/errors.ts'
import { findNetwork } from '../core/money/assets.ts'
import { formatUnits } from '../core/money/money.ts'
import { approveAdvice } from '../core/payer/permit2.ts'
import type { Authorization, Provider } from '../core/payer/provider.ts'
import type { Quote } from '../core/policy/gate.ts'
import type { Reply } from '../core/request/exchange.ts'
import { describeSkew } from '../core/telemetry/clock-skew.ts'
import {
  adviceFor,
  isAboutAllowance,
  isAboutFunds,
  isRequestCode,
  type PaymentFacts,
} from '../core/x402/seller-reasons.ts'
import { readSellerError } from '../core/x402/seller-error.ts'
import { MAX_CHALLENGE_BYTES } from '../core/x402/x402.ts'
import type { BoundedBody } from '../io/transport/upstream.ts'
import { headerOf, readReply } from './answer/read-reply.ts'
import { SLOW_SELLER } from './answer/slow-seller.ts'
import { sellerSaid } from './answer/seller-message.ts'

/** How long the body of a 402 or of a failed paid call is waited for, milliseconds: the money is booked, only words follow. */
export const ERROR_BODY_MS = 10_000

/** What proxies in front of a seller answer when it takes too long: 504, and 522 and 524 of Cloudflare. */
const GATEWAY_TIMEOUTS: ReadonlySet<number> = new Set([408, 504, 522, 524])

const NO_BODY: BoundedBody = { bytes: Buffer.alloc(0), truncated: false }

/** What is known of such an answer. */
export interface FailedAnswer {
  readonly reply: Pick<Reply, 'status' | 'headers'>
  readonly body: BoundedBody
  readonly quote: Quote
  /** What was signed, by which address. */
  readonly authorization: Pick<Authorization, 'record'>
  /** How far the seller's clock is ahead of ours, seconds. */
  readonly skew: number | undefined
  /** Asked for its balance where the seller says that it is too little: what was read before the payment may be out of date. */
  readonly payer: Pick<Provider, 'balance'>
}

/** The body of a failure: waited for within bounds, since it may never end, and nothing where it breaks off. */
export async function failureBody(reply: Omit<Reply, 'kind'>): Promise<BoundedBody> {
  return await readReply(reply, MAX_CHALLENGE_BYTES, ERROR_BODY_MS).catch(() => NO_BODY)
}

/** The error for the client: our own message, with that of the seller in `seller`. */
export async function failedAnswer(
  error: VerdictError,
  { reply, body, quote, authorization, skew, payer }: FailedAnswer,
): Promise<TollwayError> {
  const reported = readSellerError((name) => headerOf(reply, name), body.bytes)
  const balance = isAboutFunds(reported) ? await payer.balance?.(quote).catch(() => undefined) : undefined
  const needsApproval = quote.method === 'permit2' && (reply.status === 412 || isAboutAllowance(reported))
  return new TollwayError({
    ...error,
    advice: needsApproval
      ? approveAdvice(quote.asset, quote.amount)
      : [
          ...(error.advice ?? []),
          ...(GATEWAY_TIMEOUTS.has(reply.status) ? SLOW_SELLER : []),
          ...adviceFor(reported, {
            ...paymentFacts(quote, authorization.record.from, balance),
            clock: describeSkew(skew),
          }),
        ],
    ...sellerSaid(reply.status, reported),
    ...(reported.code !== undefined && isRequestCode(reported.code) ? { clientCode: reported.code } : {}),
  })
}

function paymentFacts({ amount, asset }: Quote, from: string, balance: bigint | undefined): PaymentFacts {
  const units = (value: bigint): string => `${formatUnits(value, asset.decimals)} ${asset.symbol}`
  const network = findNetwork(asset.network)?.alias ?? asset.network
  const known = balance === undefined ? {} : { holds: units(balance), suffices: balance >= amount }
  return { from, price: units(amount), network, ...known }
}
