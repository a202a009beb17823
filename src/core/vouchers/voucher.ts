/**
 * Vouchers: authorizations signed in advance, each good for one payment of a fixed price. A signed and unspent voucher is
 * money (rule 8): while it is in the store it counts against its own exposure limit, and once a charge claims it, against the
 * budgets. Its state is derived from that charge, so the two can never disagree.
 */
import type { AuthorizationRecord, Charge } from '../charge/charge.ts'
import type { AuthorizationMethod } from '../money/assets.ts'

/**
 * - `ready`: unused, and valid for long enough to be used.
 * - `held`: claimed by a charge in progress.
 * - `spent`: its charge is settled, or another process reported it as used.
 * - `uncertain`: sent, and not yet proven spent or unspent. Never used again.
 * - `expired`: unused but no longer usable, or proven unspent after it expired.
 * - `dropped`: discarded before use; its signature is erased.
 */
export const VOUCHER_STATES = ['ready', 'held', 'spent', 'uncertain', 'expired', 'dropped'] as const

/** One of {@link VOUCHER_STATES}. */
export type VoucherState = (typeof VOUCHER_STATES)[number]

/**
 * The `route` of charges that reserve exported vouchers. Until such a charge is settled or released the signature stays in the
 * store, so that an incomplete export file can be written again. The space makes the name impossible for a configured route:
 * the vouchers of a route must never be mistaken for exported ones.
 */
export const EXPORT_ROUTE = 'handed over'

/** The shortest remaining validity of a voucher that is still used, seconds: sellers need time to settle it. */
export const MIN_LIFE_SECONDS = 10

/** What a voucher pays. Every field must match the quote exactly. */
export interface VoucherTerms {
  /** The seller's base URL without `/v1`, see {@link sellerBase}. */
  readonly seller: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
  /** Lower case. */
  readonly payTo: string
  /** Smallest units. */
  readonly amount: bigint
  readonly method: AuthorizationMethod
}

/** A voucher without its signature. */
export interface Voucher extends VoucherTerms {
  /** See {@link voucherId}. */
  readonly id: string
  /** Name under `payers` of the payer that may use it. */
  readonly payer: string
  /** The name of its pool within the payer. */
  readonly pool: string
  /** Lower case. */
  readonly from: string
  /** 32 bytes, `0x` and lower-case hex; for Permit2 too. */
  readonly nonce: string
  /** Unix seconds. */
  readonly validAfter: number
  /** Unix seconds. */
  readonly validBefore: number
  /** x402-buyer's key for it (its consume key). */
  readonly key: string
  /** USD value in micro-USD; `undefined` for an asset without one. */
  readonly microUsd: bigint | undefined
}

/** A voucher with its signed payment. It is worth its amount until it is used or expires: never log it. */
export interface SignedVoucher extends Voucher {
  /** The x402 v2 payment payload as JSON text, with `accepted` and `extensions` as signed. */
  readonly payment: string
  /** For vouchers that must be used in order: the nonce of the allowance that comes with it. Not kept by the store. */
  readonly turn?: number | undefined
}

/** A voucher as the store keeps it. */
export interface StoredVoucher extends Voucher {
  readonly state: VoucherState
  /** Milliseconds since the epoch. */
  readonly addedAt: number
  /** When it can no longer be claimed, milliseconds since the epoch. */
  readonly usableUntil: number
  /** The id of the charge that claimed it. */
  readonly charge: string | undefined
}

/** How a pool is refilled. */
export interface RefillPolicy {
  /** The pool is refilled when this many or fewer vouchers are ready. */
  readonly threshold: number
  /** Vouchers signed per refill. */
  readonly count: number
  /** The most vouchers ever signed for the pool; `undefined` for no limit. */
  readonly maxTotal: number | undefined
  /** The most signed in one UTC day, smallest units; `undefined` for no limit. */
  readonly maxPerDay: bigint | undefined
  /** Highest price of one voucher, smallest units: above it nothing is bought. `undefined` for no limit. */
  readonly maxPrice: bigint | undefined
}

/** A pool: vouchers of one seller, payee, asset and price. */
export interface VoucherPool extends VoucherTerms {
  readonly payer: string
  readonly name: string
  /** The seller's name for the model; `undefined` for a service without models. */
  readonly remoteModel: string | undefined
  readonly symbol: string
  readonly decimals: number
  readonly refill: RefillPolicy | undefined
  /** When draining began, milliseconds since the epoch: nothing is added any more, and the rest is used up. */
  readonly drainingSince: number | undefined
}

/** The number of vouchers in each state. */
export type VoucherCounts = Readonly<Record<VoucherState, number>>

/** A pool and its contents. */
export interface PoolStatus {
  readonly pool: VoucherPool
  readonly counts: VoucherCounts
  /** The sum of signed, unused and still valid vouchers, smallest units. */
  readonly exposure: bigint
  /** The same in micro-USD; vouchers without a USD value count as 0. */
  readonly exposureMicroUsd: bigint
  /** When the first ready voucher expires, Unix seconds. */
  readonly earliestExpiry: number | undefined
  /** When the oldest ready voucher was added, milliseconds since the epoch. */
  readonly oldestAddedAt: number | undefined
}

/** Limits on unused vouchers in the store. */
export interface VoucherLimits {
  /** The most unused vouchers of one payer. */
  readonly maxCount: number
  /** The highest USD value of the unused vouchers of one payer, micro-USD; `undefined` for no limit. */
  readonly maxMicroUsd: bigint | undefined
  /** How long a voucher may be used after it was added, milliseconds. */
  readonly maxAgeMs: number
  /** How far in the future a voucher may expire when it is added, milliseconds; no limit by default. */
  readonly maxLifeMs?: number | undefined
}

/** Why a voucher was not added. */
export type AddRefusal =
  | 'expired'
  | 'too_long'
  | 'count'
  | 'exposure'
  | 'unpriced'
  | 'total'
  | 'per_day'
  | 'draining'
  | 'other_terms'
  /** The order is already complete. */
  | 'order'
  /** The voucher would exceed the budget of the order. */
  | 'budget'

/** The state of a voucher, derived from the charge that claimed it. */
export function voucherState(
  voucher: { readonly usableUntil: number; readonly closed: 'spent' | 'dropped' | undefined },
  charge: Pick<Charge, 'state'> | undefined,
  at: number,
): VoucherState {
  const state = charge?.state
  switch (state) {
    case 'held':
    case 'authorized':
      return 'held'
    case 'settled':
      return 'spent'
    case 'uncertain':
      return 'uncertain'
    case 'released':
      // A charge released before it was recorded returns its voucher (the store clears the reference), so this one was proven unspent.
      return 'expired'
    case undefined:
      return voucher.closed ?? (at < voucher.usableUntil ? 'ready' : 'expired')
    default:
      return state satisfies never
  }
}

/** Ordered vouchers expire up to this many milliseconds earlier. */
const TURNS = 65_536

/**
 * When a voucher can no longer be claimed, milliseconds since the epoch. The voucher that expires first is used first, so among
 * vouchers that expire in the same second, one with an earlier turn expires slightly earlier.
 */
export function usableUntil(validBefore: number, addedAt: number, maxAgeMs: number, turn?: number): number {
  const end = Math.min((validBefore - MIN_LIFE_SECONDS) * 1000, addedAt + maxAgeMs)
  return turn === undefined ? end : end - (TURNS - 1 - (turn % TURNS))
}

/** Identifies an authorization whatever file or pool it came from: network, asset, payer address and nonce. */
export function voucherId(voucher: Pick<Voucher, 'network' | 'asset' | 'from' | 'nonce'>): string {
  return [voucher.network, voucher.asset, voucher.from, voucher.nonce].join('/').toLowerCase()
}

/** The base URL by which vouchers name their seller: without a trailing slash and `/v1`. */
export function sellerBase(apiBase: string): string {
  return apiBase.replace(/\/+$/, '').replace(/\/v1$/, '')
}

/** Whether two sets of terms are equal in every field. */
export function sameTerms(a: VoucherTerms, b: VoucherTerms): boolean {
  return (
    a.seller === b.seller &&
    a.network === b.network &&
    a.asset === b.asset &&
    a.payTo === b.payTo &&
    a.amount === b.amount &&
    a.method === b.method
  )
}

/**
 * Whether a request's charge may take over an exported voucher: the program that received it is one of our payers and now offers
 * it for this request, so it must count only once. True only for the identical authorization, not yet proven spent or unspent.
 */
export function mayTakeOver(handOver: Charge, charge: Charge, record: AuthorizationRecord): boolean {
  const { authorization: given, payTo, amount, network, asset, state } = handOver
  return (
    handOver.route === EXPORT_ROUTE &&
    charge.route !== EXPORT_ROUTE &&
    (state === 'authorized' || state === 'uncertain') &&
    given !== undefined &&
    given.from === record.from.toLowerCase() &&
    given.nonce === record.nonce.toLowerCase() &&
    given.validAfter === record.validAfter &&
    given.validBefore === record.validBefore &&
    (given.method ?? 'eip3009') === (record.method ?? 'eip3009') &&
    network === charge.network &&
    asset === charge.asset &&
    payTo === charge.payTo &&
    amount === charge.amount
  )
}

/** Whether the store no longer needs the signature of a claimed voucher. */
export function mayErase(charge: Charge): boolean {
  if (charge.state === 'held') return false
  return charge.route !== EXPORT_ROUTE || charge.state === 'settled' || charge.state === 'released'
}

/** What the ledger records before a voucher is sent (rule 3). */
export function voucherRecord(voucher: Voucher): AuthorizationRecord {
  const { from, nonce, validAfter, validBefore, method } = voucher
  return { from, nonce, validAfter, validBefore, method }
}

/** No vouchers in any state. */
export function noVouchers(): Record<VoucherState, number> {
  return { ready: 0, held: 0, spent: 0, uncertain: 0, expired: 0, dropped: 0 }
}
