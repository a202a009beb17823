/** Payments signed ahead, in the SQLite ledger. Called inside the store's transactions. */
import type { Charge } from '../../../core/charge/charge.ts'
import {
  EXPORT_ROUTE,
  mayErase,
  noVouchers,
  sameTerms,
  sellerBase,
  VOUCHER_STATES,
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
import { queryLimit } from '../rules/charge-rules.ts'
import { admit, assertClaimable, poolOf, roomFor, utcDay, type PoolUsage } from '../rules/voucher-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import type { Connection } from './file/file.ts'
import type { SqlitePurchases } from './purchases.ts'
import { amount, integer, oneOf, optionalText, rowToMicroUsd, text, type Row } from '../rows/rows.ts'
import {
  poolColumns,
  rowToPool,
  rowToTerms,
  rowToVoucher,
  VOUCHER_STATE_SQL,
  voucherColumns,
  VOUCHERS_WITH_CHARGES,
} from '../rows/voucher-rows.ts'
import { prepareVoucherStatements } from './voucher-statements.ts'

/** The vouchers of the SQLite ledger. */
export class SqliteVouchers implements InTransaction<VoucherStore> {
  readonly #db: Connection
  readonly #charges: ChargeTable
  readonly #sql: ReturnType<typeof prepareVoucherStatements>
  readonly #purchases: SqlitePurchases

  /** @param purchases follow their pools */
  constructor(db: Connection, charges: ChargeTable, purchases: SqlitePurchases) {
    this.#db = db
    this.#purchases = purchases
    this.#charges = charges
    this.#sql = prepareVoucherStatements(db)
  }

  /** Updates the voucher that a moved charge has claimed; see {@link VoucherStore}. */
  follow(charge: Charge): void {
    if (charge.state === 'released' && !charge.authorization) this.#giveBack(charge.id)
    else if (mayErase(charge)) this.#sql.erase.run(charge.id)
  }

  /**
   * Moves the voucher of a hand-over to the charge that takes it over, and erases its signature: it is sent now.
   * @returns false when that charge has claimed another voucher
   */
  takeOver(handOver: string, charge: string): boolean {
    if (this.#sql.claimed.get(charge)) return false
    this.#sql.takeOver.run(charge, handOver)
    return true
  }

  define(pool: VoucherPool, at: number): number {
    const before = this.#find(pool.payer, pool.name)
    this.#sql.writePool.run({ ...poolColumns(pool), created_at: at })
    if (!before || sameTerms(before, pool)) return 0
    const stale = this.#sql.freeOf
      .all(pool.payer, pool.name)
      .filter((row) => !sameTerms(rowToTerms(row), pool))
    for (const row of stale) this.#undeliver(row)
    return this.drop(stale.map((row) => text(row, 'id')))
  }

  pools({ payer, at }: { readonly payer?: string | undefined; readonly at: number }): PoolStatus[] {
    return this.#sql.pools
      .all(payer ?? null, payer ?? null)
      .map(rowToPool)
      .map((pool) => {
        const counts = noVouchers()
        let [earliestExpiry, oldestAddedAt]: (number | undefined)[] = []
        for (const row of this.#sql.counts.all(at, pool.payer, pool.name)) {
          const state = oneOf(row, 'state', VOUCHER_STATES)
          counts[state] = integer(row, 'count')
          if (state === 'ready') {
            earliestExpiry = integer(row, 'earliest')
            oldestAddedAt = integer(row, 'oldest')
          }
        }
        let [exposure, exposureMicroUsd] = [0n, 0n]
        for (const row of this.#sql.freeOf.iterate(pool.payer, pool.name)) {
          if (integer(row, 'valid_before') * 1000 <= at) continue
          exposure += amount(row, 'amount')
          exposureMicroUsd += rowToMicroUsd(row) ?? 0n
        }
        return { pool, counts, exposure, exposureMicroUsd, earliestExpiry, oldestAddedAt }
      })
  }

  drain(payer: string, name: string, at: number): void {
    this.#sql.drain.run(at, payer, name)
  }

  remove(payer: string, name: string): number {
    this.#sql.removePool.run(payer, name)
    this.#purchases.remove(payer, name)
    return Number(this.#sql.dropPool.run(payer, name).changes)
  }

  add(vouchers: readonly SignedVoucher[], options: AddOptions): Added {
    const pool = poolOf(vouchers, (payer, name) => this.#find(payer, name))
    if (!pool) return { added: 0, known: 0, refused: {} }
    const { at, signed } = options
    const { admitted, result } = admit(vouchers, this.#poolUsage(pool, at), options, (voucher) => {
      const row = this.#sql.voucher.get(voucher.id)
      if (this.#charges.isRecorded(voucher)) return 'other'
      return row && (row['closed'] === 'dropped' && row['charge'] === null ? 'dropped' : 'other')
    })
    const ordered = options.ordered === true ? 1 : 0
    for (const each of admitted) {
      const fields = voucherColumns(each)
      if (each.revived) this.#sql.revive.run(fields)
      else this.#sql.insert.run({ ...fields, signed: signed ? 1 : 0, ordered, added_at: at })
    }
    if (options.ordered === true) {
      const { added } = result
      this.#purchases.deliver(pool.payer, pool.name, added, BigInt(added) * pool.amount)
    }
    return result
  }

  claim(request: ClaimRequest): Claimed {
    const claims = this.#sql.claimed.get(request.charge) !== undefined
    const charge = assertClaimable(this.#charges.get(request.charge), request, claims)
    const seller = sellerBase(charge.apiBase)
    const pool = request.pool ?? null
    const seconds = Math.floor(request.at / 1000)
    const { payer, network, asset, payTo } = charge
    const row = this.#sql.next.get(
      payer,
      seller,
      network,
      asset,
      payTo,
      charge.amount.toString(),
      request.method,
      pool,
      pool,
      request.at,
      seconds,
    )
    if (row) {
      this.#sql.take.run(charge.id, text(row, 'id'))
      return { ok: true, voucher: { ...rowToVoucher(row), payment: text(row, 'payment') } }
    }
    const other = this.#sql.nextOther.get(payer, seller, pool, pool, request.at, seconds)
    if (other) return { ok: false, reason: 'terms_changed', others: rowToTerms(other) }
    const late = this.#sql.anyFree.get(payer, seller, pool, pool)
    return { ok: false, reason: late ? 'expired' : 'empty', others: undefined }
  }

  spentElsewhere(payer: string, pool: string, keys: readonly string[]): number {
    return [...new Set(keys)].reduce(
      (count, key) => count + Number(this.#sql.spentElsewhere.run(payer, pool, key).changes),
      0,
    )
  }

  exported(payer: string, pool: string, at: number): SignedVoucher[] {
    return this.#sql.exported
      .all(payer, pool, EXPORT_ROUTE, at)
      .map((row) => ({ ...rowToVoucher(row), payment: text(row, 'payment') }))
  }

  room(
    payer: string,
    name: string,
    wanted: number,
    options: AddOptions & { readonly microUsd: bigint | undefined },
  ): number {
    const pool = this.#find(payer, name)
    return pool ? roomFor(wanted, options.microUsd, this.#poolUsage(pool, options.at), options) : 0
  }

  drop(ids: readonly string[]): number {
    return ids.reduce((count, id) => count + Number(this.#sql.drop.run(id).changes), 0)
  }

  retain(payer: string, pool: string, ids: ReadonlySet<string>): number {
    const free = this.#sql.freeOf.all(payer, pool).map((row) => text(row, 'id'))
    return this.drop(free.filter((id) => !ids.has(id)))
  }

  list(query: VoucherQuery & { readonly at: number }): StoredVoucher[] {
    const { payer, pool, states, at } = query
    const conditions = [
      ...(payer === undefined ? [] : ['vouchers.payer = ?']),
      ...(pool === undefined ? [] : ['pool = ?']),
      ...(states === undefined ? [] : [`${VOUCHER_STATE_SQL} IN (${states.map(() => '?').join(', ')})`]),
    ]
    const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
    const statement = this.#db.prepare(
      `SELECT vouchers.*, ${VOUCHER_STATE_SQL} AS voucher_state FROM ${VOUCHERS_WITH_CHARGES} ${where} ORDER BY usable_until, vouchers.id LIMIT ?`,
    )
    const values = [
      at,
      ...(payer === undefined ? [] : [payer]),
      ...(pool === undefined ? [] : [pool]),
      ...(states === undefined ? [] : [at, ...states]),
      queryLimit(query),
    ]
    return statement.all(...values).map((row) => ({
      ...rowToVoucher(row),
      state: oneOf(row, 'voucher_state', VOUCHER_STATES),
      addedAt: integer(row, 'added_at'),
      usableUntil: integer(row, 'usable_until'),
      charge: optionalText(row, 'charge'),
    }))
  }

  usedKeys(payer: string): ReadonlyMap<string, readonly string[]> {
    const keys = new Map<string, string[]>()
    for (const row of this.#sql.usedKeys.all(payer)) {
      const pool = text(row, 'pool')
      const list = keys.get(pool)
      if (list) list.push(text(row, 'consume_key'))
      else keys.set(pool, [text(row, 'consume_key')])
    }
    return keys
  }

  /**
   * Returns an unused voucher to its pool if the pool still exists with the same terms. Otherwise the voucher is dropped, as it
   * would have been while it was free.
   */
  #giveBack(charge: string): void {
    const row = this.#sql.ofCharge.get(charge)
    if (!row) return
    this.#sql.giveBack.run(charge)
    const voucher = rowToVoucher(row)
    if (this.#charges.isRecorded(voucher)) {
      this.#sql.spend.run(voucher.id)
      return
    }
    const pool = this.#find(voucher.payer, voucher.pool)
    if (pool && sameTerms(pool, voucher)) return
    this.drop([voucher.id])
    if (pool) this.#undeliver(row)
  }

  #undeliver(row: Row): void {
    if (integer(row, 'ordered') === 0) return
    this.#purchases.deliver(text(row, 'payer'), text(row, 'pool'), -1, -amount(row, 'amount'))
  }

  #find(payer: string, name: string): VoucherPool | undefined {
    const row = this.#sql.pool.get(payer, name)
    return row && rowToPool(row)
  }

  #poolUsage(pool: VoucherPool, at: number): PoolUsage {
    const row = this.#sql.pool.get(pool.payer, pool.name)
    const createdAt = row ? integer(row, 'created_at') : at
    const today = utcDay(at)
    let [freeCount, freeMicroUsd, signedTotal, signedToday] = [0, 0n, 0, 0n]
    for (const free of this.#sql.freeOfPayer.iterate(pool.payer)) {
      if (integer(free, 'valid_before') * 1000 <= at) continue
      freeCount += 1
      freeMicroUsd += rowToMicroUsd(free) ?? 0n
    }
    for (const own of this.#sql.signed.iterate(pool.payer, pool.name)) {
      if (integer(own, 'added_at') >= createdAt) signedTotal += 1
      if (integer(own, 'added_at') >= today) signedToday += amount(own, 'amount')
    }
    const left = this.#purchases.left(pool.payer, pool.name)
    return { pool, freeCount, freeMicroUsd, signedTotal, signedToday, ...left }
  }
}
