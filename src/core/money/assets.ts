import type { UsdRate } from './money.ts'
import { TOKEN_2022_PROGRAM, TOKEN_PROGRAM, type TokenProgram } from '../solana/programs.ts'
import { canonicalAddress, isSolanaNetwork } from './address.ts'
import { MORE_DOLLAR_TOKENS, MORE_NETWORKS, type DollarToken } from './default-assets.ts'

/** A network Tollway can pay on. */
export interface Network {
  /** CAIP-2 id, e.g. `eip155:8453`. */
  readonly id: string
  /** The name x402 v1 and the configuration use, e.g. `base`. */
  readonly alias: string
  /** EVM networks only. */
  readonly chainId?: number | undefined
}

/** A {@link Network} that runs the Ethereum virtual machine. */
export interface EvmNetwork extends Network {
  readonly chainId: number
}

/** A token Tollway may pay with: an ERC-20 contract and the EIP-712 domain its authorizations are signed under, or a mint on Solana. */
export interface Asset {
  /** CAIP-2 id of the network. */
  readonly network: string
  /** Contract address, lower case; on Solana the mint as it is spelled. */
  readonly address: string
  readonly symbol: string
  readonly decimals: number
  /** USD value of one whole unit; without it the asset is refused under USD limits (`unpriced_asset`). */
  readonly usd?: UsdRate | undefined
  /**
   * EIP-712 `name` and `version` of the contract. From this table and never from the seller's offer: `extra.name` is
   * display text (rule 6).
   */
  readonly domain?: { readonly name: string; readonly version: string } | undefined
  /** How the contract can be paid with; default both. Tokens without EIP-3009 are paid by Permit2 only. */
  readonly methods?: readonly AuthorizationMethod[] | undefined
  /** On Solana: the program that owns the mint. From this table and never from the seller's offer; default {@link TOKEN_PROGRAM}. */
  readonly tokenProgram?: TokenProgram | undefined
}

const SOLANA_MAINNET = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
const SOLANA_DEVNET = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'

/**
 * The networks known by name. CAIP-2 ids per the x402 v2 specification, aliases per v1. Every other EVM network is known by its
 * CAIP-2 id ({@link findNetwork}).
 */
export const NETWORKS: readonly Network[] = [
  { id: 'eip155:8453', chainId: 8453, alias: 'base' },
  { id: 'eip155:84532', chainId: 84_532, alias: 'base-sepolia' },
  { id: 'eip155:1', chainId: 1, alias: 'ethereum' },
  { id: 'eip155:137', chainId: 137, alias: 'polygon' },
  { id: 'eip155:42161', chainId: 42_161, alias: 'arbitrum' },
  { id: 'eip155:421614', chainId: 421_614, alias: 'arbitrum-sepolia' },
  { id: 'eip155:43114', chainId: 43_114, alias: 'avalanche' },
  // No built-in asset: their tokens come from the configuration.
  { id: 'eip155:80002', chainId: 80_002, alias: 'polygon-amoy' },
  { id: 'eip155:43113', chainId: 43_113, alias: 'avalanche-fuji' },
  { id: 'eip155:11155111', chainId: 11_155_111, alias: 'sepolia' },
  { id: 'eip155:560048', chainId: 560_048, alias: 'hoodi' },
  ...MORE_NETWORKS.map(([chainId, alias]) => ({ id: `eip155:${chainId}`, chainId, alias })),
  { id: SOLANA_MAINNET, alias: 'solana' },
  { id: SOLANA_DEVNET, alias: 'solana-devnet' },
]

/** Other names in use for networks, e.g. by Obol's tools. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  mainnet: 'ethereum',
  eth: 'ethereum',
  'arbitrum-one': 'arbitrum',
}

const ALIASES = new Map<string, Network>([
  ...NETWORKS.flatMap((network): [string, Network][] => [
    [network.id, network],
    [network.alias, network],
  ]),
  ...Object.entries(OTHER_NAMES).flatMap(([name, alias]): [string, Network][] =>
    NETWORKS.filter((network) => network.alias === alias).map((network) => [name, network]),
  ),
])

/** How every other EVM network is named, for error messages. */
const ANY_EVM_NETWORK = 'eip155:<chain id>'

/** CAIP-2 id of an EVM network. */
const EVM_NETWORK_ID = /^eip155:([1-9]\d{0,15})$/

/** The network of an alias or CAIP-2 id, or `undefined` when Tollway cannot pay there. Every `eip155:<chain id>` is a network. */
export function findNetwork(name: string): Network | undefined {
  return ALIASES.get(name) ?? unnamedNetwork(name)
}

function unnamedNetwork(id: string): EvmNetwork | undefined {
  const chainId = Number(EVM_NETWORK_ID.exec(id)?.[1])
  return Number.isSafeInteger(chainId) ? { id, alias: id, chainId } : undefined
}

/** Whether a network is known by name, with a CAIP-2 id that the x402 packages or Tollway list. */
export function isNamedNetwork(id: string): boolean {
  return ALIASES.has(id)
}

/** The EVM network of an alias or CAIP-2 id, or `undefined` when it is none. */
export function findEvmNetwork(name: string): EvmNetwork | undefined {
  const network = findNetwork(name)
  return network?.chainId === undefined ? undefined : { ...network, chainId: network.chainId }
}

/** The names {@link findNetwork} takes, for error messages. */
export function networkNames(): string[] {
  return [...[...ALIASES.keys()].filter((name) => !EVM_NETWORK_ID.test(name)), ANY_EVM_NETWORK]
}

/** The names {@link findEvmNetwork} takes, for error messages. */
export function evmNetworkNames(): string[] {
  return networkNames().filter((name) => name === ANY_EVM_NETWORK || findEvmNetwork(name) !== undefined)
}

/** The names of Solana networks that {@link findNetwork} takes, for error messages. */
export function solanaNetworkNames(): string[] {
  return [...ALIASES].flatMap(([name, { id }]) => (isSolanaNetwork(id) ? [name] : []))
}

const ONE_DOLLAR: UsdRate = { numerator: 1n, scale: 0 }

/**
 * The default assets of the official x402 packages, with address, decimals and EIP-712 domain (a test compares them), and OBOL,
 * whose USD value only the configuration can say.
 */
export const BUILT_IN_ASSETS: readonly Asset[] = [
  usdc('eip155:8453', '0x833589fcd6edb6e08f4c7c32d4f71b54bda02913', 'USD Coin'),
  usdc('eip155:84532', '0x036cbd53842c5426634e7929541ec2318f3dcf7e', 'USDC'),
  usdc('eip155:1', '0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48', 'USD Coin'),
  usdc('eip155:137', '0x3c499c542cef5e3811e1192ce70d8cc03d5c3359', 'USD Coin'),
  usdc('eip155:42161', '0xaf88d065e77c8cc2239327c5edb3a432268e5831', 'USD Coin'),
  usdc('eip155:421614', '0x75faf114eafb1bdbe2f0316df893fd58ce46aa4d', 'USD Coin'),
  usdc('eip155:43114', '0xb97ef9ef8734c71904d8002f8b6bc66dd9c48a6e', 'USD Coin'),
  ...MORE_DOLLAR_TOKENS.map(dollarToken),
  {
    network: 'eip155:1',
    address: '0x0b010000b7624eb9b3dfbc279673c76e9d29d5f7',
    symbol: 'OBOL',
    decimals: 18,
    domain: { name: 'Obol Network', version: '1' },
    methods: ['permit2'],
  },
  onSolana(SOLANA_MAINNET, 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v', 'USDC', TOKEN_PROGRAM),
  onSolana(SOLANA_MAINNET, 'Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB', 'USDT', TOKEN_PROGRAM),
  onSolana(SOLANA_MAINNET, '2u1tszSeqZ3qBWF3uNGPFc8TzMk2tdiwknnRMWGWjGWH', 'USDG', TOKEN_2022_PROGRAM),
  onSolana(SOLANA_MAINNET, '2b1kV6DkPAnxd5ixfnxCpjxmKwqjjaYmCZfHsFu24GXo', 'PYUSD', TOKEN_2022_PROGRAM),
  onSolana(SOLANA_MAINNET, 'CASHx9KJUStyftLFWGvEVf59SGeG9sh5FfcnZMVPCASH', 'CASH', TOKEN_2022_PROGRAM),
  onSolana(SOLANA_DEVNET, '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU', 'USDC', TOKEN_PROGRAM),
  onSolana(SOLANA_DEVNET, '4F6PM96JJxngmHnZLBh9n58RH4aTVNWvDs2nuwrT5BP7', 'USDG', TOKEN_2022_PROGRAM),
  onSolana(SOLANA_DEVNET, 'CXk2AMBfi3TwaEL2468s6zP8xq9NxTXjp9gjMgzeUynM', 'PYUSD', TOKEN_2022_PROGRAM),
]

function onSolana(network: string, address: string, symbol: string, tokenProgram: TokenProgram): Asset {
  return { network, address, symbol, decimals: 6, usd: ONE_DOLLAR, tokenProgram }
}

function dollarToken([chainId, address, symbol, decimals, name, version, method]: DollarToken): Asset {
  return {
    network: `eip155:${chainId}`,
    address,
    symbol,
    decimals,
    usd: ONE_DOLLAR,
    domain: { name, version },
    ...(method === undefined ? {} : { methods: [method] }),
  }
}

function usdc(network: string, address: string, name: string): Asset {
  return { network, address, symbol: 'USDC', decimals: 6, usd: ONE_DOLLAR, domain: { name, version: '2' } }
}

/** Finds an asset by CAIP-2 network and address (EVM: any letter case). */
export function findAsset(assets: readonly Asset[], network: string, address: string): Asset | undefined {
  const wanted = canonicalAddress(network, address)
  return assets.find((asset) => asset.network === network && asset.address === wanted)
}

/**
 * What proves whether a signed payment was used: the token's contract (EIP-3009), Permit2's, or on Solana the transaction that
 * carries our signature.
 */
export type AuthorizationMethod = 'eip3009' | 'permit2' | 'solana'
