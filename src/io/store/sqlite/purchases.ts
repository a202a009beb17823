/** Orders of vouchers in the SQLite ledger. Called inside the store's transactions. */
import type { StatementSync } from 'node:sqlite'
import type { Purchase, PurchaseOrder, StoredPurchase } from '../../../core/vouchers/purchase.ts'
import { parseAtomic } from '../../../core/money/money.ts'
import type { PurchaseQuery, PurchaseStore } from '../contracts/purchases.ts'
import { leftOf, type OrderLeft } from '../rules/purchase-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { Connection } from './file/file.ts'
import { amount, integer, optionalText, text, type Row } from '../rows/rows.ts'

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

function rowToPurchase(row: Row): StoredPurchase {
  const maxPrice = optionalText(row, 'max_price')
  return {
    payer: text(row, 'payer'),
    name: text(row, 'name'),
    endpoint: text(row, 'endpoint'),
    model: text(row, 'model'),
    signedBy: text(row, 'signed_by'),
    lifeSeconds: integer(row, 'life_seconds'),
    maxPrice: maxPrice === undefined ? undefined : parseAtomic(maxPrice),
    order: rowToOrder(row),
    cost: amount(row, 'cost'),
    ordered: integer(row, 'ordered'),
    delivered: integer(row, 'delivered'),
    createdAt: integer(row, 'created_at'),
  }
}

function rowToOrder(row: Row): PurchaseOrder | undefined {
  if (row['order_at'] === null) return undefined
  // A limit that cannot be read is damage, not no limit.
  const units = (column: string): bigint | undefined =>
    row[column] === null ? undefined : amount(row, column)
  return {
    at: integer(row, 'order_at'),
    count: row['order_count'] === null ? undefined : integer(row, 'order_count'),
    budget: units('order_budget'),
    size: integer(row, 'order_size'),
    price: amount(row, 'order_price'),
    ceiling: units('order_ceiling'),
    handOver: integer(row, 'hand_over') === 1,
  }
}
