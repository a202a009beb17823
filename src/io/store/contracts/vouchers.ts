/**
 * The vouchers of a store. Every method is one transaction. A claimed voucher follows its charge: the store clears the
 * claim in the very transaction that releases a charge nothing was recorded for, and erases the signature in the one
 * that records it as about to be sent; nothing else ever makes a claimed voucher free again.
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

/** What became of vouchers that were to be added. */
export interface Added {
  readonly added: number
  /** In the store already, in whatever state, or recorded with a charge: another payer had it, too. */
  readonly known: number
  readonly refused: Readonly<Partial<Record<AddRefusal, number>>>
}

/** How vouchers are added. */
export interface AddOptions {
  readonly limits: VoucherLimits
  /** Milliseconds since the epoch. */
  readonly at: number
  /** Whether we signed them, and did not load them from files of somebody else. */
  readonly signed: boolean
  /** Whether they were ordered: then they count as delivered (purchases.ts). */
  readonly ordered?: boolean | undefined
}

/** What a claim asks for beside the terms, which are the charge's own. */
export interface ClaimRequest {
  /** A held charge; its payer, api_base, network, asset, payee and amount must be the voucher's. */
  readonly charge: string
  readonly method: AuthorizationMethod
  /** Only from this pool; without it from every pool of the payer. */
  readonly pool?: string | undefined
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** What a claim came to. */
export type Claimed =
  | { readonly ok: true; readonly voucher: SignedVoucher }
  /**
   * `empty`: no voucher is left. `expired`: those left are no longer usable. `terms_changed`: those left are for other
   * terms, of which `others` is an example.
   */
  | {
      readonly ok: false
      readonly reason: 'empty' | 'expired' | 'terms_changed'
      readonly others: VoucherTerms | undefined
    }

/** Which vouchers are meant; what is left out matches all. */
export interface VoucherQuery {
  readonly payer?: string | undefined
  readonly pool?: string | undefined
  readonly states?: readonly VoucherState[] | undefined
  /** As in {@link ChargeQuery}; the first to end come first. */
  readonly limit?: number | undefined
}

/** See the file's head. */
export interface VoucherStore {
  /**
   * Makes a pool, or changes it. When payee, asset, price or another of its terms changed, all its free vouchers are
   * dropped: they could pay nobody any more.
   * @returns how many were dropped
   */
  define(pool: VoucherPool, at: number): Promise<number>
  /** Pools and what is in them, by payer and name. */
  pools(query: { readonly payer?: string | undefined; readonly at: number }): Promise<PoolStatus[]>
  /** Adds nothing any more; what is there is used up. Does nothing for an unknown pool. */
  drain(payer: string, pool: string, at: number): Promise<void>
  /**
   * Drops the free vouchers of a pool and forgets the pool; what is claimed runs on.
   * @returns how many were dropped
   */
  remove(payer: string, pool: string): Promise<number>

  /**
   * Adds vouchers to their pools, which must be defined, in the given order until a limit is reached. Limits of the pool's refill
   * policy (`total`, `per_day`) are only asked when `signed` is set: they are about what we sign, not about what is loaded.
   */
  add(vouchers: readonly SignedVoucher[], options: AddOptions): Promise<Added>
  /**
   * Takes the usable voucher that ends first for a held charge. Each is claimed by one charge, each charge claims one.
   * @throws Error when the charge is unknown, not held, or has claimed before
   */
  claim(request: ClaimRequest): Promise<Claimed>
  /** Notes that other programs used vouchers; those that are claimed here are left alone. Returns how many. */
  spentElsewhere(payer: string, pool: string, keys: readonly string[]): Promise<number>
  /**
   * Vouchers of a pool that were handed to another process and may still be used there, with their signatures: for
   * writing the file they were handed over in again. They stay claimed.
   */
  exported(payer: string, pool: string, at: number): Promise<SignedVoucher[]>
  /**
   * How many more vouchers of a pool's price would be added now, at most `wanted`.
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
  /** Drops the free vouchers of a pool but for these ids: what its files no longer hold. Returns how many. */
  retain(payer: string, pool: string, ids: ReadonlySet<string>): Promise<number>
  /** Vouchers without their signatures. */
  list(query: VoucherQuery & { readonly at: number }): Promise<StoredVoucher[]>
  /** The keys of vouchers that must not be used by anybody else: spent, uncertain, or sent and not yet answered; by pool. */
  usedKeys(payer: string): Promise<ReadonlyMap<string, readonly string[]>>
}
