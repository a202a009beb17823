/** The EIP-712 domain a token's authorizations are signed under (rule 6). */
import { findEvmNetwork, type Asset } from '../../src/core/money/assets.ts'
import type { Quote } from '../../src/core/policy/gate.ts'
import { TypedDigest } from '../../src/io/signer/typed-digest.ts'
import type { WalletWatch } from '../../src/io/chain/wallet-watch.ts'

/**
 * The domain in our own table, or else the one that the seller claims (`extra.eip712Domain`) if it matches the contract's own
 * `DOMAIN_SEPARATOR`.
 * @returns `undefined` when there is neither, or no node to ask
 */
export async function provenDomain(quote: Quote, watch: WalletWatch | undefined): Promise<Asset['domain']> {
  const { asset, offer } = quote
  if (asset.domain) return asset.domain
  const claimed = claimedDomain(offer.extra['eip712Domain'])
  const network = findEvmNetwork(asset.network)
  if (!claimed || !network || !watch) return undefined
  const separator = new TypedDigest().separator({
    ...claimed,
    chainId: network.chainId,
    verifyingContract: asset.address,
  })
  return separator === (await watch.separator(asset.address)) ? claimed : undefined
}

function claimedDomain(value: unknown): NonNullable<Asset['domain']> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { name, version } = value as { readonly name?: unknown; readonly version?: unknown }
  if (typeof name !== 'string' || typeof version !== 'string') return undefined
  const fits = (text: string): boolean => text !== '' && text.length <= 200
  return fits(name) && fits(version) ? { name, version } : undefined
}
