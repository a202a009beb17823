/** EIP-3009 `transferWithAuthorization`: the message of a quote and its EIP-712 form. */
import { findEvmNetwork } from '../money/assets.ts'
import type { AuthorizationRecord } from '../charge/charge.ts'
import type { Quote } from '../policy/gate.ts'
import type { TypedAuthorization, WireAuthorization } from './typed-message.ts'

export { TRANSFER_WITH_AUTHORIZATION, type TypedAuthorization } from './typed-message.ts'

/** v1 facilitators compare `validAfter` with their own clock, so the window starts this much earlier, as in v1 clients. */
const V1_BACKDATE_SECONDS = 600

/**
 * Composes the authorization for a quote.
 * @param nowMs milliseconds since the epoch
 * @param nonce 32 random bytes, `0x` hex; never used for two requests (rule 5)
 */
export function composeAuthorization(
  quote: Quote,
  from: string,
  nonce: string,
  nowMs: number,
): AuthorizationRecord {
  const now = Math.floor(nowMs / 1000)
  return {
    from: from.toLowerCase(),
    nonce: nonce.toLowerCase(),
    validAfter: quote.offer.x402Version === 1 ? now - V1_BACKDATE_SECONDS : 0,
    validBefore: now + quote.validitySeconds,
  }
}

/** The wire form. What is signed and what is sent are made from the same record. */
export function toWire(quote: Quote, record: AuthorizationRecord): WireAuthorization {
  return {
    from: record.from,
    to: quote.payTo,
    value: quote.amount.toString(),
    validAfter: record.validAfter.toString(),
    validBefore: record.validBefore.toString(),
    nonce: record.nonce,
  }
}

/**
 * The EIP-712 data of a payment. The domain comes from the asset table, never from the offer (rule 6).
 * @param domain for a token whose domain is not in the table: the domain that the contract itself confirmed
 * @returns `undefined` without a domain
 */
export function toTyped(
  quote: Quote,
  record: AuthorizationRecord,
  domain = quote.asset.domain,
): TypedAuthorization | undefined {
  const network = findEvmNetwork(quote.asset.network)
  if (!domain || !network) return undefined
  return {
    kind: 'eip3009',
    domain: { ...domain, chainId: network.chainId, verifyingContract: quote.asset.address },
    message: toWire(quote, record),
  }
}
