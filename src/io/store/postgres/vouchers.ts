/** Payments signed ahead, in the Postgres ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import {
  mayErase,
  sameTerms,
  sellerBase,
  type PoolStatus,
  type SignedVoucher,
  type StoredVoucher,
  type VoucherPool,
} from '../../../core/vouchers/voucher.ts'
import type {
  Added,
  AddOptions,
  Claimed,
  ClaimRequest,
  VoucherQuery,
  VoucherStore,
} from '../contracts/vouchers.ts'
import { amount, integer, text, type Row } from '../rows/rows.ts'
import {
  poolColumns,
  rowToTerms,
  rowToVoucher,
  voucherColumns,
  type VoucherRow,
} from '../rows/voucher-rows.ts'
import { admit, assertClaimable, poolOf, roomFor, type Admitted } from '../rules/voucher-rules.ts'
import type { ChargeTable } from './charge-table.ts'
import { json, type Transaction } from './database/transaction.ts'
import { poolLock, type PostgresPurchases } from './purchases.ts'
import { FREE, VoucherReader } from './voucher-reader.ts'

/** Signatures of free vouchers count against a limit of their payer: one transaction adds to them at a time. */
function payerLock(payer: string): string {
  return `vouchers of ${payer}`
}

/** The vouchers of the Postgres ledger. */
export class PostgresVouchers implements VoucherStore {
  readonly #db: Transaction
  readonly #charges: ChargeTable
  readonly #purchases: PostgresPurchases
  readonly #reader: VoucherReader

  /** @param purchases follow their pools */
  constructor(db: Transaction, charges: ChargeTable, purchases: PostgresPurchases) {
    this.#db = db
    this.#charges = charges
    this.#purchases = purchases
    this.#reader = new VoucherReader(db, purchases)
  }

  /** Updates the vouchers that moved charges have claimed; see {@link VoucherStore}. */
  async follow(charges: readonly Charge[]): Promise<void> {
    const unsigned = charges.filter(({ state, authorization }) => state === 'released' && !authorization)
    const erased = charges
      .filter((charge) => !unsigned.includes(charge) && mayErase(charge))
      .map(({ id }) => id)
    if (erased.length > 0) {
      this.#db.send('UPDATE vouchers SET payment = NULL WHERE charge = ANY(?::text[])', erased)
    }
    if (unsigned.length === 0) return
    const claimed = await this.#db.all(
      'SELECT charge FROM vouchers WHERE charge = ANY(?::text[]) ORDER BY payer, pool, charge',
      unsigned.map(({ id }) => id),
    )
    for (const row of claimed) await this.#giveBack(text(row, 'charge'))
  }

  /**
   * Moves the voucher of a hand-over to the charge that takes it over, and erases its signature: it is sent now.
   * @returns false when that charge has claimed another voucher
   */
  async takeOver(handOver: string, charge: string): Promise<boolean> {
    if (await this.#hasClaimed(charge)) return false
    await this.#db.run('UPDATE vouchers SET charge = ?, payment = NULL WHERE charge = ?', charge, handOver)
    return true
  }

  async define(pool: VoucherPool, at: number): Promise<number> {
    const { payer, name } = pool
    await this.#db.lock([poolLock(payer, name)])
    const before = await this.#reader.pool(payer, name)
    const columns = poolColumns(pool)
    const changed = Object.keys(columns).filter((column) => column !== 'payer' && column !== 'name')
    await this.#db.run(
      `INSERT INTO voucher_pools SELECT * FROM jsonb_populate_recordset(NULL::voucher_pools, ?::jsonb)
      ON CONFLICT (payer, name) DO UPDATE SET ${changed.map((column) => `${column} = excluded.${column}`).join(', ')}`,
      json([{ ...columns, created_at: at }]),
    )
    if (!before || sameTerms(before, pool)) return 0
    const free = await this.#reader.freeOf(payer, name)
    const stale = free.filter((row) => !sameTerms(rowToTerms(row), pool))
    for (const row of stale) await this.#undeliver(row)
    return await this.drop(stale.map((row) => text(row, 'id')))
  }

  pools(query: { readonly payer?: string | undefined; readonly at: number }): Promise<PoolStatus[]> {
    return this.#reader.pools(query)
  }

  async drain(payer: string, name: string, at: number): Promise<void> {
    await this.#db.lock([poolLock(payer, name)])
    await this.#db.run(
      'UPDATE voucher_pools SET draining_since = coalesce(draining_since, ?) WHERE payer = ? AND name = ?',
      at,
      payer,
      name,
    )
  }

  async remove(payer: string, name: string): Promise<number> {
    await this.#db.lock([poolLock(payer, name)])
    await this.#db.run('DELETE FROM voucher_pools WHERE payer = ? AND name = ?', payer, name)
    await this.#purchases.remove(payer, name)
    return await this.#db.run(
      `UPDATE vouchers SET closed = 'dropped', payment = NULL WHERE payer = ? AND pool = ? AND ${FREE}`,
      payer,
      name,
    )
  }

  async add(vouchers: readonly SignedVoucher[], options: AddOptions): Promise<Added> {
    const [first] = vouchers
    if (!first) return { added: 0, known: 0, refused: {} }
    await this.#db.lock([payerLock(first.payer)])
    await this.#db.lock([poolLock(first.payer, first.pool)])
    const found = await this.#reader.pool(first.payer, first.pool)
    const pool = poolOf(vouchers, () => found)
    if (!pool) return { added: 0, known: 0, refused: {} }
    const known = await this.#reader.known(vouchers)
    const usage = await this.#reader.usage(pool, options.at)
    const { admitted, result } = admit(vouchers, usage, options, ({ id }) => known.get(id))
    await this.#insert(admitted, options)
    if (options.ordered === true) {
      const { added } = result
      await this.#purchases.deliver(pool.payer, pool.name, added, BigInt(added) * pool.amount)
    }
    return result
  }

  async #insert(admitted: readonly Admitted[], { at, signed, ordered }: AddOptions): Promise<void> {
    const rows: VoucherRow[] = admitted.map(voucherColumns)
    const fresh = rows.filter((_row, index) => admitted[index]?.revived === false)
    const extra = { signed: signed ? 1 : 0, ordered: ordered === true ? 1 : 0, added_at: at }
    if (fresh.length > 0) {
      await this.#db.run(
        'INSERT INTO vouchers SELECT * FROM jsonb_populate_recordset(NULL::vouchers, ?::jsonb)',
        json(fresh.map((row) => ({ ...row, ...extra }))),
      )
    }
    // A voucher that is added again keeps its age.
    for (const [index, row] of rows.entries()) {
      if (admitted[index]?.revived !== true) continue
      const { id, usable_until: usableUntil, ...changes } = row
      await this.#db.run(
        `UPDATE vouchers SET closed = NULL, ${Object.keys(changes)
          .map((column) => `${column} = ?`)
          .join(', ')}, usable_until = least(usable_until, ?::bigint) WHERE id = ?`,
        ...Object.values(changes),
        usableUntil ?? null,
        id ?? null,
      )
    }
  }

  async claim(request: ClaimRequest): Promise<Claimed> {
    const found = await this.#charges.lock(request.charge)
    const charge = assertClaimable(found, request, await this.#hasClaimed(request.charge))
    const row = await this.#next(charge, request)
    if (row) {
      await this.#db.run('UPDATE vouchers SET charge = ? WHERE id = ?', charge.id, text(row, 'id'))
      return { ok: true, voucher: { ...rowToVoucher(row), payment: text(row, 'payment') } }
    }
    const [seller, pool] = [sellerBase(charge.apiBase), request.pool ?? null]
    const other = await this.#db.get(
      `SELECT * FROM vouchers WHERE payer = ? AND seller = ? AND ${FREE} AND (?::text IS NULL OR pool = ?)
      AND usable_until > ? AND valid_after <= ? ORDER BY usable_until, id LIMIT 1`,
      charge.payer,
      seller,
      pool,
      pool,
      request.at,
      Math.floor(request.at / 1000),
    )
    if (other) return { ok: false, reason: 'terms_changed', others: rowToTerms(other) }
    const late = await this.#db.get(
      `SELECT 1 FROM vouchers WHERE payer = ? AND seller = ? AND ${FREE} AND (?::text IS NULL OR pool = ?) LIMIT 1`,
      charge.payer,
      seller,
      pool,
      pool,
    )
    return { ok: false, reason: late ? 'expired' : 'empty', others: undefined }
  }

  /**
   * Locks the free voucher that a charge takes. Those that other transactions are taking are passed over; only when no other is
   * left are they waited for, because they may be given back.
   */
  async #next(charge: Charge, request: ClaimRequest): Promise<Row | undefined> {
    const matching = `SELECT * FROM vouchers WHERE payer = ? AND seller = ? AND network = ? AND asset = ? AND pay_to = ?
      AND amount = ? AND method = ? AND ${FREE} AND (?::text IS NULL OR pool = ?) AND usable_until > ? AND valid_after <= ?
      ORDER BY usable_until, id LIMIT 1`
    const { method, at } = request
    const pool = request.pool ?? null
    const values = [
      charge.payer,
      sellerBase(charge.apiBase),
      charge.network,
      charge.asset,
      charge.payTo,
      charge.amount,
      method,
      pool,
      pool,
      at,
      Math.floor(at / 1000),
    ]
    for (;;) {
      const free = await this.#db.get(`${matching} FOR UPDATE SKIP LOCKED`, ...values)
      if (free) return free
      if ((await this.#db.get(matching, ...values)) === undefined) return undefined
      // Waits. What it waited for may be taken now, and another one free.
      const waited = await this.#db.get(`${matching} FOR UPDATE`, ...values)
      if (waited) return waited
    }
  }

  async spentElsewhere(payer: string, pool: string, keys: readonly string[]): Promise<number> {
    return await this.#db.run(
      `UPDATE vouchers SET closed = 'spent', payment = NULL
      WHERE payer = ? AND pool = ? AND consume_key = ANY(?::text[]) AND charge IS NULL AND closed IS DISTINCT FROM 'spent'`,
      payer,
      pool,
      keys,
    )
  }

  exported(payer: string, pool: string, at: number): Promise<SignedVoucher[]> {
    return this.#reader.exported(payer, pool, at)
  }

  async room(
    payer: string,
    name: string,
    wanted: number,
    options: AddOptions & { readonly microUsd: bigint | undefined },
  ): Promise<number> {
    const pool = await this.#reader.pool(payer, name)
    if (!pool) return 0
    return roomFor(wanted, options.microUsd, await this.#reader.usage(pool, options.at), options)
  }

  async drop(ids: readonly string[]): Promise<number> {
    return await this.#db.run(
      `UPDATE vouchers SET closed = 'dropped', payment = NULL WHERE id = ANY(?::text[]) AND ${FREE}`,
      ids,
    )
  }

  async retain(payer: string, pool: string, ids: ReadonlySet<string>): Promise<number> {
    await this.#db.lock([poolLock(payer, pool)])
    const free = (await this.#reader.freeOf(payer, pool)).map((row) => text(row, 'id'))
    return await this.drop(free.filter((id) => !ids.has(id)))
  }

  list(query: VoucherQuery & { readonly at: number }): Promise<StoredVoucher[]> {
    return this.#reader.list(query)
  }

  usedKeys(payer: string): Promise<ReadonlyMap<string, readonly string[]>> {
    return this.#reader.usedKeys(payer)
  }

  /**
   * Returns an unused voucher to its pool if the pool still exists with the same terms. Otherwise the voucher is dropped, as it
   * would have been while it was free.
   */
  async #giveBack(charge: string): Promise<void> {
    const row = await this.#db.get('SELECT * FROM vouchers WHERE charge = ?', charge)
    if (!row) return
    const voucher = rowToVoucher(row)
    await this.#db.lock([poolLock(voucher.payer, voucher.pool)])
    await this.#db.run('UPDATE vouchers SET charge = NULL WHERE charge = ?', charge)
    if (await this.#charges.isRecorded(voucher)) {
      await this.#db.run(
        `UPDATE vouchers SET closed = 'spent', payment = NULL WHERE id = ? AND ${FREE}`,
        voucher.id,
      )
      return
    }
    const pool = await this.#reader.pool(voucher.payer, voucher.pool)
    if (pool && sameTerms(pool, voucher)) return
    await this.drop([voucher.id])
    if (pool) await this.#undeliver(row)
  }

  async #undeliver(row: Row): Promise<void> {
    if (integer(row, 'ordered') === 0) return
    await this.#purchases.deliver(text(row, 'payer'), text(row, 'pool'), -1, -amount(row, 'amount'))
  }

  async #hasClaimed(charge: string): Promise<boolean> {
    return (await this.#db.get('SELECT 1 FROM vouchers WHERE charge = ?', charge)) !== undefined
  }
}
