/** The vouchers of the SQLite ledger. Called inside the store's transactions, but for the reads. */
import type { Charge } from '../../../core/charge/charge.ts'
import type { AuthorizationMethod } from '../../../core/money/assets.ts'
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
  type Voucher,
  type VoucherPool,
  type VoucherTerms,
} from '../../../core/vouchers/voucher.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import type { SqlitePurchases } from './sqlite-purchases.ts'
import type { Connection } from './sqlite-file.ts'
import { amount, integer, oneOf, optionalText, rowToMicroUsd, text, type Row } from './sqlite-rows.ts'
import { admit, assertClaimable, poolOf, roomFor, utcDay, type Standing } from '../rules/voucher-rules.ts'
import type { Added, AddOptions, Claimed, ClaimRequest, VoucherQuery } from '../voucher-store.ts'

const METHODS: readonly AuthorizationMethod[] = ['eip3009', 'permit2']

/** `voucherState()` in SQL. The first parameter is the time, milliseconds since the epoch. */
const STATE = `CASE charges.state
  WHEN 'held' THEN 'held' WHEN 'authorized' THEN 'held' WHEN 'settled' THEN 'spent'
  WHEN 'uncertain' THEN 'uncertain' WHEN 'released' THEN 'expired'
  ELSE coalesce(vouchers.closed, CASE WHEN vouchers.usable_until > ? THEN 'ready' ELSE 'expired' END) END`

const JOINED = 'vouchers LEFT JOIN charges ON charges.id = vouchers.charge'
/** Word for word the condition of the index vouchers_free. */
const FREE = 'charge IS NULL AND closed IS NULL'

/** See the file's head. */
export class SqliteVouchers {
  readonly #db: Connection
  readonly #charge: (id: string) => Charge | undefined
  readonly #sql: ReturnType<typeof prepare>
  readonly #purchases: SqlitePurchases

  /** @param charge reads a charge of the store @param purchases follow their pools */
  constructor(db: Connection, charge: (id: string) => Charge | undefined, purchases: SqlitePurchases) {
    this.#db = db
    this.#purchases = purchases
    this.#charge = charge
    this.#sql = prepare(db)
  }

  /** Follows a charge that moved; see {@link VoucherStore}. */
  follow(charge: Charge): void {
    if (charge.state === 'released' && !charge.authorization) this.#giveBack(charge.id)
    else if (mayErase(charge)) this.#sql.erase.run(charge.id)
  }

  /**
   * Gives the voucher of a hand-over to the charge that takes it over; its signature is sent now, and erased.
   * @returns false when that charge has claimed one of its own
   */
  takeOver(handOver: string, charge: string): boolean {
    if (this.#sql.claimed.get(charge)) return false
    this.#sql.takeOver.run(charge, handOver)
    return true
  }

  define(pool: VoucherPool, at: number): number {
    const before = this.#find(pool.payer, pool.name)
    const { refill } = pool
    this.#sql.writePool.run({
      payer: pool.payer,
      name: pool.name,
      ...termsToRow(pool),
      remote_model: pool.remoteModel ?? null,
      symbol: pool.symbol,
      decimals: pool.decimals,
      refill_threshold: refill?.threshold ?? null,
      refill_count: refill?.count ?? null,
      refill_max_total: refill?.maxTotal ?? null,
      refill_max_per_day: refill?.maxPerDay?.toString() ?? null,
      refill_max_price: refill?.maxPrice?.toString() ?? null,
      draining_since: pool.drainingSince ?? null,
      created_at: at,
    })
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
        let earliestExpiry: number | undefined
        for (const row of this.#sql.counts.all(at, pool.payer, pool.name)) {
          const state = oneOf(row, 'state', VOUCHER_STATES)
          counts[state] = integer(row, 'count')
          if (state === 'ready') earliestExpiry = integer(row, 'earliest')
        }
        let [exposure, exposureMicroUsd] = [0n, 0n]
        for (const row of this.#sql.freeOf.iterate(pool.payer, pool.name)) {
          if (integer(row, 'valid_before') * 1000 <= at) continue
          exposure += amount(row, 'amount')
          exposureMicroUsd += rowToMicroUsd(row) ?? 0n
        }
        return { pool, counts, exposure, exposureMicroUsd, earliestExpiry }
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
    const { admitted, result } = admit(vouchers, this.#standing(pool, at), options, (voucher) => {
      const row = this.#sql.voucher.get(voucher.id)
      if (this.#isRecorded(voucher)) return 'other'
      return row && (row['closed'] === 'dropped' && row['charge'] === null ? 'dropped' : 'other')
    })
    const ordered = options.ordered === true ? 1 : 0
    for (const { voucher, usableUntil, revived } of admitted) {
      const { id, payer, payment, key, from, nonce, validAfter, validBefore } = voucher
      const fields = {
        id,
        payer,
        pool: voucher.pool,
        ...termsToRow(voucher),
        from_address: from,
        nonce,
        valid_after: validAfter,
        valid_before: validBefore,
        micro_usd: voucher.microUsd?.toString() ?? null,
        consume_key: key,
        payment,
        usable_until: usableUntil,
      }
      if (revived) this.#sql.revive.run(fields)
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
    const charge = assertClaimable(this.#charge(request.charge), request, claims)
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
    return pool ? roomFor(wanted, options.microUsd, this.#standing(pool, options.at), options) : 0
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
      ...(states === undefined ? [] : [`${STATE} IN (${states.map(() => '?').join(', ')})`]),
    ]
    const where = conditions.length > 0 ? `WHERE ${conditions.join(' AND ')}` : ''
    const statement = this.#db.prepare(
      `SELECT vouchers.*, ${STATE} AS voucher_state FROM ${JOINED} ${where} ORDER BY usable_until, vouchers.id LIMIT ?`,
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

  /** Into its pool, where that stands and still has its terms; else it is dropped, as it would have been when it was free. */
  #giveBack(charge: string): void {
    const row = this.#sql.ofCharge.get(charge)
    if (!row) return
    this.#sql.giveBack.run(charge)
    const voucher = rowToVoucher(row)
    if (this.#isRecorded(voucher)) {
      this.#sql.spend.run(voucher.id)
      return
    }
    const pool = this.#find(voucher.payer, voucher.pool)
    if (pool && sameTerms(pool, voucher)) return
    this.drop([voucher.id])
    if (pool) this.#undeliver(row)
  }

  /** Whether a charge of this ledger was paid with it, by another payer that had it, too. */
  #isRecorded({ from, network, asset, nonce }: Voucher): boolean {
    return this.#sql.recorded.get(from, network, asset, nonce) !== undefined
  }

  #undeliver(row: Row): void {
    if (integer(row, 'ordered') === 0) return
    this.#purchases.deliver(text(row, 'payer'), text(row, 'pool'), -1, -amount(row, 'amount'))
  }

  #find(payer: string, name: string): VoucherPool | undefined {
    const row = this.#sql.pool.get(payer, name)
    return row && rowToPool(row)
  }

  #standing(pool: VoucherPool, at: number): Standing {
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

function prepare(db: Connection) {
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
    // A voucher that comes back is as old as it was.
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
    recorded: db.prepare(
      'SELECT 1 FROM charges WHERE from_address = ? AND network = ? AND asset = ? AND nonce = ?',
    ),
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
    counts: db.prepare(`SELECT ${STATE} AS state, count(*) AS count, min(vouchers.valid_before) AS earliest
    FROM ${JOINED} WHERE vouchers.payer = ? AND pool = ? GROUP BY 1`),
    exported: db.prepare(`SELECT vouchers.* FROM vouchers JOIN charges ON charges.id = vouchers.charge
    WHERE vouchers.payer = ? AND pool = ? AND charges.route = ? AND charges.nonce IS NOT NULL AND payment IS NOT NULL
    AND vouchers.valid_before * 1000 > ? ORDER BY usable_until, vouchers.id`),
    usedKeys: db.prepare(`SELECT pool, consume_key FROM ${JOINED} WHERE vouchers.payer = ?
    AND (closed = 'spent' OR charges.state IN ('authorized', 'settled', 'uncertain', 'released')) ORDER BY vouchers.id`),
  }
}

function termsToRow(terms: VoucherTerms): Record<string, string> {
  const { seller, network, asset, payTo, method } = terms
  return { seller, network, asset, pay_to: payTo, amount: terms.amount.toString(), method }
}

function rowToTerms(row: Row): VoucherTerms {
  return {
    seller: text(row, 'seller'),
    network: text(row, 'network'),
    asset: text(row, 'asset'),
    payTo: text(row, 'pay_to'),
    amount: amount(row, 'amount'),
    method: oneOf(row, 'method', METHODS),
  }
}

function rowToVoucher(row: Row): Voucher {
  return {
    ...rowToTerms(row),
    id: text(row, 'id'),
    payer: text(row, 'payer'),
    pool: text(row, 'pool'),
    from: text(row, 'from_address'),
    nonce: text(row, 'nonce'),
    validAfter: integer(row, 'valid_after'),
    validBefore: integer(row, 'valid_before'),
    key: text(row, 'consume_key'),
    microUsd: rowToMicroUsd(row),
  }
}

function rowToPool(row: Row): VoucherPool {
  const count = (name: string): number | undefined => (row[name] === null ? undefined : integer(row, name))
  const units = (name: string): bigint | undefined => (row[name] === null ? undefined : amount(row, name))
  return {
    ...rowToTerms(row),
    payer: text(row, 'payer'),
    name: text(row, 'name'),
    remoteModel: optionalText(row, 'remote_model'),
    symbol: text(row, 'symbol'),
    decimals: integer(row, 'decimals'),
    refill:
      row['refill_count'] === null
        ? undefined
        : {
            threshold: integer(row, 'refill_threshold'),
            count: integer(row, 'refill_count'),
            maxTotal: count('refill_max_total'),
            maxPerDay: units('refill_max_per_day'),
            maxPrice: units('refill_max_price'),
          },
    drainingSince: count('draining_since'),
  }
}
