/**
 * Vouchers: authorizations signed ahead, each good for one payment of a fixed price. A signed and unspent one is
 * money (rule 8): it counts against its own exposure limit while it lies in our store, and against the budgets from
 * the moment a charge claims it. Its state is the state of that charge, so the two can never disagree.
 */
import type { AuthorizationRecord, Charge } from '../charge/charge.ts'
import type { AuthorizationMethod } from '../money/assets.ts'

/**
 * - `ready`: free, and long enough valid to be used.
 * - `held`: claimed by a charge that is on its way.
 * - `spent`: its charge is settled, or another process said it used it.
 * - `uncertain`: sent, and not yet proven spent or unspent. Never used again.
 * - `expired`: free, and no longer usable; or proven unspent after its end.
 * - `dropped`: given up before use; its signature is erased.
 */
export const VOUCHER_STATES = ['ready', 'held', 'spent', 'uncertain', 'expired', 'dropped'] as const

/** One of {@link VOUCHER_STATES}. */
export type VoucherState = (typeof VOUCHER_STATES)[number]

/**
 * `route` of the charges that represent vouchers handed to another process. Until such a charge is settled or released
 * the signature stays in the store, so that a file that was not written to its end can be written again. It has a space, which
 * no name of a route may have: the vouchers of a route must never be taken for handed over.
 */
export const EXPORT_ROUTE = 'handed over'

/** Shortest rest of validity with which a voucher is still handed out, seconds: sellers need time to settle it. */
export const MIN_LIFE_SECONDS = 10

/** What a voucher pays: all of it must be exactly what was quoted. */
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
  /** Name of its pool within the payer. */
  readonly pool: string
  /** Lower case. */
  readonly from: string
  /** 32 bytes, `0x` and lower-case hex; also Permit2's. */
  readonly nonce: string
  /** Unix seconds. */
  readonly validAfter: number
  /** Unix seconds. */
  readonly validBefore: number
  /** What other programs know it by: x402-buyer's consume key. */
  readonly key: string
  /** USD value in micro-USD; `undefined` for an asset without one. */
  readonly microUsd: bigint | undefined
}

/** A voucher with what is sent. Holding it is holding money: never log it. */
export interface SignedVoucher extends Voucher {
  /** The x402 v2 payment payload as JSON text, `accepted` and `extensions` as they were signed. */
  readonly payment: string
  /** Where vouchers must be used in an order: the nonce of the allowance that comes along. Not kept by the store. */
  readonly turn?: number | undefined
}

/** A voucher as the store keeps it. */
export interface StoredVoucher extends Voucher {
  readonly state: VoucherState
  /** Milliseconds since the epoch. */
  readonly addedAt: number
  /** Until when it may be claimed, milliseconds since the epoch. */
  readonly usableUntil: number
  /** The charge that claimed it. */
  readonly charge: string | undefined
}

/** How a pool is filled again. */
export interface RefillPolicy {
  /** Refilled when this many or fewer are ready. */
  readonly threshold: number
  /** How many are signed at once. */
  readonly count: number
  /** How many may ever be signed for the pool, `undefined` for no limit. */
  readonly maxTotal: number | undefined
  /** How much may be signed in one UTC day, smallest units, `undefined` for no limit. */
  readonly maxPerDay: bigint | undefined
  /** Highest price of one, smallest units; a seller that asks more is not bought from. `undefined` for no limit. */
  readonly maxPrice: bigint | undefined
}

/** A pool: vouchers of one seller, payee, asset and price. */
export interface VoucherPool extends VoucherTerms {
  readonly payer: string
  readonly name: string
  /** The seller's name of the model; `undefined` for a service that has none. */
  readonly remoteModel: string | undefined
  readonly symbol: string
  readonly decimals: number
  readonly refill: RefillPolicy | undefined
  /** Since when nothing is added any more and what is left is used up, milliseconds since the epoch. */
  readonly drainingSince: number | undefined
}

/** The number of vouchers in each state. */
export type VoucherCounts = Readonly<Record<VoucherState, number>>

/** A pool and what is in it. */
export interface PoolStatus {
  readonly pool: VoucherPool
  readonly counts: VoucherCounts
  /** Smallest units of vouchers that are signed, free and not yet past their validity. */
  readonly exposure: bigint
  /** The same in micro-USD; those without a USD value count with 0. */
  readonly exposureMicroUsd: bigint
  /** When the first ready one ends, Unix seconds. */
  readonly earliestExpiry: number | undefined
}

/** How many and how much may lie in the store, unused. */
export interface VoucherLimits {
  /** Free vouchers of one payer. */
  readonly maxCount: number
  /** USD value of the free vouchers of one payer, micro-USD; `undefined` for no limit. */
  readonly maxMicroUsd: bigint | undefined
  /** How long after it was added a voucher may be used, milliseconds. */
  readonly maxAgeMs: number
}

/** Why a voucher was not added. */
export type AddRefusal =
  | 'expired'
  | 'count'
  | 'exposure'
  | 'unpriced'
  | 'total'
  | 'per_day'
  | 'draining'
  | 'other_terms'
  /** Everything that was ordered is there. */
  | 'order'
  /** What was ordered may not cost more. */
  | 'budget'

/** What {@link VoucherState} a charge gives the voucher that it claimed. */
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
      // Released before it was recorded gives the voucher back (the store clears its charge); so this one was proven unspent.
      return 'expired'
    case undefined:
      return voucher.closed ?? (at < voucher.usableUntil ? 'ready' : 'expired')
    default:
      return state satisfies never
  }
}

/** Vouchers with a turn end up to this many milliseconds earlier. */
const TURNS = 65_536

/**
 * Until when a voucher may be claimed, milliseconds since the epoch. The first to end is used first, so of those that end in
 * the same second the one whose turn is earlier ends a little earlier.
 */
export function usableUntil(validBefore: number, addedAt: number, maxAgeMs: number, turn?: number): number {
  const end = Math.min((validBefore - MIN_LIFE_SECONDS) * 1000, addedAt + maxAgeMs)
  return turn === undefined ? end : end - (TURNS - 1 - (turn % TURNS))
}

/** One authorization, whatever file or pool it came in: network, asset, payer address and nonce. */
export function voucherId(voucher: Pick<Voucher, 'network' | 'asset' | 'from' | 'nonce'>): string {
  return [voucher.network, voucher.asset, voucher.from, voucher.nonce].join('/').toLowerCase()
}

/** A base URL as vouchers name their seller: without a trailing slash and `/v1`. */
export function sellerBase(apiBase: string): string {
  return apiBase.replace(/\/+$/, '').replace(/\/v1$/, '')
}

/** Whether two sets of terms are the same in everything. */
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
 * Whether a request may pay with what was handed over: the process it was handed to is a payer of ours and gives it back, so
 * it counts once, as the request's. The very same authorization, of which nothing is known yet.
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

/** Whether the signature of a claimed voucher is of no more use in the store. */
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
