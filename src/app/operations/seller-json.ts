import type { KnownSellers, SellersConfig } from './seller-pins.ts'

/** Pins and last prices, as `--json` and `/admin/sellers` show them. Amounts in smallest units. */
export function sellersJson({ pins, prices }: KnownSellers, config: SellersConfig) {
  return {
    configured: [...config.policy.payTo].map(([origin, payTo]) => ({ origin, pay_to: payTo })),
    pins: pins.map(({ apiBase, network, asset, payTo, pinnedAt }) => ({
      api_base: apiBase,
      network,
      asset,
      pay_to: payTo,
      pinned_at: new Date(pinnedAt).toISOString(),
    })),
    prices: prices.map((price) => ({
      api_base: price.apiBase,
      path: price.endpoint,
      model: price.model,
      network: price.network,
      asset: price.asset,
      pinned: price.pinned.toString(),
      last: price.last.toString(),
      first: price.first.toString(),
      updated_at: new Date(price.updatedAt).toISOString(),
    })),
  }
}
