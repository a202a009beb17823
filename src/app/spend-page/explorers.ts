/** Links from a transaction to the page of a block explorer that shows it. */

/** The address of a transaction's page, or `undefined` where no explorer is known: then the hash stands alone. */
export type ExplorerLink = (network: string, transaction: string) => string | undefined

/** Where the hash goes in the address of an explorer. */
export const TRANSACTION_PLACE = '{tx}'

/** The explorers of the networks known by name; by CAIP-2 id. */
const EXPLORERS: ReadonlyMap<string, string> = new Map([
  ['eip155:8453', 'https://basescan.org/tx/{tx}'],
  ['eip155:84532', 'https://sepolia.basescan.org/tx/{tx}'],
  ['eip155:1', 'https://etherscan.io/tx/{tx}'],
])

/** A receipt is the seller's word: what is no hash becomes no link. */
const HASH = /^0x[0-9a-fA-F]{64}$/

/** @param own by CAIP-2 id; an address with `{tx}`, or `undefined` for no link; wins over the built-in ones */
export function explorerLinks(own: ReadonlyMap<string, string | undefined>): ExplorerLink {
  return (network, transaction) => {
    if (!HASH.test(transaction)) return undefined
    const template = own.has(network) ? own.get(network) : EXPLORERS.get(network)
    return template?.replace(TRANSACTION_PLACE, transaction)
  }
}
