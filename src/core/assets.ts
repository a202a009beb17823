import type { UsdRate } from './money.ts'

/** An EVM network Tollway can pay on. */
export interface Network {
  /** CAIP-2 id, e.g. `eip155:8453`. */
  readonly id: string
  readonly chainId: number
  /** The name x402 v1 and the configuration use, e.g. `base`. */
  readonly alias: string
}

/** An ERC-20 token Tollway may pay with, and the EIP-712 domain its authorizations are signed under. */
export interface Asset {
  /** CAIP-2 id of the network. */
  readonly network: string
  /** Contract address, lower case. */
  readonly address: string
  readonly symbol: string
  readonly decimals: number
  /** USD value of one whole unit; without it the asset is refused under USD limits (`unpriced_asset`). */
  readonly usd?: UsdRate | undefined
  /**
   * EIP-712 `name` and `version` of the contract (EIP-3009 tokens only). From this table and never from the
   * seller's offer: `extra.name` is display text (rule 6).
   */
  readonly domain?: { readonly name: string; readonly version: string } | undefined
}

/** The networks known by name. CAIP-2 ids per the x402 v2 specification, aliases per v1. */
export const NETWORKS: readonly Network[] = [
  { id: 'eip155:8453', chainId: 8453, alias: 'base' },
  { id: 'eip155:84532', chainId: 84_532, alias: 'base-sepolia' },
  { id: 'eip155:1', chainId: 1, alias: 'ethereum' },
]

const ALIASES = new Map<string, Network>([
  ...NETWORKS.flatMap((network): [string, Network][] => [
    [network.id, network],
    [network.alias, network],
  ]),
  ...NETWORKS.filter((network) => network.chainId === 1).map((network): [string, Network] => [
    'mainnet',
    network,
  ]),
])

/** The network of an alias or CAIP-2 id, or `undefined` when it is not one Tollway knows. */
export function findNetwork(name: string): Network | undefined {
  return ALIASES.get(name)
}

/** The names {@link findNetwork} takes, for error messages. */
export function networkNames(): string[] {
  return [...ALIASES.keys()]
}

const ONE_DOLLAR: UsdRate = { numerator: 1n, scale: 0 }

/** USDC as deployed by Circle: address, decimals and EIP-712 domain, per network. */
export const BUILT_IN_ASSETS: readonly Asset[] = [
  usdc('eip155:8453', '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913', 'USD Coin'),
  usdc('eip155:84532', '0x036cbd53842c5426634e7929541ec2318f3dcf7e', 'USDC'),
  usdc('eip155:1', '0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48', 'USD Coin'),
]

function usdc(network: string, address: string, name: string): Asset {
  return { network, address, symbol: 'USDC', decimals: 6, usd: ONE_DOLLAR, domain: { name, version: '2' } }
}

/** Finds an asset by CAIP-2 network and contract address (any letter case). */
export function findAsset(assets: readonly Asset[], network: string, address: string): Asset | undefined {
  const wanted = address.toLowerCase()
  return assets.find((asset) => asset.network === network && asset.address === wanted)
}
