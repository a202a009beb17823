/** Orders of vouchers in the Postgres ledger. Called inside the store's transactions. */
import type { Purchase, StoredPurchase } from '../../../core/vouchers/purchase.ts'
import type { PurchaseQuery, PurchaseStore } from '../contracts/purchases.ts'
import { rowToPurchase } from '../rows/purchase-rows.ts'
import { leftOf, type OrderLeft } from '../rules/purchase-rules.ts'
import type { Transaction } from './database/transaction.ts'

/** The columns of the newest order. */
const ORDER = [
  'order_at',
  'order_count',
  'order_budget',
  'order_size',
  'order_price',
  'order_ceiling',
  'hand_over',
] as const

/** The name to lock before a pool, its free vouchers or its purchase are changed. */
export function poolLock(payer: string, name: string): string {
  return `pool ${JSON.stringify([payer, name])}`
}

/** The purchases of the Postgres ledger. */
export class PostgresPurchases implements PurchaseStore {
  readonly #db: Transaction

  constructor(db: Transaction) {
    this.#db = db
  }

  async save(purchase: Purchase): Promise<void> {
    const { payer, name, endpoint, model, signedBy, lifeSeconds, maxPrice, ordered, createdAt, order } =
      purchase
    await this.#db.lock([poolLock(payer, name)])
    await this.#db.run(
      `INSERT INTO purchases
      (payer, name, endpoint, model, signed_by, life_seconds, max_price, ordered, delivered, created_at, ${ORDER.join(', ')})
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ${ORDER.map(() => '?').join(', ')})
      ON CONFLICT (payer, name) DO UPDATE SET endpoint = excluded.endpoint, model = excluded.model,
        signed_by = excluded.signed_by, life_seconds = excluded.life_seconds, max_price = excluded.max_price,
        ordered = excluded.ordered, ${ORDER.map((column) => `${column} = excluded.${column}`).join(', ')}`,
      payer,
      name,
      endpoint,
      model,
      signedBy,
      lifeSeconds,
      maxPrice ?? null,
      ordered,
      createdAt,
      order?.at ?? null,
      order?.count ?? null,
      order?.budget ?? null,
      order?.size ?? null,
      order?.price ?? null,
      order?.ceiling ?? null,
      order?.handOver === true ? 1 : 0,
    )
  }

  async list(query: PurchaseQuery = {}): Promise<StoredPurchase[]> {
    const [payer, name] = [query.payer ?? null, query.name ?? null]
    const rows = await this.#db.all(
      `SELECT * FROM purchases
      WHERE (?::text IS NULL OR payer = ?) AND (?::text IS NULL OR name = ?) ORDER BY payer, name`,
      payer,
      payer,
      name,
      name,
    )
    return rows.map(rowToPurchase)
  }

  /**
   * Counts vouchers that were added to the order and their cost; negative for vouchers that were dropped. Called with the pool
   * locked.
   */
  async deliver(payer: string, name: string, count: number, spent: bigint): Promise<void> {
    await this.#db.run(
      `UPDATE purchases SET delivered = greatest(0, delivered + ?::bigint), cost = greatest(0, cost + ?::numeric)
      WHERE payer = ? AND name = ?`,
      count,
      spent,
      payer,
      name,
    )
  }

  /** The undelivered part of an order; see {@link leftOf}. */
  async left(payer: string, name: string): Promise<OrderLeft> {
    return leftOf((await this.list({ payer, name }))[0])
  }

  async remove(payer: string, name: string): Promise<void> {
    await this.#db.run('DELETE FROM purchases WHERE payer = ? AND name = ?', payer, name)
  }
}
