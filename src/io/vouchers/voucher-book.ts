/**
 * The book of vouchers: what is in the store, with words for what goes wrong and a record of what was done. Loading,
 * claiming, handing over, draining and refilling go through here, whoever pays.
 */
import type { BudgetRule } from '../../core/budget/budget.ts'
import type { AuthorizationMethod } from '../../core/money/assets.ts'
import type { Clock } from '../../core/clock.ts'
import { TollwayError } from '../../core/errors.ts'
import {
  EXPORT_ROUTE,
  sameTerms,
  voucherRecord,
  type PoolStatus,
  type SignedVoucher,
  type VoucherLimits,
  type VoucherPool,
} from '../../core/vouchers/voucher.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Added, Claimed, VoucherStore } from '../store/contracts/vouchers.ts'

/** How many vouchers are handed over at once: their commits are shared. */
const EXPORT_BATCH = 64

/** What {@link VoucherBook} works with. */
export interface VoucherBookContext {
  readonly ledger: Ledger
  readonly clock: Clock
  readonly limits: VoucherLimits
}

/** What handing vouchers over came to. */
export interface Exported {
  /** Recorded as spent until proven otherwise; each must now reach the file it is meant for. */
  readonly vouchers: readonly SignedVoucher[]
  /** Why there are not as many as were asked for, e.g. `budget_exhausted` or `pool_exhausted`. */
  readonly stopped: TollwayError | undefined
}

/** See the file's head. */
export class VoucherBook {
  readonly #ledger: Ledger
  readonly #clock: Clock
  readonly #limits: VoucherLimits

  constructor({ ledger, clock, limits }: VoucherBookContext) {
    this.#ledger = ledger
    this.#clock = clock
    this.#limits = limits
  }

  /** The vouchers of the store, for reading. */
  get store(): VoucherStore {
    return this.#ledger.store.vouchers
  }

  /** Pools and what is in them. @throws TollwayError `store_unavailable` */
  async pools(payer?: string): Promise<PoolStatus[]> {
    return await this.store.pools({ payer, at: this.#clock.now() })
  }

  /** One pool, or `undefined`. @throws TollwayError `store_unavailable` */
  async pool(payer: string, name: string): Promise<PoolStatus | undefined> {
    return (await this.pools(payer)).find(({ pool }) => pool.name === name)
  }

  /**
   * Makes a pool or changes it; changed terms drop all its free vouchers.
   * @returns how many were dropped
   * @throws TollwayError `store_unavailable`
   */
  async define(pool: VoucherPool): Promise<number> {
    const dropped = await this.store.define(pool, this.#clock.now())
    if (dropped > 0) await this.#note('vouchers.dropped', pool, { count: dropped, reason: 'terms_changed' })
    return dropped
  }

  /**
   * Adds vouchers to a pool within the limits.
   * @param signed whether we signed them: then the pool's refill policy binds too
   * @param ordered whether they count towards what was ordered of the purchase
   * @throws TollwayError `store_unavailable`
   */
  async add(
    pool: VoucherPool,
    vouchers: readonly SignedVoucher[],
    signed: boolean,
    ordered = false,
  ): Promise<Added> {
    const at = this.#clock.now()
    const result = await this.store.add(vouchers, { limits: this.#limits, at, signed, ordered })
    if (result.added > 0) {
      await this.#note('vouchers.added', pool, {
        count: result.added,
        signed,
        refused: { ...result.refused },
      })
    }
    return result
  }

  /**
   * How many more vouchers may be added to a pool now, at most `wanted`; asked before anything is signed.
   * @param microUsd USD value of one, micro-USD
   * @throws TollwayError `store_unavailable`
   */
  async room(
    pool: VoucherPool,
    wanted: number,
    microUsd: bigint | undefined,
    signed: boolean,
    ordered = false,
  ): Promise<number> {
    const options = { limits: this.#limits, at: this.#clock.now(), signed, ordered, microUsd }
    return await this.store.room(pool.payer, pool.name, wanted, options)
  }

  /**
   * Claims a voucher for a held charge: of exactly its seller, payee, asset, network and amount.
   * @param pool only from this one
   * @throws TollwayError `pool_exhausted`, `pool_terms_changed`, `store_unavailable`
   */
  async claim(charge: string, method: AuthorizationMethod, pool?: string): Promise<SignedVoucher> {
    const claimed = await this.store.claim({ charge, method, pool, at: this.#clock.now() })
    if (claimed.ok) return claimed.voucher
    throw refusal(claimed, pool)
  }

  /**
   * Hands vouchers to another process, which will use them without asking: each is reserved in the budgets and recorded
   * as if it had been sent (rule 8), before this returns it. The chain tells later what became of it.
   * @param rules the budgets
   * @param count how many
   * @throws TollwayError `store_unavailable` only before the first; later it is in `stopped`
   */
  async export(
    pool: VoucherPool,
    count: number,
    rules: readonly BudgetRule[],
    requestId: string,
  ): Promise<Exported> {
    const vouchers: SignedVoucher[] = []
    let stopped: unknown
    while (vouchers.length < count && stopped === undefined) {
      const size = Math.min(EXPORT_BATCH, count - vouchers.length)
      const batch = await Promise.allSettled(
        Array.from({ length: size }, () => this.#exportOne(pool, rules, requestId)),
      )
      for (const result of batch) {
        if (result.status === 'fulfilled') vouchers.push(result.value)
        else stopped ??= result.reason
      }
    }
    if (stopped !== undefined && !(stopped instanceof TollwayError)) throw stopped
    if (vouchers.length > 0) await this.#note('vouchers.exported', pool, { count: vouchers.length })
    return { vouchers, stopped }
  }

  /**
   * What was handed over before at the pool's terms and may still be used there; see {@link VoucherStore.exported}. Those of
   * another price or payee are not among them: a program that takes them first is refused by the seller, again and again.
   */
  async exported(pool: VoucherPool): Promise<SignedVoucher[]> {
    const vouchers = await this.store.exported(pool.payer, pool.name, this.#clock.now())
    return vouchers.filter((voucher) => sameTerms(voucher, pool))
  }

  /** Takes nothing in any more and lets what is left be used up. @throws TollwayError `store_unavailable` */
  async drain(pool: VoucherPool): Promise<void> {
    await this.store.drain(pool.payer, pool.name, this.#clock.now())
    await this.#note('vouchers.draining', pool, {})
  }

  /**
   * Drops what is free and forgets the pool; what is on its way runs on.
   * @returns how many were dropped
   * @throws TollwayError `store_unavailable`
   */
  async remove(pool: VoucherPool): Promise<number> {
    const dropped = await this.store.remove(pool.payer, pool.name)
    await this.#note('vouchers.removed', pool, { dropped })
    return dropped
  }

  /**
   * Forgets the draining pools that have nothing left to use.
   * @returns their names
   * @throws TollwayError `store_unavailable`
   */
  async removeDrained(payer?: string): Promise<string[]> {
    const done = (await this.pools(payer)).filter(
      ({ pool, counts }) => pool.drainingSince !== undefined && counts.ready + counts.held === 0,
    )
    for (const { pool } of done) await this.remove(pool)
    return done.map(({ pool }) => pool.name)
  }

  async #exportOne(
    pool: VoucherPool,
    rules: readonly BudgetRule[],
    requestId: string,
  ): Promise<SignedVoucher> {
    const { payer, seller, network, asset, payTo, amount, symbol, decimals, method } = pool
    const [next] = await this.store.list({
      payer,
      pool: pool.name,
      states: ['ready'],
      limit: 1,
      at: this.#clock.now(),
    })
    if (!next) throw refusal({ ok: false, reason: 'empty', others: undefined }, pool.name)
    const held = await this.#ledger.reserve(
      {
        requestId,
        caller: 'cli',
        model: pool.remoteModel ?? pool.name,
        route: EXPORT_ROUTE,
        payer,
        seller: new URL(seller).origin,
        apiBase: seller,
        network,
        asset,
        symbol,
        decimals,
        payTo,
        amount,
        microUsd: next.microUsd,
      },
      rules,
      false,
    )
    try {
      const voucher = await this.claim(held.id, method, pool.name)
      await this.#ledger.authorize(held, voucherRecord(voucher))
      return voucher
    } catch (error) {
      await this.#ledger.release(held, error instanceof TollwayError ? error.code : 'internal_error')
      throw error
    }
  }

  async #note(type: string, pool: VoucherPool, more: Readonly<Record<string, unknown>>): Promise<void> {
    const { payer, name, seller, network, asset, payTo, amount } = pool
    const price = amount.toString()
    await this.#ledger.note(type, {
      payer,
      pool: name,
      seller,
      network,
      asset,
      pay_to: payTo,
      price,
      ...more,
    })
  }
}

function refusal(claimed: Exclude<Claimed, { ok: true }>, pool: string | undefined): TollwayError {
  const where = pool === undefined ? 'for this seller' : `in the pool "${pool}"`
  const details = { pool: pool ?? null, reason: claimed.reason }
  if (claimed.reason === 'terms_changed' && claimed.others) {
    const { amount, payTo, asset, network, method } = claimed.others
    return new TollwayError({
      code: 'pool_terms_changed',
      message: `The seller's price or payee is not what the vouchers ${where} were signed for (${amount} smallest units of ${asset} on ${network} by ${method}, to ${payTo}), so none was used.`,
      advice: ['Refill the pool at the new terms if they are right; the old vouchers are dropped then.'],
      details,
    })
  }
  const expired = claimed.reason === 'expired'
  return new TollwayError({
    code: 'pool_exhausted',
    message: expired
      ? `All vouchers left ${where} have expired; nothing was paid.`
      : `No voucher is left ${where}; nothing was paid.`,
    advice: ['Sign new ones and load them: the pool is read again by itself.'],
    details,
  })
}
