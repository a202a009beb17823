/** How a paid price updates the known price of a seller, the same in every store. */
import type { KnownPrice, PriceKey, PriceRange, SellerFilter } from '../contracts/sellers.ts'

/** A known price after a payment of `amount`. A lower price lowers the pinned price; a higher one never raises it. */
export function notedPrice(
  known: KnownPrice | undefined,
  key: PriceKey,
  amount: bigint,
  at: number,
): KnownPrice {
  const { apiBase, endpoint, model, network, asset } = key
  const first = known?.first ?? amount
  const pinned = known && known.pinned < amount ? known.pinned : amount
  return { apiBase, endpoint, model, network, asset, first, pinned, last: amount, updatedAt: at }
}

/** Whether a filter matches a price. */
export function matchesSeller(price: KnownPrice, filter: SellerFilter): boolean {
  const { apiBase, endpoint, model, network, asset } = filter
  return (
    price.apiBase === apiBase &&
    (endpoint === undefined || price.endpoint === endpoint) &&
    (model === undefined || price.model === model) &&
    (network === undefined || price.network === network) &&
    (asset === undefined || price.asset === asset)
  )
}

/** The highest pinned price in each token. */
export function rangesOf(prices: readonly KnownPrice[]): PriceRange[] {
  const ranges = new Map<string, PriceRange>()
  for (const { network, asset, pinned } of prices) {
    const token = `${network} ${asset}`
    const known = ranges.get(token)
    if (!known || pinned > known.highest) ranges.set(token, { network, asset, highest: pinned })
  }
  return [...ranges.values()]
}
