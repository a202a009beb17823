/** Vouchers and pools in memory: the rows, and the questions that several methods of memory/vouchers.ts ask. */
import {
  EXPORT_ROUTE,
  sameTerms,
  voucherState,
  type Voucher,
  type VoucherPool,
  type VoucherState,
} from '../../../core/vouchers/voucher.ts'
import { utcDay, type PoolUsage } from '../rules/voucher-rules.ts'
import type { ChargeTable } from './charge-table.ts'
import type { MemoryPurchases } from './purchases.ts'

/** A voucher and what became of it. */
export interface Entry {
  readonly voucher: Voucher
  /** The signature; erased once it is sent, used elsewhere or dropped. */
  payment: string | undefined
  readonly signed: boolean
  /** Whether it counts as delivered of its purchase. */
  readonly ordered: boolean
  readonly addedAt: number
  readonly usableUntil: number
  charge: string | undefined
  closed: 'spent' | 'dropped' | undefined
}

/** A pool and when it was created. */
export interface PoolEntry {
  pool: VoucherPool
  readonly createdAt: number
}

/** The vouchers of the memory store. */
export class VoucherTable {
  readonly entries = new Map<string, Entry>()
  readonly byCharge = new Map<string, Entry>()
  readonly #pools = new Map<string, PoolEntry>()
  readonly #charges: ChargeTable
  readonly #purchases: MemoryPurchases

  /** @param purchases count what is delivered */
  constructor(charges: ChargeTable, purchases: MemoryPurchases) {
    this.#charges = charges
    this.#purchases = purchases
  }

  pools(): VoucherPool[] {
    return [...this.#pools.values()].map(({ pool }) => pool)
  }

  pool(payer: string, name: string): VoucherPool | undefined {
    return this.#pools.get(poolKey(payer, name))?.pool
  }

  /** Creates or changes a pool. */
  setPool(pool: VoucherPool, at: number): void {
    const key = poolKey(pool.payer, pool.name)
    this.#pools.set(key, { pool, createdAt: this.#pools.get(key)?.createdAt ?? at })
  }

  removePool(payer: string, name: string): void {
    this.#pools.delete(poolKey(payer, name))
  }

  /**
   * Returns an unused voucher to its pool if the pool still exists with the same terms. Otherwise the voucher is dropped, as it
   * would have been while it was free.
   */
  giveBack(entry: Entry): void {
    const { payer, pool: name } = entry.voucher
    if (this.#charges.isRecorded(entry.voucher)) {
      Object.assign(entry, { closed: 'spent', payment: undefined })
      return
    }
    const pool = this.pool(payer, name)
    if (pool && sameTerms(pool, entry.voucher)) return
    this.dropAll([entry])
    if (pool) this.undeliver(entry)
  }

  /** Counts a voucher as not delivered, where it was ordered. */
  undeliver({ ordered, voucher }: Entry): void {
    if (ordered) this.#purchases.deliver(voucher.payer, voucher.pool, -1, -voucher.amount)
  }

  /** Whether a charge holds a voucher for another process. */
  isExported(id: string | undefined): boolean {
    const charge = id === undefined ? undefined : this.#charges.get(id)
    return charge?.route === EXPORT_ROUTE && charge.authorization !== undefined
  }

  /** What the limits on adding are compared with. */
  poolUsage(pool: VoucherPool, at: number): PoolUsage {
    const today = utcDay(at)
    const createdAt = this.#pools.get(poolKey(pool.payer, pool.name))?.createdAt ?? at
    let [freeCount, freeMicroUsd, signedTotal, signedToday] = [0, 0n, 0, 0n]
    for (const entry of this.entries.values()) {
      const { voucher, signed, addedAt } = entry
      if (voucher.payer !== pool.payer) continue
      if (isFree(entry, at)) {
        freeCount += 1
        freeMicroUsd += voucher.microUsd ?? 0n
      }
      if (voucher.pool !== pool.name || !signed) continue
      if (addedAt >= createdAt) signedTotal += 1
      if (addedAt >= today) signedToday += voucher.amount
    }
    const left = this.#purchases.left(pool.payer, pool.name)
    return { pool, freeCount, freeMicroUsd, signedTotal, signedToday, ...left }
  }

  stateOf(entry: Entry, at: number): VoucherState {
    return voucherState(entry, entry.charge === undefined ? undefined : this.#charges.get(entry.charge), at)
  }

  /** Free vouchers of a pool, usable or not. */
  freeOf(payer: string, pool: string): Entry[] {
    return [...this.entries.values()].filter(
      ({ voucher, charge, closed }) =>
        voucher.payer === payer && voucher.pool === pool && charge === undefined && closed === undefined,
    )
  }

  /** Drops vouchers and erases their signatures. Returns how many. */
  dropAll(entries: readonly Entry[]): number {
    for (const entry of entries) Object.assign(entry, { closed: 'dropped', payment: undefined })
    return entries.length
  }
}

/** Whether a voucher is unused and within its validity. */
export function isFree({ charge, closed, voucher }: Entry, at: number): boolean {
  return charge === undefined && closed === undefined && voucher.validBefore * 1000 > at
}

function poolKey(payer: string, name: string): string {
  return JSON.stringify([payer, name])
}
