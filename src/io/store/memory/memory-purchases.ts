/** The purchases of the memory store. */
import type { Purchase, StoredPurchase } from '../../../core/vouchers/purchase.ts'
import { leftOf, type OrderLeft, type PurchaseStore } from '../purchase-store.ts'

/** See the file's head. */
export class MemoryPurchases implements PurchaseStore {
  readonly #purchases = new Map<string, StoredPurchase>()
  readonly #assertOpen: () => void

  /** @param assertOpen throws once the store is closed */
  constructor(assertOpen: () => void) {
    this.#assertOpen = assertOpen
  }

  async save(purchase: Purchase): Promise<void> {
    this.#assertOpen()
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

  async list(
    query: { payer?: string | undefined; name?: string | undefined } = {},
  ): Promise<StoredPurchase[]> {
    this.#assertOpen()
    return [...this.#purchases.values()]
      .filter(({ payer }) => query.payer === undefined || payer === query.payer)
      .filter(({ name }) => query.name === undefined || name === query.name)
      .toSorted((a, b) => compare(a.payer, b.payer) || compare(a.name, b.name))
  }

  /** Counts vouchers that were added to the order, and what they cost; negative for those that were dropped. */
  deliver(payer: string, name: string, count: number, amount: bigint): void {
    const purchase = this.#purchases.get(keyOf(payer, name))
    if (!purchase) return
    const delivered = Math.max(0, purchase.delivered + count)
    const cost = purchase.cost + amount
    this.#purchases.set(keyOf(payer, name), { ...purchase, delivered, cost: cost < 0n ? 0n : cost })
  }

  /** What is ordered and not delivered; see {@link leftOf}. */
  left(payer: string, name: string): OrderLeft {
    return leftOf(this.#purchases.get(keyOf(payer, name)))
  }

  /** Forgets a purchase. */
  remove(payer: string, name: string): void {
    this.#purchases.delete(keyOf(payer, name))
  }
}

function keyOf(payer: string, name: string): string {
  return JSON.stringify([payer, name])
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
