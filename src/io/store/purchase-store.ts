/**
 * The purchases of a store. A purchase follows the pool of its payer and name: vouchers that are added to the order, or
 * dropped because the terms changed, change `delivered` in the very transaction that adds or drops them, so that an order
 * that was cut off is continued without a gap or a voucher too many; a removed pool takes its purchase along.
 */
import type { Purchase, StoredPurchase } from '../../core/vouchers/purchase.ts'

/** See the file's head. Every method is one transaction. */
export interface PurchaseStore {
  /** Makes a purchase, or changes it; what was delivered stays. */
  save(purchase: Purchase): Promise<void>
  /** Purchases by payer and name. */
  list(query?: {
    readonly payer?: string | undefined
    readonly name?: string | undefined
  }): Promise<StoredPurchase[]>
}

/** What of a purchase is ordered and not delivered. */
export interface OrderLeft {
  /** How many; `undefined` for an unknown purchase. */
  readonly orderLeft: number | undefined
  /** What they may cost together, smallest units; `undefined` for no limit. */
  readonly costLeft: bigint | undefined
}

/** What is ordered and not delivered of a purchase. */
export function leftOf(purchase: StoredPurchase | undefined): OrderLeft {
  if (!purchase) return { orderLeft: undefined, costLeft: undefined }
  const { ordered, delivered, order, cost } = purchase
  const ceiling = order?.ceiling
  return {
    orderLeft: Math.max(0, ordered - delivered),
    costLeft: ceiling === undefined ? undefined : ceiling > cost ? ceiling - cost : 0n,
  }
}
