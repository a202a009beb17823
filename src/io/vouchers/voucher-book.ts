/**
 * Loads, claims, exports, drains and refills vouchers for every kind of payer: changes the store, records each change in the
 * audit file and explains refusals.
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
import type { LedgerUse } from '../ledger/ledger-use.ts'
import type { Added, Claimed, VoucherStore } from '../store/contracts/vouchers.ts'

/** Number of vouchers that are exported at once, so that they share a commit. */
const EXPORT_BATCH = 64

/** The vouchers in the ledger's store, and what exporting them does to budgets. */
type VoucherLedger = LedgerUse<'reserve' | 'authorize' | 'release' | 'note', 'vouchers'>

/** What {@link VoucherBook} works with. */
export interface VoucherBookContext {
  readonly ledger: VoucherLedger
  readonly clock: Clock
  readonly limits: VoucherLimits
}

/** The result of exporting vouchers. */
export interface Exported {
  /** Recorded as authorized, so they count as spent until proven unspent (rule 8). Each must now be written to its file. */
  readonly vouchers: readonly SignedVoucher[]
  /** Why there are fewer than requested, for example `budget_exhausted` or `pool_exhausted`. */
  readonly stopped: TollwayError | undefined
}

/** The vouchers of one store. */
export class VoucherBook {
  readonly #ledger: VoucherLedger
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

  /** The pools and the number of their vouchers by state. @throws TollwayError `store_unavailable` */
  async pools(payer?: string): Promise<PoolStatus[]> {
    return await this.store.pools({ payer, at: this.#clock.now() })
  }

  /** One pool, or `undefined`. @throws TollwayError `store_unavailable` */
  async pool(payer: string, name: string): Promise<PoolStatus | undefined> {
    return (await this.pools(payer)).find(({ pool }) => pool.name === name)
  }

  /**
   * Creates or changes a pool. Changed terms drop all its free vouchers.
   * @returns how many vouchers were dropped
   * @throws TollwayError `store_unavailable`
   */
  async define(pool: VoucherPool): Promise<number> {
    const dropped = await this.store.define(pool, this.#clock.now())
    if (dropped > 0) await this.#note('vouchers.dropped', pool, { count: dropped, reason: 'terms_changed' })
    return dropped
  }

  /**
   * Adds vouchers to a pool within the limits.
   * @param signed whether this process signed them; the limits of the pool's refill policy then apply too
   * @param ordered whether they count as delivered for the purchase's order
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
   * How many more vouchers may be added to a pool now, at most `wanted`. Call it before signing.
   * @param microUsd the USD value of one voucher, micro-USD
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
   * Claims a voucher for a held charge, with exactly its seller, payee, asset, network and amount.
   * @param pool claims from this pool only
   * @throws TollwayError `pool_exhausted`, `pool_terms_changed`, `store_unavailable`
   */
  async claim(charge: string, method: AuthorizationMethod, pool?: string): Promise<SignedVoucher> {
    const claimed = await this.store.claim({ charge, method, pool, at: this.#clock.now() })
    if (claimed.ok) return claimed.voucher
    throw refusal(claimed, pool)
  }

  /**
   * Exports vouchers to another process, which will use them without asking. Before this returns a voucher, it is reserved in the
   * budgets and recorded as authorized (rule 8). The chain proves later what became of it.
   * @param count how many vouchers
   * @param rules the budgets
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
   * The vouchers that were exported before at the pool's current terms and may still be used; see {@link VoucherStore.exported}.
   * Vouchers with another price or payee are left out: a seller would refuse a program that uses them, again and again.
   */
  async exported(pool: VoucherPool): Promise<SignedVoucher[]> {
    const vouchers = await this.store.exported(pool.payer, pool.name, this.#clock.now())
    return vouchers.filter((voucher) => sameTerms(voucher, pool))
  }

  /** Stops adding vouchers to a pool; the remaining ones can still be used. @throws TollwayError `store_unavailable` */
  async drain(pool: VoucherPool): Promise<void> {
    await this.store.drain(pool.payer, pool.name, this.#clock.now())
    await this.#note('vouchers.draining', pool, {})
  }

  /**
   * Drops the free vouchers of a pool and removes the pool. Claimed vouchers keep following their charges.
   * @returns how many vouchers were dropped
   * @throws TollwayError `store_unavailable`
   */
  async remove(pool: VoucherPool): Promise<number> {
    const dropped = await this.store.remove(pool.payer, pool.name)
    await this.#note('vouchers.removed', pool, { dropped })
    return dropped
  }

  /**
   * Removes the draining pools that have no usable or claimed voucher left.
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
      message: `The vouchers ${where} were signed for other terms (${amount} smallest units of ${asset} on ${network} by ${method}, to ${payTo}) than the seller asks for. No voucher was used, and nothing was paid.`,
      advice: [
        'If the new terms are legitimate, refill the pool with them; its old vouchers are then dropped.',
      ],
      details,
    })
  }
  const expired = claimed.reason === 'expired'
  return new TollwayError({
    code: 'pool_exhausted',
    message: expired
      ? `All remaining vouchers ${where} have expired. Nothing was paid.`
      : `No voucher is left ${where}. Nothing was paid.`,
    advice: ['Sign new vouchers and load them: the pool is reloaded automatically.'],
    details,
  })
}
