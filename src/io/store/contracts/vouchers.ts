/**
 * Vouchers: payments signed ahead. A claimed voucher follows its charge. The transaction that releases a charge without a
 * recorded authorization also frees its voucher; the transaction that records the authorization also erases the voucher's
 * signature. Nothing else frees a claimed voucher.
 */
import type {
  AddRefusal,
  PoolStatus,
  SignedVoucher,
  StoredVoucher,
  VoucherLimits,
  VoucherPool,
  VoucherState,
  VoucherTerms,
} from '../../../core/vouchers/voucher.ts'
import type { AuthorizationMethod } from '../../../core/money/assets.ts'

/** The result of adding vouchers. */
export interface Added {
  readonly added: number
  /** Vouchers that are already in the store in any state, or recorded with a charge because another payer had them too. */
  readonly known: number
  readonly refused: Readonly<Partial<Record<AddRefusal, number>>>
}

/** How vouchers are added. */
export interface AddOptions {
  readonly limits: VoucherLimits
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Whether this process signed them. False for vouchers loaded from files. */
  readonly signed: boolean
  /** Whether they belong to an order. They then count as delivered (purchases.ts). */
  readonly ordered?: boolean | undefined
}

/** What a claim asks for in addition to the charge's own terms. */
export interface ClaimRequest {
  /** A held charge; its payer, api_base, network, asset, payee and amount must be the voucher's. */
  readonly charge: string
  readonly method: AuthorizationMethod
  /** Claims from this pool only. Default: from every pool of the payer. */
  readonly pool?: string | undefined
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** The result of a claim. */
export type Claimed =
  | { readonly ok: true; readonly voucher: SignedVoucher }
  /**
   * `empty`: no voucher is left. `expired`: the remaining vouchers are no longer usable. `terms_changed`: the remaining
   * vouchers are for other terms; `others` is one example.
   */
  | {
      readonly ok: false
      readonly reason: 'empty' | 'expired' | 'terms_changed'
      readonly others: VoucherTerms | undefined
    }

/** Which vouchers are listed; what is left out matches all. */
export interface VoucherQuery {
  readonly payer?: string | undefined
  readonly pool?: string | undefined
  readonly states?: readonly VoucherState[] | undefined
  /** As in `ChargeQuery`. Vouchers that expire first come first. */
  readonly limit?: number | undefined
}

/** The vouchers of a store. Every method is one transaction. */
export interface VoucherStore {
  /**
   * Creates or changes a pool. When its payee, asset, price or any other term changed, its free vouchers are dropped because
   * no offer matches them any more.
   * @returns how many vouchers were dropped
   */
  define(pool: VoucherPool, at: number): Promise<number>
  /** Pools and what is in them, by payer and name. */
  pools(query: { readonly payer?: string | undefined; readonly at: number }): Promise<PoolStatus[]>
  /** Stops adding vouchers to a pool; the remaining ones can still be used. Does nothing for an unknown pool. */
  drain(payer: string, pool: string, at: number): Promise<void>
  /**
   * Drops the free vouchers of a pool and removes the pool. Claimed vouchers keep following their charges.
   * @returns how many vouchers were dropped
   */
  remove(payer: string, pool: string): Promise<number>

  /**
   * Adds vouchers of one pool in the given order until a limit is reached. The limits of the pool's refill policy (`total`,
   * `per_day`) apply only when `signed` is set: they limit what this process signs, not what it loads.
   * @throws Error when the pool is not defined, or the vouchers belong to several pools
   */
  add(vouchers: readonly SignedVoucher[], options: AddOptions): Promise<Added>
  /**
   * Claims the usable voucher that expires first for a held charge. One charge claims one voucher, and no other charge can
   * claim the same one.
   * @throws Error when the charge is unknown, not held, or has claimed before
   */
  claim(request: ClaimRequest): Promise<Claimed>
  /** Records that other programs used vouchers. Vouchers claimed here do not change. Returns how many were recorded. */
  spentElsewhere(payer: string, pool: string, keys: readonly string[]): Promise<number>
  /**
   * Vouchers of a pool that were handed to another process and may still be used there, with their signatures, so that the
   * file of the hand-over can be written again. They stay claimed.
   */
  exported(payer: string, pool: string, at: number): Promise<SignedVoucher[]>
  /**
   * How many more vouchers at the pool's price could be added now, at most `wanted`.
   * @param options - `microUsd`: USD value of one, micro-USD
   * @returns 0 for an unknown pool
   */
  room(
    payer: string,
    pool: string,
    wanted: number,
    options: AddOptions & { readonly microUsd: bigint | undefined },
  ): Promise<number>
  /** Drops free vouchers by id. Returns how many. */
  drop(ids: readonly string[]): Promise<number>
  /** Drops the free vouchers of a pool except these ids, because its files no longer hold them. Returns how many. */
  retain(payer: string, pool: string, ids: ReadonlySet<string>): Promise<number>
  /** Vouchers without their signatures. */
  list(query: VoucherQuery & { readonly at: number }): Promise<StoredVoucher[]>
  /** By pool, the keys of vouchers that no one else may use: spent, uncertain, or sent and not answered yet. */
  usedKeys(payer: string): Promise<ReadonlyMap<string, readonly string[]>>
}
