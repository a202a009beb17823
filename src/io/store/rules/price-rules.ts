/** What a price that was paid changes, the same in every store. */
import type { KnownPrice, PriceKey, SellerFilter } from '../contracts/sellers.ts'

/** A price after a payment of `amount`: a drop lowers what later quotes are held against, a rise never raises it. */
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

/** Whether a filter takes a price. */
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
