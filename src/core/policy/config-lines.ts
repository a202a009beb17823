/** Lines for a configuration that a refusal tells people to add. They can be copied unchanged. */
import {
  BUILT_IN_ASSETS,
  findAsset,
  findEvmNetwork,
  findNetwork,
  isNamedNetwork,
  type Asset,
} from '../money/assets.ts'
import { canonicalAddress, isSolanaNetwork } from '../money/address.ts'
import { TOKEN_2022_PROGRAM } from '../solana/programs.ts'
import type { Offer } from '../x402/x402.ts'

/** A seller's text that is safe in a configuration: it contains no reference and does not end the string. */
const PLAIN = /^[A-Za-z0-9 ._()-]{1,40}$/

/** What to do about an offer on a network that the payer may not pay on. */
export function networkAdvice(offer: Offer, networks: readonly string[], assets: readonly Asset[]): string[] {
  const { network } = offer
  const isEvm = findEvmNetwork(network) !== undefined
  const isSolana = findNetwork(network) !== undefined && isSolanaNetwork(network)
  if (!isEvm && !isSolana) return ['No payer can pay there. Use another seller.']
  if (networks.length > 0 && !networks.some((id) => isSolanaNetwork(id) === isSolana)) {
    return [payerLine(network)]
  }
  const list = [...networks, network].map(nameOf).join(', ')
  const node = isSolana
    ? `, and a node for it: chains: { ${nameOf(network)}: { rpc: "\${env:SOLANA_RPC}" } }`
    : ''
  const line = `Add the network to the payer's networks if you mean to pay there: networks: [${list}]${node}.`
  return findAsset(assets, network, offer.asset) || isNamedNetwork(network)
    ? [line]
    : [line, ...assetAdvice(offer)]
}

/** What to do about an offer of a kind that the payer of the route does not support. */
export function kindAdvice({ scheme, network, mpp }: Offer, networks: readonly string[]): string[] {
  const isSolana = isSolanaNetwork(network)
  const isElsewhere = networks.length > 0 && !networks.some((id) => isSolanaNetwork(id) === isSolana)
  return isElsewhere &&
    findNetwork(network) !== undefined &&
    (scheme === 'exact' || ((scheme === 'upto' || mpp !== undefined) && !isSolana))
    ? [payerLine(network)]
    : ['Use a payer that supports one of these, or another seller.']
}

/** The payer for a network of the kind that the route's payer has none of. */
function payerLine(network: string): string {
  const name = nameOf(network)
  const [lines, further] = isSolanaNetwork(network)
    ? [
        `payers: { solana: { kind: solana, key: "\${env:SOLANA_KEY}", networks: [${name}] } } and chains: { ${name}: { rpc: "\${env:SOLANA_RPC}" } }`,
        ', with a wallet in SOLANA_KEY and the address of a node in SOLANA_RPC',
      ]
    : [
        `payers: { evm: { kind: direct, key: "\${env:TOLLWAY_WALLET_KEY}", networks: [${name}] } }`,
        ', with the key of a wallet in TOLLWAY_WALLET_KEY',
      ]
  return `If you mean to pay there, add a payer${further}, and name it as payer of the route: ${lines}.`
}

/** What to do about a token that is not in the asset table. */
export function assetAdvice(offer: Offer): string[] {
  const line = assetLine(offer)
  if (line === undefined) return ['Report it to the seller: its asset is not an address on this network.']
  return [
    `Add it under assets if you mean to pay with it, with the decimals, value and EIP-712 name of the token itself: ${line}.`,
  ]
}

/** Advice for a payment method that the token does not support; built-in tokens cannot be changed. */
export function methodAdvice({ network, address }: Asset): string {
  if (findAsset(BUILT_IN_ASSETS, network, address)) return 'Use another offer or seller.'
  return 'Use another offer or seller, or correct methods of the token under assets: methods: [eip3009, permit2].'
}

/** What to do about a token whose value in USD is not known. */
export function valueAdvice({ network, address, symbol, decimals }: Asset): string {
  if (!findAsset(BUILT_IN_ASSETS, network, address))
    return `Add its value in USD per ${symbol} to its entry under assets, such as usd: "1".`
  return `Declare its value under assets, in USD per ${symbol}: assets: [{ network: ${nameOf(network)}, address: "${address}", symbol: ${symbol}, decimals: ${decimals}, usd: "1" }].`
}

/** The entry of `assets` for an offer's token: name and version as the seller says, for people to check. */
function assetLine({ network, asset, extra }: Offer): string | undefined {
  const address = canonicalAddress(network, asset)
  if (address === undefined) return undefined
  const { name, version, assetTransferMethod: method } = extra
  const text = (value: unknown, otherwise: string): string =>
    JSON.stringify(typeof value === 'string' && PLAIN.test(value) ? value : otherwise)
  const domain = isSolanaNetwork(network)
    ? extra['tokenProgram'] === TOKEN_2022_PROGRAM
      ? ', program: token-2022'
      : ''
    : `, name: ${text(name, 'USD Coin')}, version: ${text(version, '2')}`
  const methods = method === 'permit2' ? ', methods: [permit2]' : ''
  return `assets: [{ network: ${nameOf(network)}, address: "${address}", symbol: TOKEN, decimals: 6, usd: "1"${domain}${methods} }]`
}

/** A network as it is written in a configuration. */
function nameOf(network: string): string {
  const alias = findNetwork(network)?.alias ?? network
  return /^[a-z0-9-]+$/.test(alias) ? alias : JSON.stringify(alias)
}
