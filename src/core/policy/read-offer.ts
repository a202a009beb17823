/** Reads the fields of a seller's offer that need interpretation. Nothing here decides whether the offer is acceptable. */
import { EVM_ADDRESS } from '../evm.ts'
import { isSolanaNetwork } from '../money/address.ts'
import { findEvmNetwork, type Asset, type AuthorizationMethod } from '../money/assets.ts'
import { type Challenge, type Offer } from '../x402/x402.ts'
import { GAS_SPONSORING } from '../x402/extensions.ts'

/** The longest validity that is read out of an offer; longer ones are capped to it, and the policy may cap further. */
export const MAX_OFFERED_VALIDITY_SECONDS = 86_400

/** How an offer is paid, for people: by its network, and by what it says itself. */
export function methodName(offer: Offer): string {
  const { scheme, network, extra, mpp } = offer
  if (mpp) return 'MPP evm/charge'
  const otherContract = otherContractOf(offer)
  if (otherContract !== undefined) return `contract ${otherContract}`
  const method = extra['assetTransferMethod']
  if (typeof method === 'string') return method
  if (scheme !== 'exact' && scheme !== 'upto') return scheme
  if (isSolanaNetwork(network) || network.startsWith('solana')) return 'solana'
  if (findEvmNetwork(network) === undefined) return network.split(':', 1)[0] ?? network
  return scheme === 'upto' ? 'permit2' : 'eip3009'
}

/** The name of the method that an offer asks for, for a message. */
export function wantedMethod({ scheme, network, extra }: Offer): string {
  const method = extra['assetTransferMethod']
  if (typeof method === 'string') return method
  if (isSolanaNetwork(network))
    return scheme === 'exact' && method === undefined ? 'solana' : 'another method'
  return method === undefined && scheme !== 'upto' ? 'eip3009' : 'another method'
}

/**
 * The contract that an offer wants the signature made for, where it is not the token: Circle's Gateway and its kin settle from
 * a deposit there, and an authorization for the token would be of no use to them.
 */
export function otherContractOf({ asset, extra }: Offer): string | undefined {
  const contract = extra['verifyingContract']
  if (contract === undefined || contract === null) return undefined
  if (typeof contract !== 'string') return 'a contract that cannot be read'
  return contract.toLowerCase() === asset.toLowerCase() ? undefined : contract
}

/**
 * Whether an offer's display text names another token or version than the one that is paid. It may be honest: on some networks a
 * token's name differs from the name that its signatures are made for.
 */
export function namesAnother({ extra }: Offer, { domain }: Asset): boolean {
  const { name, version } = extra as { readonly name?: unknown; readonly version?: unknown }
  if (domain === undefined) return false
  return (name !== undefined && name !== domain.name) || (version !== undefined && version !== domain.version)
}

/** The method that an offer asks for; `undefined` when it is unknown. `upto` always uses Permit2. */
export function methodOf({ scheme, network, extra, mpp }: Offer): AuthorizationMethod | undefined {
  if (mpp) return isSolanaNetwork(network) ? undefined : 'eip3009'
  const method = extra['assetTransferMethod']
  if (isSolanaNetwork(network)) return scheme === 'exact' && method === undefined ? 'solana' : undefined
  if (scheme === 'upto') return method === undefined || method === 'permit2' ? 'permit2' : undefined
  if (method === undefined || method === 'eip3009') return 'eip3009'
  return method === 'permit2' ? 'permit2' : undefined
}

/** `upto`: the only address that may settle, in lower case. `undefined` for other schemes, or when the offer names none. */
export function facilitatorOf({ scheme, extra }: Offer): string | undefined {
  const address = extra['facilitatorAddress']
  return scheme === 'upto' && typeof address === 'string' && EVM_ADDRESS.test(address)
    ? address.toLowerCase()
    : undefined
}

/** The seller's own text about EIP-2612 gas sponsoring; `undefined` when it offers none. v1 has no extensions. */
export function sponsoringOf({
  x402Version,
  extensions,
}: Challenge): Readonly<Record<string, unknown>> | undefined {
  const extension = Object.hasOwn(extensions, GAS_SPONSORING) ? extensions[GAS_SPONSORING] : undefined
  if (x402Version !== 2 || typeof extension !== 'object' || extension === null) return undefined
  const info = 'info' in extension ? extension.info : undefined
  return typeof info === 'object' && info !== null && !Array.isArray(info) ? { ...info } : {}
}

/**
 * The validity that an offer asks for, seconds, at most a day: longer ones are capped. A number in a string counts; without the
 * field the maximum applies. `undefined` when invalid.
 */
export function readValidity(value: unknown): number | undefined {
  if (value === undefined || value === null) return MAX_OFFERED_VALIDITY_SECONDS
  const seconds = typeof value === 'string' && /^\s*\d{1,78}\s*$/.test(value) ? Number(value) : value
  if (typeof seconds !== 'number' || !Number.isInteger(seconds) || seconds < 1) return undefined
  return Math.min(seconds, MAX_OFFERED_VALIDITY_SECONDS)
}
