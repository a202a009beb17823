/** The frozen copies that hooks get. */
import type { Charge } from '../charge/charge.ts'
import type { Quote } from '../policy/gate.ts'
import type { Exchange } from '../request/exchange.ts'
import type { Candidate } from '../routing/route.ts'
import type { RequestSummary } from '../telemetry/events.ts'
import type { PaymentToSign, SentPayment } from './hooks.ts'

/** The payment of a request, before it is signed. */
export function paymentToSign(
  exchange: Exchange,
  { route, remoteModel }: Candidate,
  quote: Quote,
): PaymentToSign {
  return Object.freeze<PaymentToSign>({
    purpose: 'request',
    count: 1,
    requestId: exchange.id,
    caller: exchange.caller.id,
    route: route.modelName,
    model: exchange.request.model ?? '',
    remoteModel,
    endpoint: exchange.endpoint,
    tags: Object.freeze([...exchange.payment.tags]),
    payer: route.payer ?? '',
    ...termsOf(quote),
  })
}

/** Vouchers of one price, before they are signed. */
export function vouchersToSign(
  { payer, model, count }: { readonly payer: string; readonly model: string; readonly count: number },
  quote: Quote,
): PaymentToSign {
  return Object.freeze<PaymentToSign>({
    purpose: 'vouchers',
    count,
    requestId: undefined,
    caller: undefined,
    route: undefined,
    model,
    remoteModel: model,
    endpoint: '/chat/completions',
    tags: Object.freeze([]),
    payer,
    ...termsOf(quote),
  })
}

function termsOf({ asset, origin, payTo, amount, microUsd, scheme, validitySeconds }: Quote) {
  const { network, address, symbol, decimals } = asset
  return {
    seller: origin,
    network,
    asset: address,
    symbol,
    decimals,
    payTo,
    amount,
    microUsd,
    scheme,
    validitySeconds,
  }
}

/** A payment that was sent. */
export function sentPayment(charge: Charge): SentPayment {
  const { id, requestId, caller, model, route, payer, seller, network, asset, symbol, decimals } = charge
  const { payTo, amount, microUsd, reservedAt, transaction, reason, proof, charged, authorization } = charge
  return Object.freeze<SentPayment>({
    id,
    requestId,
    caller,
    model,
    route,
    payer,
    seller,
    network,
    asset,
    symbol,
    decimals,
    payTo,
    amount,
    microUsd,
    reservedAt,
    transaction,
    reason,
    proof,
    charged,
    from: authorization?.from,
  })
}

/** How a request ended. */
export function endedRequest(summary: RequestSummary): RequestSummary {
  const { usage, details } = summary
  return Object.freeze<RequestSummary>({
    ...summary,
    usage: usage && Object.freeze({ ...usage }),
    details: Object.freeze({ ...details }),
  })
}
