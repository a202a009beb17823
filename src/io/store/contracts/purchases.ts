/**
 * Orders of vouchers. A purchase follows the pool of its payer and name: vouchers that are added to the order, or dropped
 * because the terms changed, update `delivered` in the same transaction. So an interrupted order continues without a gap and
 * without a voucher too many. Removing a pool removes its purchase.
 */
import type { Purchase, StoredPurchase } from '../../../core/vouchers/purchase.ts'

/** Which purchases are meant; what is left out matches all. */
export interface PurchaseQuery {
  readonly payer?: string | undefined
  readonly name?: string | undefined
}

/** The purchases of a store. Every method is one transaction. */
export interface PurchaseStore {
  /** Creates or changes a purchase; what was delivered is kept. */
  save(purchase: Purchase): Promise<void>
  /** Purchases by payer and name. */
  list(query?: PurchaseQuery): Promise<StoredPurchase[]>
}
