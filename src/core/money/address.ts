/** Addresses of both kinds of networks, in the one spelling in which they are compared and stored. */
import { EVM_ADDRESS } from '../evm.ts'
import { isSolanaAddress } from '../solana/address.ts'

/** Whether a CAIP-2 id names a Solana network. */
export function isSolanaNetwork(network: string): boolean {
  return network.startsWith('solana:')
}

/**
 * The spelling that is compared and stored: lower case on EVM networks, as it is on Solana, where letter case matters.
 * @param network CAIP-2
 * @returns `undefined` for a text that is no address of the network
 */
export function canonicalAddress(network: string, text: string): string | undefined {
  if (isSolanaNetwork(network)) return isSolanaAddress(text) ? text : undefined
  return EVM_ADDRESS.test(text) ? text.toLowerCase() : undefined
}
