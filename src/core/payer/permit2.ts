/** Permit2 as x402 uses it: the authorization of a quote, its allowance, and the approval that a wallet needs once. */
import { findEvmNetwork, type Asset } from '../money/assets.ts'
import type { AuthorizationRecord } from '../charge/charge.ts'
import { EXACT_PROXY, PERMIT2_ADDRESS, UPTO_PROXY } from '../evm-contracts.ts'
import type { Quote } from '../policy/gate.ts'
import type { TypedPermit2, TypedPermit } from './typed-message.ts'
import { GAS_SPONSORING } from '../x402/extensions.ts'

/**
 * The record of a Permit2 payment.
 * @param nonce 32 random bytes, `0x` hex; never used for two requests (rule 5)
 * @param nowMs milliseconds since the epoch
 */
export function composePermit2(
  quote: Quote,
  from: string,
  nonce: string,
  nowMs: number,
): AuthorizationRecord {
  return {
    from: from.toLowerCase(),
    nonce: nonce.toLowerCase(),
    // Zero: a chain whose clock lags would otherwise refuse the payment as not yet valid.
    validAfter: 0,
    validBefore: Math.floor(nowMs / 1000) + quote.validitySeconds,
    method: 'permit2',
    ...(quote.scheme === 'upto' ? { scheme: 'upto' as const } : {}),
  }
}

/** The message to sign for a Permit2 payment. @returns `undefined` for an unknown network, or `upto` without a facilitator */
export function typedPermit2(quote: Quote, record: AuthorizationRecord): TypedPermit2 | undefined {
  const network = findEvmNetwork(quote.asset.network)
  if (!network) return undefined
  const message = {
    from: record.from,
    token: quote.asset.address,
    amount: quote.amount.toString(),
    nonce: BigInt(record.nonce).toString(),
    deadline: record.validBefore.toString(),
    to: quote.payTo,
    validAfter: record.validAfter.toString(),
  }
  const domain = { chainId: network.chainId }
  if (quote.scheme === 'exact') return { kind: 'permit2_exact', domain, message }
  const { facilitator } = quote
  return facilitator === undefined
    ? undefined
    : { kind: 'permit2_upto', domain, message: { ...message, facilitator } }
}

/** The `exact` and `upto` payloads of x402: what was signed, and the signature. */
export function permit2Payload(typed: TypedPermit2, signature: string): Readonly<Record<string, unknown>> {
  const { from, token, amount, nonce, deadline, to, validAfter } = typed.message
  const upto = typed.kind === 'permit2_upto'
  return {
    signature,
    permit2Authorization: {
      from,
      permitted: { token, amount },
      spender: upto ? UPTO_PROXY : EXACT_PROXY,
      nonce,
      deadline,
      witness: upto ? { to, facilitator: typed.message.facilitator, validAfter } : { to, validAfter },
    },
  }
}

/**
 * The allowance that is sent with a payment: exactly its amount, and valid for as long.
 * @param nonce the wallet's next EIP-2612 nonce in the token
 * @returns `undefined` when the token's EIP-712 domain is not in the table
 */
export function typedPermit(
  quote: Quote,
  record: AuthorizationRecord,
  nonce: bigint,
): TypedPermit | undefined {
  const network = findEvmNetwork(quote.asset.network)
  if (!network || !quote.asset.domain) return undefined
  return {
    kind: 'eip2612_permit',
    domain: { ...quote.asset.domain, chainId: network.chainId, verifyingContract: quote.asset.address },
    message: {
      owner: record.from,
      value: quote.amount.toString(),
      nonce: nonce.toString(),
      deadline: record.validBefore.toString(),
    },
  }
}

/** The extension that carries an allowance with the payment. What the seller advertised is echoed; our fields take precedence. */
export function sponsoringExtension(
  quote: Quote,
  typed: TypedPermit,
  signature: string,
): Readonly<Record<string, unknown>> {
  const { owner, value, nonce, deadline } = typed.message
  const info = {
    ...quote.sponsoring,
    from: owner,
    asset: quote.asset.address,
    spender: PERMIT2_ADDRESS,
    amount: value,
    nonce,
    deadline,
    signature,
    version: '1',
  }
  return { [GAS_SPONSORING]: { info } }
}

/** The transaction that lets a wallet pay by Permit2, as a sentence and as a command. */
export function approveAdvice(asset: Asset, amount: bigint): string[] {
  return [
    `Approve Permit2 (${PERMIT2_ADDRESS}) once for at least ${amount} units of ${asset.symbol} (${asset.address}) from the paying wallet on ${asset.network}:`,
    `cast send ${asset.address} "approve(address,uint256)" ${PERMIT2_ADDRESS} ${amount} (a larger amount lasts for more payments).`,
  ]
}
