/** Orders of vouchers in memory. */
import type { Purchase, StoredPurchase } from '../../../core/vouchers/purchase.ts'
import type { PurchaseQuery, PurchaseStore } from '../contracts/purchases.ts'
import { leftOf, type OrderLeft } from '../rules/purchase-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import { compare } from './compare.ts'

/** The purchases of the memory store. */
export class MemoryPurchases implements InTransaction<PurchaseStore> {
  readonly #purchases = new Map<string, StoredPurchase>()

  save(purchase: Purchase): void {
    const key = keyOf(purchase.payer, purchase.name)
    const before = this.#purchases.get(key)
    const createdAt = before?.createdAt ?? purchase.createdAt
    this.#purchases.set(key, {
      ...purchase,
      createdAt,
      delivered: before?.delivered ?? 0,
      cost: before?.cost ?? 0n,
    })
  }

  list(query: PurchaseQuery = {}): StoredPurchase[] {
    return [...this.#purchases.values()]
      .filter(({ payer }) => query.payer === undefined || payer === query.payer)
      .filter(({ name }) => query.name === undefined || name === query.name)
      .toSorted((a, b) => compare(a.payer, b.payer) || compare(a.name, b.name))
  }

  /** Counts vouchers that were added to the order and their cost; negative for vouchers that were dropped. */
  deliver(payer: string, name: string, count: number, amount: bigint): void {
    const purchase = this.#purchases.get(keyOf(payer, name))
    if (!purchase) return
    const delivered = Math.max(0, purchase.delivered + count)
    const cost = purchase.cost + amount
    this.#purchases.set(keyOf(payer, name), { ...purchase, delivered, cost: cost < 0n ? 0n : cost })
  }

  /** The undelivered part of an order; see {@link leftOf}. */
  left(payer: string, name: string): OrderLeft {
    return leftOf(this.#purchases.get(keyOf(payer, name)))
  }

  /** Removes a purchase. */
  remove(payer: string, name: string): void {
    this.#purchases.delete(keyOf(payer, name))
  }
}

function keyOf(payer: string, name: string): string {
  return JSON.stringify([payer, name])
}
