/** EIP-3009 `transferWithAuthorization`: the message, its EIP-712 form, and the check that it says what was vetted. */
import { findNetwork } from './assets.ts'
import type { AuthorizationRecord } from './charge.ts'
import type { Quote } from './requirement.ts'

/** The fields of an EIP-3009 authorization as they go over the wire (decimal strings). */
export interface WireAuthorization {
  readonly from: string
  readonly to: string
  readonly value: string
  readonly validAfter: string
  readonly validBefore: string
  readonly nonce: string
}

/** EIP-712 type of EIP-3009's `TransferWithAuthorization`. */
export const TRANSFER_WITH_AUTHORIZATION = [
  { name: 'from', type: 'address' },
  { name: 'to', type: 'address' },
  { name: 'value', type: 'uint256' },
  { name: 'validAfter', type: 'uint256' },
  { name: 'validBefore', type: 'uint256' },
  { name: 'nonce', type: 'bytes32' },
] as const

/** What a signer is asked to sign: plain data that survives being posted to another thread or process. */
export interface TypedAuthorization {
  readonly domain: {
    readonly name: string
    readonly version: string
    readonly chainId: number
    readonly verifyingContract: string
  }
  readonly message: WireAuthorization
}

/** v1 facilitators compare `validAfter` with their clock, so v1 clients start the window this much earlier. */
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

/** The wire form: what is signed and what is sent are made from the same record. */
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
 * @returns `undefined` when the asset has no EIP-3009 domain in the table
 */
export function toTyped(quote: Quote, record: AuthorizationRecord): TypedAuthorization | undefined {
  const network = findNetwork(quote.asset.network)
  if (!quote.asset.domain || !network) return undefined
  return {
    domain: { ...quote.asset.domain, chainId: network.chainId, verifyingContract: quote.asset.address },
    message: toWire(quote, record),
  }
}
