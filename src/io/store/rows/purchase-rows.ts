/** Converts orders of vouchers from rows, as strictly as rows.ts. */
import { parseAtomic } from '../../../core/money/money.ts'
import type { PurchaseOrder, StoredPurchase } from '../../../core/vouchers/purchase.ts'
import { type Row, optionalText, text, integer, amount } from './rows.ts'

/** A row of `purchases`. */
export function rowToPurchase(row: Row): StoredPurchase {
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
