/** Payments signed ahead, in memory. */
import type { Charge } from '../../../core/charge/charge.ts'
import {
  mayErase,
  noVouchers,
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
import { queryLimit } from '../rules/charge-rules.ts'
import { admit, assertClaimable, byEnd, poolOf, roomFor } from '../rules/voucher-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { ChargeTable } from './charge-table.ts'
import { compare } from './compare.ts'
import type { MemoryPurchases } from './purchases.ts'
import { isFree, VoucherTable } from './voucher-table.ts'

/** The vouchers of the memory store. */
export class MemoryVouchers implements InTransaction<VoucherStore> {
  readonly #charges: ChargeTable
  readonly #purchases: MemoryPurchases
  readonly #table: VoucherTable

  /** @param purchases follow their pools */
  constructor(charges: ChargeTable, purchases: MemoryPurchases) {
    this.#charges = charges
    this.#purchases = purchases
    this.#table = new VoucherTable(charges, purchases)
  }

  /** Updates the voucher that a moved charge has claimed; see {@link VoucherStore}. */
  follow(charge: Charge): void {
    const entry = this.#table.byCharge.get(charge.id)
    if (!entry) return
    if (charge.state === 'released' && !charge.authorization) {
      this.#table.byCharge.delete(charge.id)
      entry.charge = undefined
      this.#table.giveBack(entry)
    } else if (mayErase(charge)) {
      entry.payment = undefined
    }
  }

  /**
   * Moves the voucher of a hand-over to the charge that takes it over, and erases its signature: it is sent now.
   * @returns false when that charge has claimed another voucher
   */
  takeOver(handOver: string, charge: string): boolean {
    if (this.#table.byCharge.has(charge)) return false
    const entry = this.#table.byCharge.get(handOver)
    if (!entry) return true
    this.#table.byCharge.delete(handOver)
    this.#table.byCharge.set(charge, entry)
    Object.assign(entry, { charge, payment: undefined })
    return true
  }

  define(pool: VoucherPool, at: number): number {
    const before = this.#table.pool(pool.payer, pool.name)
    this.#table.setPool(pool, at)
    if (!before || sameTerms(before, pool)) return 0
    const stale = this.#table.freeOf(pool.payer, pool.name).filter(({ voucher }) => !sameTerms(voucher, pool))
    for (const entry of stale) this.#table.undeliver(entry)
    return this.#table.dropAll(stale)
  }

  pools({ payer, at }: { payer?: string | undefined; at: number }): PoolStatus[] {
    return this.#table
      .pools()
      .filter((pool) => payer === undefined || pool.payer === payer)
      .toSorted((a, b) => compare(a.payer, b.payer) || compare(a.name, b.name))
      .map((pool) => {
        const counts = noVouchers()
        let [exposure, exposureMicroUsd] = [0n, 0n]
        let [earliestExpiry, oldestAddedAt]: (number | undefined)[] = []
        for (const entry of this.#table.entries.values()) {
          const { voucher } = entry
          if (voucher.payer !== pool.payer || voucher.pool !== pool.name) continue
          const state = this.#table.stateOf(entry, at)
          counts[state] += 1
          if (state === 'ready') {
            earliestExpiry = Math.min(earliestExpiry ?? Infinity, voucher.validBefore)
            oldestAddedAt = Math.min(oldestAddedAt ?? Infinity, entry.addedAt)
          }
          if (!isFree(entry, at)) continue
          exposure += voucher.amount
          exposureMicroUsd += voucher.microUsd ?? 0n
        }
        return { pool, counts, exposure, exposureMicroUsd, earliestExpiry, oldestAddedAt }
      })
  }

  drain(payer: string, name: string, at: number): void {
    const pool = this.#table.pool(payer, name)
    if (pool) this.#table.setPool({ ...pool, drainingSince: pool.drainingSince ?? at }, at)
  }

  remove(payer: string, name: string): number {
    this.#table.removePool(payer, name)
    this.#purchases.remove(payer, name)
    return this.#table.dropAll(this.#table.freeOf(payer, name))
  }

  add(vouchers: readonly SignedVoucher[], options: AddOptions): Added {
    const pool = poolOf(vouchers, (payer, name) => this.#table.pool(payer, name))
    if (!pool) return { added: 0, known: 0, refused: {} }
    const { at, signed } = options
    const { admitted, result } = admit(vouchers, this.#table.poolUsage(pool, at), options, (voucher) => {
      if (this.#charges.isRecorded(voucher)) return 'other'
      const entry = this.#table.entries.get(voucher.id)
      return entry && (entry.closed === 'dropped' && entry.charge === undefined ? 'dropped' : 'other')
    })
    for (const { voucher, usableUntil, revived } of admitted) {
      const { payment, turn: _turn, ...unsigned } = voucher
      // A voucher that is added again keeps its age.
      const before = revived ? this.#table.entries.get(voucher.id) : undefined
      this.#table.entries.set(voucher.id, {
        voucher: unsigned,
        payment,
        signed: before?.signed ?? signed,
        ordered: before?.ordered ?? options.ordered === true,
        addedAt: before?.addedAt ?? at,
        usableUntil: before ? Math.min(before.usableUntil, usableUntil) : usableUntil,
        charge: undefined,
        closed: undefined,
      })
    }
    if (options.ordered === true) {
      const { added } = result
      this.#purchases.deliver(pool.payer, pool.name, added, BigInt(added) * pool.amount)
    }
    return result
  }

  claim(request: ClaimRequest): Claimed {
    const charge = assertClaimable(
      this.#charges.get(request.charge),
      request,
      this.#table.byCharge.has(request.charge),
    )
    const { network, asset, payTo, amount } = charge
    const terms = {
      seller: sellerBase(charge.apiBase),
      network,
      asset,
      payTo,
      amount,
      method: request.method,
    }
    const free = [...this.#table.entries.values()]
      .filter(({ charge: taken, closed }) => taken === undefined && closed === undefined)
      .filter(({ voucher }) => voucher.payer === charge.payer)
      .filter(({ voucher }) => request.pool === undefined || voucher.pool === request.pool)
      .filter(({ voucher }) => voucher.seller === terms.seller)
      .toSorted((a, b) => byEnd({ ...a, id: a.voucher.id }, { ...b, id: b.voucher.id }))
    const usable = free.filter(
      ({ usableUntil, voucher }) => request.at < usableUntil && voucher.validAfter * 1000 <= request.at,
    )
    const entry = usable.find(({ voucher }) => sameTerms(voucher, terms))
    if (entry?.payment === undefined) {
      const others = usable[0]?.voucher
      return others
        ? { ok: false, reason: 'terms_changed', others }
        : { ok: false, reason: free.length > 0 ? 'expired' : 'empty', others: undefined }
    }
    entry.charge = charge.id
    this.#table.byCharge.set(charge.id, entry)
    return { ok: true, voucher: { ...entry.voucher, payment: entry.payment } }
  }

  spentElsewhere(payer: string, pool: string, keys: readonly string[]): number {
    const wanted = new Set(keys)
    const entries = [...this.#table.entries.values()].filter(
      ({ voucher, charge, closed }) =>
        voucher.payer === payer &&
        voucher.pool === pool &&
        wanted.has(voucher.key) &&
        charge === undefined &&
        closed !== 'spent',
    )
    for (const entry of entries) Object.assign(entry, { closed: 'spent', payment: undefined })
    return entries.length
  }

  exported(payer: string, pool: string, at: number): SignedVoucher[] {
    return [...this.#table.byCharge.values()]
      .filter(({ voucher }) => voucher.payer === payer && voucher.pool === pool)
      .filter(({ voucher, charge }) => voucher.validBefore * 1000 > at && this.#table.isExported(charge))
      .toSorted((a, b) => byEnd({ ...a, id: a.voucher.id }, { ...b, id: b.voucher.id }))
      .flatMap(({ voucher, payment }) => (payment === undefined ? [] : [{ ...voucher, payment }]))
  }

  room(
    payer: string,
    name: string,
    wanted: number,
    options: AddOptions & { readonly microUsd: bigint | undefined },
  ): number {
    const pool = this.#table.pool(payer, name)
    return pool ? roomFor(wanted, options.microUsd, this.#table.poolUsage(pool, options.at), options) : 0
  }

  drop(ids: readonly string[]): number {
    const entries = [...new Set(ids)].flatMap((id) => this.#table.entries.get(id) ?? [])
    return this.#table.dropAll(
      entries.filter(({ charge, closed }) => charge === undefined && closed === undefined),
    )
  }

  retain(payer: string, pool: string, ids: ReadonlySet<string>): number {
    return this.#table.dropAll(this.#table.freeOf(payer, pool).filter(({ voucher }) => !ids.has(voucher.id)))
  }

  list(query: VoucherQuery & { readonly at: number }): StoredVoucher[] {
    const { payer, pool, states, at } = query
    return [...this.#table.entries.values()]
      .filter(({ voucher }) => payer === undefined || voucher.payer === payer)
      .filter(({ voucher }) => pool === undefined || voucher.pool === pool)
      .map((entry) => {
        const { voucher, addedAt, usableUntil, charge } = entry
        return { ...voucher, state: this.#table.stateOf(entry, at), addedAt, usableUntil, charge }
      })
      .filter(({ state }) => states === undefined || states.includes(state))
      .toSorted(byEnd)
      .slice(0, queryLimit(query))
  }

  usedKeys(payer: string): ReadonlyMap<string, readonly string[]> {
    const keys = new Map<string, string[]>()
    const entries = [...this.#table.entries.values()].toSorted((a, b) => compare(a.voucher.id, b.voucher.id))
    for (const { voucher, charge, closed } of entries) {
      const state = charge === undefined ? undefined : this.#charges.get(charge)?.state
      const used = closed === 'spent' || (state !== undefined && state !== 'held')
      if (voucher.payer !== payer || !used) continue
      keys.set(voucher.pool, [...(keys.get(voucher.pool) ?? []), voucher.key])
    }
    return keys
  }
}
