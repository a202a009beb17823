/** Links from a transaction to its page on a block explorer. */

import { isSolanaNetwork } from '../../core/money/address.ts'

/** URL of a transaction's page, or `undefined` without a known explorer: the hash is then shown without a link. */
export type ExplorerLink = (network: string, transaction: string) => string | undefined

/** Placeholder of the hash in an explorer's address. */
export const TRANSACTION_PLACE = '{tx}'

/** The explorers of the networks known by name; by CAIP-2 id. */
const EXPLORERS: ReadonlyMap<string, string> = new Map([
  ['eip155:8453', 'https://basescan.org/tx/{tx}'],
  ['eip155:84532', 'https://sepolia.basescan.org/tx/{tx}'],
  ['eip155:1', 'https://etherscan.io/tx/{tx}'],
  ['solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp', 'https://solscan.io/tx/{tx}'],
  ['solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1', 'https://solscan.io/tx/{tx}?cluster=devnet'],
])

/** A receipt comes from the seller: a value that is not a hash gets no link. */
const HASH = /^0x[0-9a-fA-F]{64}$/
/** A signature in base58. */
const SIGNATURE = /^[1-9A-HJ-NP-Za-km-z]{64,88}$/

/**
 * @param own by CAIP-2 id; an address with `{tx}`, or `undefined` for no link; takes precedence over the built-in
 * ones
 */
export function explorerLinks(own: ReadonlyMap<string, string | undefined>): ExplorerLink {
  return (network, transaction) => {
    if (!(isSolanaNetwork(network) ? SIGNATURE : HASH).test(transaction)) return undefined
    const template = own.has(network) ? own.get(network) : EXPLORERS.get(network)
    return template?.replace(TRANSACTION_PLACE, transaction)
  }
}
