/** What an agent is told about offers that it cannot pay. The gate still judges the offer that is paid. */
import { isSolanaNetwork } from '../../core/money/address.ts'
import { findAsset, findNetwork, type Asset } from '../../core/money/assets.ts'
import { formatUsd, parseAtomic, toMicroUsd } from '../../core/money/money.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { Challenge, Offer } from '../../core/x402/x402.ts'
import { AgentFailure } from './agent-failure.ts'

/** The only token that `max_usdc` can be compared with. */
export const AGENT_TOKEN = 'USDC'

/**
 * Refuses a 402 that has no USDC offer within the cap on a network of the payer.
 * @param maxMicro micro-USDC
 * @throws AgentFailure
 */
export function inspectOffers(
  { offers }: Pick<Challenge, 'offers'>,
  { networks }: Pick<Provider, 'networks'>,
  assets: readonly Asset[],
  maxMicro: bigint,
): void {
  const mine = offers.filter(
    ({ scheme, network, mpp }) => (scheme === 'exact' || mpp !== undefined) && networks.includes(network),
  )
  if (mine.length === 0) throw nothingHere(offers, networks)
  const inUsdc = mine.filter((offer) => assetOf(offer, assets)?.symbol === AGENT_TOKEN)
  if (inUsdc.length === 0)
    throw new AgentFailure('non_usdc_asset', 'The seller takes other tokens than USDC; nothing was paid.')
  const prices = inUsdc.flatMap((offer) => priceOf(offer, assets) ?? [])
  if (prices.every((price) => price === 0n))
    throw new AgentFailure('invalid_demand', 'The seller asks for no usable amount; nothing was paid.')
  const cheapest = prices.filter((price) => price > 0n).toSorted((a, b) => (a < b ? -1 : 1))[0] ?? 0n
  if (cheapest <= maxMicro) return
  throw new AgentFailure(
    'demand_exceeds_max_usdc',
    `The seller asks ${formatUsd(cheapest)} USDC, above max_usdc ${formatUsd(maxMicro)}; nothing was paid.`,
    { asked_usdc: formatUsd(cheapest), max_usdc: formatUsd(maxMicro) },
  )
}

function nothingHere(offers: readonly Offer[], networks: readonly string[]): AgentFailure {
  const names = networks.map((id) => findNetwork(id)?.alias ?? id).join(', ')
  const isSolana = networks.every(isSolanaNetwork)
  const code = isSolana ? 'no_solana_offer' : 'no_acceptable_requirement'
  return new AgentFailure(
    code,
    `None of the seller's ${offers.length} offers is for the wallet's networks (${names}); nothing was paid.`,
  )
}

function assetOf({ network, asset }: Offer, assets: readonly Asset[]): Asset | undefined {
  return findAsset(assets, network, asset)
}

function priceOf(offer: Offer, assets: readonly Asset[]): bigint | undefined {
  const asset = assetOf(offer, assets)
  const amount = parseAtomic(offer.amount)
  return asset?.usd && amount !== undefined ? toMicroUsd(amount, asset.decimals, asset.usd) : undefined
}
