/** Every prepared statement of the vouchers in the SQLite ledger. */
import { VOUCHER_STATE_SQL, VOUCHERS_WITH_CHARGES } from '../rows/voucher-rows.ts'
import type { Connection } from './file/file.ts'

/** Must stay word for word the condition of the index vouchers_free. */
const FREE = 'charge IS NULL AND closed IS NULL'

/** Prepares them. */
export function prepareVoucherStatements(db: Connection) {
  const columns = [
    'id',
    'payer',
    'pool',
    'seller',
    'network',
    'asset',
    'pay_to',
    'amount',
    'method',
    'from_address',
    'nonce',
    'valid_after',
    'valid_before',
    'micro_usd',
    'consume_key',
    'payment',
    'usable_until',
  ]
  const poolColumns = [
    'payer',
    'name',
    'seller',
    'network',
    'asset',
    'pay_to',
    'amount',
    'method',
    'remote_model',
    'symbol',
    'decimals',
    'refill_threshold',
    'refill_count',
    'refill_max_total',
    'refill_max_per_day',
    'refill_max_price',
    'draining_since',
  ]
  const updates = (names: readonly string[], from: string): string =>
    names.map((name) => `${name} = ${from}${name}`).join(', ')
  const usable = '(? IS NULL OR pool = ?) AND usable_until > ? AND valid_after <= ?'
  return {
    pool: db.prepare('SELECT * FROM voucher_pools WHERE payer = ? AND name = ?'),
    pools: db.prepare('SELECT * FROM voucher_pools WHERE (? IS NULL OR payer = ?) ORDER BY payer, name'),
    writePool: db.prepare(`INSERT INTO voucher_pools (${poolColumns.join(', ')}, created_at)
    VALUES (${poolColumns.map((name) => `:${name}`).join(', ')}, :created_at)
    ON CONFLICT (payer, name) DO UPDATE SET ${updates(poolColumns.slice(2), 'excluded.')}`),
    removePool: db.prepare('DELETE FROM voucher_pools WHERE payer = ? AND name = ?'),
    drain: db.prepare(
      'UPDATE voucher_pools SET draining_since = coalesce(draining_since, ?) WHERE payer = ? AND name = ?',
    ),
    voucher: db.prepare('SELECT closed, charge FROM vouchers WHERE id = ?'),
    insert: db.prepare(`INSERT INTO vouchers (${columns.join(', ')}, signed, ordered, added_at)
    VALUES (${columns.map((name) => `:${name}`).join(', ')}, :signed, :ordered, :added_at)`),
    // A voucher that is added again keeps its age.
    revive: db.prepare(`UPDATE vouchers SET closed = NULL,
    ${updates(columns.slice(1, -1), ':')}, usable_until = min(usable_until, :usable_until) WHERE id = :id`),
    next: db.prepare(`SELECT * FROM vouchers WHERE payer = ? AND seller = ? AND network = ? AND asset = ?
    AND pay_to = ? AND amount = ? AND method = ? AND ${FREE} AND ${usable} ORDER BY usable_until, id LIMIT 1`),
    nextOther: db.prepare(`SELECT * FROM vouchers WHERE payer = ? AND seller = ? AND ${FREE} AND ${usable}
    ORDER BY usable_until, id LIMIT 1`),
    anyFree: db.prepare(
      `SELECT 1 FROM vouchers WHERE payer = ? AND seller = ? AND ${FREE} AND (? IS NULL OR pool = ?) LIMIT 1`,
    ),
    ofCharge: db.prepare('SELECT * FROM vouchers WHERE charge = ?'),
    claimed: db.prepare('SELECT 1 FROM vouchers WHERE charge = ?'),
    take: db.prepare(`UPDATE vouchers SET charge = ? WHERE id = ? AND ${FREE}`),
    takeOver: db.prepare('UPDATE vouchers SET charge = ?, payment = NULL WHERE charge = ?'),
    erase: db.prepare('UPDATE vouchers SET payment = NULL WHERE charge = ?'),
    giveBack: db.prepare('UPDATE vouchers SET charge = NULL WHERE charge = ?'),
    spend: db.prepare(`UPDATE vouchers SET closed = 'spent', payment = NULL WHERE id = ? AND ${FREE}`),
    drop: db.prepare(`UPDATE vouchers SET closed = 'dropped', payment = NULL WHERE id = ? AND ${FREE}`),
    dropPool: db.prepare(
      `UPDATE vouchers SET closed = 'dropped', payment = NULL WHERE payer = ? AND pool = ? AND ${FREE}`,
    ),
    spentElsewhere: db.prepare(`UPDATE vouchers SET closed = 'spent', payment = NULL
    WHERE payer = ? AND pool = ? AND consume_key = ? AND charge IS NULL AND closed IS NOT 'spent'`),
    freeOf: db.prepare(`SELECT * FROM vouchers WHERE payer = ? AND pool = ? AND ${FREE}`),
    freeOfPayer: db.prepare(`SELECT valid_before, micro_usd FROM vouchers WHERE payer = ? AND ${FREE}`),
    signed: db.prepare('SELECT added_at, amount FROM vouchers WHERE payer = ? AND pool = ? AND signed = 1'),
    counts:
      db.prepare(`SELECT ${VOUCHER_STATE_SQL} AS state, count(*) AS count, min(vouchers.valid_before) AS earliest,
      min(vouchers.added_at) AS oldest
    FROM ${VOUCHERS_WITH_CHARGES} WHERE vouchers.payer = ? AND pool = ? GROUP BY 1`),
    exported: db.prepare(`SELECT vouchers.* FROM vouchers JOIN charges ON charges.id = vouchers.charge
    WHERE vouchers.payer = ? AND pool = ? AND charges.route = ? AND charges.nonce IS NOT NULL AND payment IS NOT NULL
    AND vouchers.valid_before * 1000 > ? ORDER BY usable_until, vouchers.id`),
    usedKeys: db.prepare(`SELECT pool, consume_key FROM ${VOUCHERS_WITH_CHARGES} WHERE vouchers.payer = ?
    AND (closed = 'spent' OR charges.state IN ('authorized', 'settled', 'uncertain', 'released')) ORDER BY vouchers.id`),
  }
}
