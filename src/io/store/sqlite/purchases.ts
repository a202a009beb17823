/** Orders of vouchers in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { Purchase, StoredPurchase } from '../../../core/vouchers/purchase.ts'
import type { PurchaseQuery, PurchaseStore } from '../contracts/purchases.ts'
import { leftOf, type OrderLeft } from '../rules/purchase-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { Connection } from './file/file.ts'
import { rowToPurchase } from '../rows/purchase-rows.ts'

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

/** The purchases of the SQLite ledger. */
export class SqlitePurchases implements InTransaction<PurchaseStore> {
  readonly #save: StatementSync
  readonly #list: StatementSync
  readonly #deliver: StatementSync
  readonly #remove: StatementSync

  constructor(db: Connection) {
    this.#save = db.prepare(`INSERT INTO purchases
      (payer, name, endpoint, model, signed_by, life_seconds, max_price, ordered, delivered, created_at, ${ORDER.join(', ')})
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ${ORDER.map(() => '?').join(', ')})
      ON CONFLICT (payer, name) DO UPDATE SET endpoint = excluded.endpoint, model = excluded.model,
        signed_by = excluded.signed_by, life_seconds = excluded.life_seconds, max_price = excluded.max_price,
        ordered = excluded.ordered, ${ORDER.map((column) => `${column} = excluded.${column}`).join(', ')}`)
    this.#list = db.prepare(`SELECT * FROM purchases
      WHERE (? IS NULL OR payer = ?) AND (? IS NULL OR name = ?) ORDER BY payer, name`)
    this.#deliver = db.prepare(
      'UPDATE purchases SET delivered = max(0, delivered + ?), cost = ? WHERE payer = ? AND name = ?',
    )
    this.#remove = db.prepare('DELETE FROM purchases WHERE payer = ? AND name = ?')
  }

  save(purchase: Purchase): void {
    const { payer, name, endpoint, model, signedBy, lifeSeconds, maxPrice, ordered, createdAt } = purchase
    const price = maxPrice?.toString() ?? null
    const { order } = purchase
    this.#save.run(
      payer,
      name,
      endpoint,
      model,
      signedBy,
      lifeSeconds,
      price,
      ordered,
      createdAt,
      order?.at ?? null,
      order?.count ?? null,
      order?.budget?.toString() ?? null,
      order?.size ?? null,
      order?.price.toString() ?? null,
      order?.ceiling?.toString() ?? null,
      order?.handOver === true ? 1 : 0,
    )
  }

  list(query: PurchaseQuery = {}): StoredPurchase[] {
    const [payer, name] = [query.payer ?? null, query.name ?? null]
    return this.#list.all(payer, payer, name, name).map(rowToPurchase)
  }

  /** Counts vouchers that were added to the order and their cost; negative for vouchers that were dropped. */
  deliver(payer: string, name: string, count: number, spent: bigint): void {
    const [purchase] = this.list({ payer, name })
    if (!purchase) return
    const cost = purchase.cost + spent
    this.#deliver.run(count, (cost < 0n ? 0n : cost).toString(), payer, name)
  }

  /** The undelivered part of an order; see {@link leftOf}. */
  left(payer: string, name: string): OrderLeft {
    return leftOf(this.list({ payer, name })[0])
  }

  remove(payer: string, name: string): void {
    this.#remove.run(payer, name)
  }
}
