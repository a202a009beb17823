/** The undelivered part of a purchase, the same in every store. */
import type { StoredPurchase } from '../../../core/vouchers/purchase.ts'

/** The ordered but undelivered part of a purchase. */
export interface OrderLeft {
  /** Number of vouchers; `undefined` for an unknown purchase. */
  readonly orderLeft: number | undefined
  /** The most that they may cost together, smallest units; `undefined` for no limit. */
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
