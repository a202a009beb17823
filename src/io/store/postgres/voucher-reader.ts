/** Reads vouchers and pools of the Postgres ledger. Called inside the store's transactions. */
import {
  EXPORT_ROUTE,
  noVouchers,
  VOUCHER_STATES,
  type PoolStatus,
  type SignedVoucher,
  type StoredVoucher,
  type VoucherPool,
} from '../../../core/vouchers/voucher.ts'
import type { VoucherQuery } from '../contracts/vouchers.ts'
import { amount, integer, oneOf, optionalText, rowToMicroUsd, text, type Row } from '../rows/rows.ts'
import { rowToPool, rowToVoucher, VOUCHER_STATE_SQL, VOUCHERS_WITH_CHARGES } from '../rows/voucher-rows.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import { utcDay, type PoolUsage } from '../rules/voucher-rules.ts'
import { json, type Transaction } from './database/transaction.ts'
import type { PostgresPurchases } from './purchases.ts'

/** The condition of vouchers that nobody has claimed, used or dropped. */
export const FREE = 'charge IS NULL AND closed IS NULL'

/** The reader of vouchers. */
export class VoucherReader {
  readonly #db: Transaction
  readonly #purchases: PostgresPurchases

  constructor(db: Transaction, purchases: PostgresPurchases) {
    this.#db = db
    this.#purchases = purchases
  }

  async pool(payer: string, name: string): Promise<VoucherPool | undefined> {
    const row = await this.#poolRow(payer, name)
    return row && rowToPool(row)
  }

  /** See `VoucherStore.pools`. */
  async pools({
    payer = null,
    at,
  }: {
    readonly payer?: string | null | undefined
    readonly at: number
  }): Promise<PoolStatus[]> {
    const rows = await this.#db.all(
      'SELECT * FROM voucher_pools WHERE (?::text IS NULL OR payer = ?) ORDER BY payer, name',
      payer,
      payer,
    )
    const found: PoolStatus[] = []
    for (const row of rows) found.push(await this.#status(rowToPool(row), at))
    return found
  }

  async #status(pool: VoucherPool, at: number): Promise<PoolStatus> {
    const counts = noVouchers()
    let [earliestExpiry, oldestAddedAt]: (number | undefined)[] = []
    const counted = await this.#db.all(
      `SELECT ${VOUCHER_STATE_SQL} AS state, count(*) AS count, min(vouchers.valid_before) AS earliest,
        min(vouchers.added_at) AS oldest
      FROM ${VOUCHERS_WITH_CHARGES} WHERE vouchers.payer = ? AND pool = ? GROUP BY 1`,
      at,
      pool.payer,
      pool.name,
    )
    for (const row of counted) {
      const state = oneOf(row, 'state', VOUCHER_STATES)
      counts[state] = integer(row, 'count')
      if (state !== 'ready') continue
      earliestExpiry = integer(row, 'earliest')
      oldestAddedAt = integer(row, 'oldest')
    }
    const exposed = await this.#db.get(
      `SELECT coalesce(sum(amount), 0) AS amount, coalesce(sum(micro_usd), 0) AS micro_usd FROM vouchers
      WHERE payer = ? AND pool = ? AND ${FREE} AND valid_before * 1000 > ?`,
      pool.payer,
      pool.name,
      at,
    )
    const exposure = exposed ? amount(exposed, 'amount') : 0n
    const exposureMicroUsd = exposed ? amount(exposed, 'micro_usd') : 0n
    return { pool, counts, exposure, exposureMicroUsd, earliestExpiry, oldestAddedAt }
  }

  /** The free vouchers of a pool. */
  freeOf(payer: string, pool: string): Promise<readonly Row[]> {
    return this.#db.all(`SELECT * FROM vouchers WHERE payer = ? AND pool = ? AND ${FREE}`, payer, pool)
  }

  /** Of these vouchers those that are known, by id: `dropped` ones may come back. */
  async known(vouchers: readonly SignedVoucher[]): Promise<ReadonlyMap<string, 'dropped' | 'other'>> {
    const rows = await this.#db.all(
      'SELECT id, closed, charge FROM vouchers WHERE id = ANY(?::text[])',
      vouchers.map(({ id }) => id),
    )
    const known = new Map<string, 'dropped' | 'other'>(
      rows.map((row) => [
        text(row, 'id'),
        row['closed'] === 'dropped' && row['charge'] === null ? 'dropped' : 'other',
      ]),
    )
    const recorded = await this.#db.all(
      `SELECT v.id FROM jsonb_to_recordset(?::jsonb) AS v(id text, from_address text, network text, asset text, nonce text)
      JOIN charges c ON (c.from_address, c.network, c.asset, c.nonce) = (v.from_address, v.network, v.asset, v.nonce)`,
      json(
        vouchers.map(({ id, from, network, asset, nonce }) => ({
          id,
          from_address: from,
          network,
          asset,
          nonce,
        })),
      ),
    )
    for (const row of recorded) known.set(text(row, 'id'), 'other')
    return known
  }

  /** What the limits of a pool are compared with. */
  async usage(pool: VoucherPool, at: number): Promise<PoolUsage> {
    const { payer, name } = pool
    const row = await this.#poolRow(payer, name)
    const free = await this.#db.get(
      `SELECT count(*) AS count, coalesce(sum(micro_usd), 0) AS micro_usd FROM vouchers
      WHERE payer = ? AND ${FREE} AND valid_before * 1000 > ?`,
      payer,
      at,
    )
    const signed = await this.#db.get(
      `SELECT count(*) FILTER (WHERE added_at >= ?) AS total, coalesce(sum(amount) FILTER (WHERE added_at >= ?), 0) AS today
      FROM vouchers WHERE payer = ? AND pool = ? AND signed = 1`,
      row ? integer(row, 'created_at') : at,
      utcDay(at),
      payer,
      name,
    )
    return {
      pool,
      freeCount: free ? integer(free, 'count') : 0,
      freeMicroUsd: (free && rowToMicroUsd(free)) ?? 0n,
      signedTotal: signed ? integer(signed, 'total') : 0,
      signedToday: signed ? amount(signed, 'today') : 0n,
      ...(await this.#purchases.left(payer, name)),
    }
  }

  /** See `VoucherStore.exported`. */
  async exported(payer: string, pool: string, at: number): Promise<SignedVoucher[]> {
    const rows = await this.#db.all(
      `SELECT vouchers.* FROM vouchers JOIN charges ON charges.id = vouchers.charge
      WHERE vouchers.payer = ? AND pool = ? AND charges.route = ? AND charges.nonce IS NOT NULL AND payment IS NOT NULL
      AND vouchers.valid_before * 1000 > ? ORDER BY usable_until, vouchers.id`,
      payer,
      pool,
      EXPORT_ROUTE,
      at,
    )
    return rows.map((row) => ({ ...rowToVoucher(row), payment: text(row, 'payment') }))
  }

  /** See `VoucherStore.list`. */
  async list(query: VoucherQuery & { readonly at: number }): Promise<StoredVoucher[]> {
    const { payer = null, pool = null, states = null, at } = query
    const rows = await this.#db.all(
      `SELECT * FROM (SELECT vouchers.*, ${VOUCHER_STATE_SQL} AS voucher_state FROM ${VOUCHERS_WITH_CHARGES}
        WHERE (?::text IS NULL OR vouchers.payer = ?) AND (?::text IS NULL OR pool = ?)) AS v
      WHERE (?::text[] IS NULL OR voucher_state = ANY(?::text[])) ORDER BY usable_until, id LIMIT ?`,
      at,
      payer,
      payer,
      pool,
      pool,
      states,
      states,
      queryLimit(query),
    )
    return rows.map((row) => ({
      ...rowToVoucher(row),
      state: oneOf(row, 'voucher_state', VOUCHER_STATES),
      addedAt: integer(row, 'added_at'),
      usableUntil: integer(row, 'usable_until'),
      charge: optionalText(row, 'charge'),
    }))
  }

  /** See `VoucherStore.usedKeys`. */
  async usedKeys(payer: string): Promise<ReadonlyMap<string, readonly string[]>> {
    const rows = await this.#db.all(
      `SELECT pool, consume_key FROM ${VOUCHERS_WITH_CHARGES} WHERE vouchers.payer = ?
      AND (closed = 'spent' OR charges.state IN ('authorized', 'settled', 'uncertain', 'released')) ORDER BY vouchers.id`,
      payer,
    )
    const keys = new Map<string, string[]>()
    for (const row of rows) {
      const [pool, key] = [text(row, 'pool'), text(row, 'consume_key')]
      keys.set(pool, [...(keys.get(pool) ?? []), key])
    }
    return keys
  }

  #poolRow(payer: string, name: string): Promise<Row | undefined> {
    return this.#db.get('SELECT * FROM voucher_pools WHERE payer = ? AND name = ?', payer, name)
  }
}
