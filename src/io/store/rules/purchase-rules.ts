/** What is left of a purchase's order, the same in every store. */
import type { StoredPurchase } from '../../../core/vouchers/purchase.ts'

/** The part of a purchase that is ordered and not delivered. */
export interface OrderLeft {
  /** How many; `undefined` for an unknown purchase. */
  readonly orderLeft: number | undefined
  /** What they may cost together, smallest units; `undefined` for no limit. */
  readonly costLeft: bigint | undefined
}

/** The undelivered part of a purchase. */
export function leftOf(purchase: StoredPurchase | undefined): OrderLeft {
  if (!purchase) return { orderLeft: undefined, costLeft: undefined }
  const { ordered, delivered, order, cost } = purchase
  const ceiling = order?.ceiling
  return {
    orderLeft: Math.max(0, ordered - delivered),
    costLeft: ceiling === undefined ? undefined : ceiling > cost ? ceiling - cost : 0n,
  }
}
