/** The purchases of the SQLite ledger. Called inside the store's transactions, but for the reads. */
import type { StatementSync } from 'node:sqlite'
import type { Purchase, StoredPurchase } from '../../core/purchase.ts'
import { parseAtomic } from '../../core/money.ts'
import type { Connection } from './sqlite-file.ts'
import { integer, optionalText, text, type Row } from './sqlite-rows.ts'

/** See the file's head. */
export class SqlitePurchases {
  readonly #save: StatementSync
  readonly #list: StatementSync
  readonly #deliver: StatementSync
  readonly #remove: StatementSync

  constructor(db: Connection) {
    this.#save = db.prepare(`INSERT INTO purchases
      (payer, name, endpoint, model, signed_by, life_seconds, max_price, ordered, delivered, created_at)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)
      ON CONFLICT (payer, name) DO UPDATE SET endpoint = excluded.endpoint, model = excluded.model,
        signed_by = excluded.signed_by, life_seconds = excluded.life_seconds, max_price = excluded.max_price,
        ordered = excluded.ordered`)
    this.#list = db.prepare(`SELECT * FROM purchases
      WHERE (? IS NULL OR payer = ?) AND (? IS NULL OR name = ?) ORDER BY payer, name`)
    this.#deliver = db.prepare(
      'UPDATE purchases SET delivered = max(0, delivered + ?) WHERE payer = ? AND name = ?',
    )
    this.#remove = db.prepare('DELETE FROM purchases WHERE payer = ? AND name = ?')
  }

  save(purchase: Purchase): void {
    const { payer, name, endpoint, model, signedBy, lifeSeconds, maxPrice, ordered, createdAt } = purchase
    const price = maxPrice?.toString() ?? null
    this.#save.run(payer, name, endpoint, model, signedBy, lifeSeconds, price, ordered, createdAt)
  }

  list(query: { readonly payer?: string | undefined; readonly name?: string | undefined } = {}) {
    const [payer, name] = [query.payer ?? null, query.name ?? null]
    return this.#list.all(payer, payer, name, name).map(rowToPurchase)
  }

  deliver(payer: string, name: string, count: number): void {
    this.#deliver.run(count, payer, name)
  }

  /** How many are ordered and not delivered; `undefined` for an unknown purchase. */
  left(payer: string, name: string): number | undefined {
    const [purchase] = this.list({ payer, name })
    return purchase && Math.max(0, purchase.ordered - purchase.delivered)
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
    ordered: integer(row, 'ordered'),
    delivered: integer(row, 'delivered'),
    createdAt: integer(row, 'created_at'),
  }
}
