/** The vouchers of the memory store. */
import type { Charge } from '../../../core/charge/charge.ts'
import {
  EXPORT_ROUTE,
  mayErase,
  noVouchers,
  sameTerms,
  sellerBase,
  voucherState,
  type PoolStatus,
  type SignedVoucher,
  type StoredVoucher,
  type Voucher,
  type VoucherPool,
} from '../../../core/vouchers/voucher.ts'
import type { MemoryPurchases } from './memory-purchases.ts'
import { queryLimit } from '../rules/charge-rules.ts'
import {
  admit,
  assertClaimable,
  byEnd,
  poolOf,
  roomFor,
  utcDay,
  type Standing,
} from '../rules/voucher-rules.ts'
import type {
  Added,
  AddOptions,
  Claimed,
  ClaimRequest,
  VoucherQuery,
  VoucherStore,
} from '../voucher-store.ts'

interface Entry {
  readonly voucher: Voucher
  /** Erased once it is sent, used elsewhere or dropped. */
  payment: string | undefined
  readonly signed: boolean
  /** Whether it counts as delivered of its purchase. */
  readonly ordered: boolean
  readonly addedAt: number
  readonly usableUntil: number
  charge: string | undefined
  closed: 'spent' | 'dropped' | undefined
}

interface Pool {
  pool: VoucherPool
  readonly createdAt: number
}

/** See the file's head. */
export class MemoryVouchers implements VoucherStore {
  readonly #entries = new Map<string, Entry>()
  readonly #byCharge = new Map<string, Entry>()
  readonly #pools = new Map<string, Pool>()
  readonly #charge: (id: string) => Charge | undefined
  readonly #isRecorded: (voucher: Voucher) => boolean
  readonly #assertOpen: () => void
  readonly #purchases: MemoryPurchases

  /**
   * @param books - `charge` reads a charge of the store; `isRecorded`: whether one was paid with a voucher
   * @param assertOpen throws once the store is closed
   * @param purchases follow their pools
   */
  constructor(
    books: {
      readonly charge: (id: string) => Charge | undefined
      readonly isRecorded: (voucher: Voucher) => boolean
    },
    assertOpen: () => void,
    purchases: MemoryPurchases,
  ) {
    this.#purchases = purchases
    this.#charge = books.charge
    this.#isRecorded = books.isRecorded
    this.#assertOpen = assertOpen
  }

  /** Follows a charge that moved; see {@link VoucherStore}. */
  follow(charge: Charge): void {
    const entry = this.#byCharge.get(charge.id)
    if (!entry) return
    if (charge.state === 'released' && !charge.authorization) {
      this.#byCharge.delete(charge.id)
      entry.charge = undefined
      this.#giveBack(entry)
    } else if (mayErase(charge)) {
      entry.payment = undefined
    }
  }

  /**
   * Gives the voucher of a hand-over to the charge that takes it over; its signature is sent now, and erased.
   * @returns false when that charge has claimed one of its own
   */
  takeOver(handOver: string, charge: string): boolean {
    if (this.#byCharge.has(charge)) return false
    const entry = this.#byCharge.get(handOver)
    if (!entry) return true
    this.#byCharge.delete(handOver)
    this.#byCharge.set(charge, entry)
    Object.assign(entry, { charge, payment: undefined })
    return true
  }

  async define(pool: VoucherPool, at: number): Promise<number> {
    this.#assertOpen()
    const key = poolKey(pool.payer, pool.name)
    const before = this.#pools.get(key)
    this.#pools.set(key, { pool, createdAt: before?.createdAt ?? at })
    if (!before || sameTerms(before.pool, pool)) return 0
    const stale = this.#freeOf(pool.payer, pool.name).filter(({ voucher }) => !sameTerms(voucher, pool))
    for (const entry of stale) this.#undeliver(entry)
    return this.#dropAll(stale)
  }

  async pools({ payer, at }: { payer?: string | undefined; at: number }): Promise<PoolStatus[]> {
    this.#assertOpen()
    return [...this.#pools.values()]
      .map(({ pool }) => pool)
      .filter((pool) => payer === undefined || pool.payer === payer)
      .toSorted((a, b) => compare(a.payer, b.payer) || compare(a.name, b.name))
      .map((pool) => {
        const counts = noVouchers()
        let [exposure, exposureMicroUsd] = [0n, 0n]
        let earliestExpiry: number | undefined
        for (const entry of this.#entries.values()) {
          const { voucher } = entry
          if (voucher.payer !== pool.payer || voucher.pool !== pool.name) continue
          const state = this.#stateOf(entry, at)
          counts[state] += 1
          if (state === 'ready') earliestExpiry = Math.min(earliestExpiry ?? Infinity, voucher.validBefore)
          if (!isFree(entry, at)) continue
          exposure += voucher.amount
          exposureMicroUsd += voucher.microUsd ?? 0n
        }
        return { pool, counts, exposure, exposureMicroUsd, earliestExpiry }
      })
  }

  async drain(payer: string, name: string, at: number): Promise<void> {
    this.#assertOpen()
    const entry = this.#pools.get(poolKey(payer, name))
    if (entry) entry.pool = { ...entry.pool, drainingSince: entry.pool.drainingSince ?? at }
  }

  async remove(payer: string, name: string): Promise<number> {
    this.#assertOpen()
    this.#pools.delete(poolKey(payer, name))
    this.#purchases.remove(payer, name)
    return this.#dropAll(this.#freeOf(payer, name))
  }

  async add(vouchers: readonly SignedVoucher[], options: AddOptions): Promise<Added> {
    this.#assertOpen()
    const pool = poolOf(vouchers, (payer, name) => this.#pools.get(poolKey(payer, name))?.pool)
    if (!pool) return { added: 0, known: 0, refused: {} }
    const { at, signed } = options
    const { admitted, result } = admit(vouchers, this.#standing(pool, at), options, (voucher) => {
      if (this.#isRecorded(voucher)) return 'other'
      const entry = this.#entries.get(voucher.id)
      return entry && (entry.closed === 'dropped' && entry.charge === undefined ? 'dropped' : 'other')
    })
    for (const { voucher, usableUntil, revived } of admitted) {
      const { payment, turn: _turn, ...unsigned } = voucher
      // A voucher that comes back is as old as it was.
      const before = revived ? this.#entries.get(voucher.id) : undefined
      this.#entries.set(voucher.id, {
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

  async claim(request: ClaimRequest): Promise<Claimed> {
    this.#assertOpen()
    const charge = assertClaimable(this.#charge(request.charge), request, this.#byCharge.has(request.charge))
    const { network, asset, payTo, amount } = charge
    const terms = {
      seller: sellerBase(charge.apiBase),
      network,
      asset,
      payTo,
      amount,
      method: request.method,
    }
    const free = [...this.#entries.values()]
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
    this.#byCharge.set(charge.id, entry)
    return { ok: true, voucher: { ...entry.voucher, payment: entry.payment } }
  }

  async spentElsewhere(payer: string, pool: string, keys: readonly string[]): Promise<number> {
    this.#assertOpen()
    const wanted = new Set(keys)
    const entries = [...this.#entries.values()].filter(
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

  async exported(payer: string, pool: string, at: number): Promise<SignedVoucher[]> {
    this.#assertOpen()
    return [...this.#byCharge.values()]
      .filter(({ voucher }) => voucher.payer === payer && voucher.pool === pool)
      .filter(({ voucher, charge }) => voucher.validBefore * 1000 > at && this.#isExported(charge))
      .toSorted((a, b) => byEnd({ ...a, id: a.voucher.id }, { ...b, id: b.voucher.id }))
      .flatMap(({ voucher, payment }) => (payment === undefined ? [] : [{ ...voucher, payment }]))
  }

  async room(
    payer: string,
    name: string,
    wanted: number,
    options: AddOptions & { readonly microUsd: bigint | undefined },
  ): Promise<number> {
    this.#assertOpen()
    const pool = this.#pools.get(poolKey(payer, name))?.pool
    return pool ? roomFor(wanted, options.microUsd, this.#standing(pool, options.at), options) : 0
  }

  async drop(ids: readonly string[]): Promise<number> {
    this.#assertOpen()
    const entries = [...new Set(ids)].flatMap((id) => this.#entries.get(id) ?? [])
    return this.#dropAll(entries.filter(({ charge, closed }) => charge === undefined && closed === undefined))
  }

  async retain(payer: string, pool: string, ids: ReadonlySet<string>): Promise<number> {
    this.#assertOpen()
    return this.#dropAll(this.#freeOf(payer, pool).filter(({ voucher }) => !ids.has(voucher.id)))
  }

  async list(query: VoucherQuery & { readonly at: number }): Promise<StoredVoucher[]> {
    this.#assertOpen()
    const { payer, pool, states, at } = query
    return [...this.#entries.values()]
      .filter(({ voucher }) => payer === undefined || voucher.payer === payer)
      .filter(({ voucher }) => pool === undefined || voucher.pool === pool)
      .map((entry) => {
        const { voucher, addedAt, usableUntil, charge } = entry
        return { ...voucher, state: this.#stateOf(entry, at), addedAt, usableUntil, charge }
      })
      .filter(({ state }) => states === undefined || states.includes(state))
      .toSorted(byEnd)
      .slice(0, queryLimit(query))
  }

  async usedKeys(payer: string): Promise<ReadonlyMap<string, readonly string[]>> {
    this.#assertOpen()
    const keys = new Map<string, string[]>()
    const entries = [...this.#entries.values()].toSorted((a, b) => compare(a.voucher.id, b.voucher.id))
    for (const { voucher, charge, closed } of entries) {
      const state = charge === undefined ? undefined : this.#charge(charge)?.state
      const used = closed === 'spent' || (state !== undefined && state !== 'held')
      if (voucher.payer !== payer || !used) continue
      keys.set(voucher.pool, [...(keys.get(voucher.pool) ?? []), voucher.key])
    }
    return keys
  }

  /** Into its pool, where that stands and still has its terms; else it is dropped, as it would have been when it was free. */
  #giveBack(entry: Entry): void {
    const { payer, pool: name } = entry.voucher
    if (this.#isRecorded(entry.voucher)) {
      Object.assign(entry, { closed: 'spent', payment: undefined })
      return
    }
    const pool = this.#pools.get(poolKey(payer, name))?.pool
    if (pool && sameTerms(pool, entry.voucher)) return
    this.#dropAll([entry])
    if (pool) this.#undeliver(entry)
  }

  #undeliver({ ordered, voucher }: Entry): void {
    if (ordered) this.#purchases.deliver(voucher.payer, voucher.pool, -1, -voucher.amount)
  }

  #isExported(id: string | undefined): boolean {
    const charge = id === undefined ? undefined : this.#charge(id)
    return charge?.route === EXPORT_ROUTE && charge.authorization !== undefined
  }

  #standing(pool: VoucherPool, at: number): Standing {
    const today = utcDay(at)
    const createdAt = this.#pools.get(poolKey(pool.payer, pool.name))?.createdAt ?? at
    let [freeCount, freeMicroUsd, signedTotal, signedToday] = [0, 0n, 0, 0n]
    for (const entry of this.#entries.values()) {
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

  #stateOf(entry: Entry, at: number) {
    return voucherState(entry, entry.charge === undefined ? undefined : this.#charge(entry.charge), at)
  }

  #freeOf(payer: string, pool: string): Entry[] {
    return [...this.#entries.values()].filter(
      ({ voucher, charge, closed }) =>
        voucher.payer === payer && voucher.pool === pool && charge === undefined && closed === undefined,
    )
  }

  #dropAll(entries: readonly Entry[]): number {
    for (const entry of entries) Object.assign(entry, { closed: 'dropped', payment: undefined })
    return entries.length
  }
}

function isFree({ charge, closed, voucher }: Entry, at: number): boolean {
  return charge === undefined && closed === undefined && voucher.validBefore * 1000 > at
}

function poolKey(payer: string, name: string): string {
  return JSON.stringify([payer, name])
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
