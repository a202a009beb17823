/** The rules of adding and claiming vouchers, the same in every store. */
import type { Charge } from '../../../core/charge/charge.ts'
import {
  sameTerms,
  usableUntil,
  type AddRefusal,
  type SignedVoucher,
  type StoredVoucher,
  type VoucherPool,
} from '../../../core/vouchers/voucher.ts'
import type { Added, AddOptions, ClaimRequest } from '../contracts/vouchers.ts'

/** What the limits of a pool and its payer are compared with when vouchers are added. */
export interface PoolUsage {
  readonly pool: VoucherPool
  /** Free and unexpired vouchers of the payer, in all its pools. */
  readonly freeCount: number
  readonly freeMicroUsd: bigint
  /** Vouchers signed for the pool since it was created. */
  readonly signedTotal: number
  /** Amount signed for the pool since the start of the UTC day, smallest units. */
  readonly signedToday: bigint
  /** How many vouchers of the pool's purchase are undelivered; `undefined` without a purchase. */
  readonly orderLeft: number | undefined
  /** The most that they may cost together, smallest units; `undefined` for no limit. */
  readonly costLeft?: bigint | undefined
}

/** A voucher that may be added. */
export interface Admitted {
  readonly voucher: SignedVoucher
  readonly usableUntil: number
  /** Whether it was dropped unused and now comes back. */
  readonly revived: boolean
}

/**
 * Decides which vouchers of one pool are added, in their order.
 * @param find what the store knows of a voucher: a dropped one may come back, any other known one may not
 */
export function admit(
  vouchers: readonly SignedVoucher[],
  usage: PoolUsage,
  { limits, at, signed, ordered }: AddOptions,
  find: (voucher: SignedVoucher) => 'dropped' | 'other' | undefined,
): { readonly admitted: Admitted[]; readonly result: Added } {
  const { pool } = usage
  const admitted: Admitted[] = []
  const seen = new Set<string>()
  const refused: Partial<Record<AddRefusal, number>> = {}
  let known = 0
  let { freeCount, freeMicroUsd, signedTotal, signedToday, costLeft } = usage
  for (const voucher of vouchers) {
    const found = find(voucher)
    if (found === 'other' || seen.has(voucher.id)) {
      known += 1
      continue
    }
    seen.add(voucher.id)
    const until = usableUntil(voucher.validBefore, at, limits.maxAgeMs, voucher.turn)
    const refusal = refuse(voucher, until)
    if (refusal) {
      refused[refusal] = (refused[refusal] ?? 0) + 1
      continue
    }
    freeCount += 1
    freeMicroUsd += voucher.microUsd ?? 0n
    if (costLeft !== undefined) costLeft -= voucher.amount
    if (signed) {
      signedTotal += 1
      signedToday += voucher.amount
    }
    admitted.push({ voucher, usableUntil: until, revived: found === 'dropped' })
  }
  return { admitted, result: { added: admitted.length, known, refused } }

  function refuse(voucher: SignedVoucher, until: number): AddRefusal | undefined {
    if (!sameTerms(voucher, pool)) return 'other_terms'
    if (pool.drainingSince !== undefined) return 'draining'
    if (until <= at) return 'expired'
    // Its signature would be money for as long as it is valid, wherever a copy of it lies.
    if (voucher.validBefore * 1000 - at > (limits.maxLifeMs ?? Infinity)) return 'too_long'
    if (ordered === true && admitted.length >= (usage.orderLeft ?? 0)) return 'order'
    if (ordered === true && costLeft !== undefined && voucher.amount > costLeft) return 'budget'
    if (freeCount + 1 > limits.maxCount) return 'count'
    if (limits.maxMicroUsd !== undefined) {
      if (voucher.microUsd === undefined) return 'unpriced'
      if (freeMicroUsd + voucher.microUsd > limits.maxMicroUsd) return 'exposure'
    }
    const { maxTotal, maxPerDay } = (signed ? pool.refill : undefined) ?? {}
    if (maxTotal !== undefined && signedTotal + 1 > maxTotal) return 'total'
    if (maxPerDay !== undefined && signedToday + voucher.amount > maxPerDay) return 'per_day'
    return undefined
  }
}

/** How many more vouchers at the pool's price fit, at most `wanted`. */
export function roomFor(
  wanted: number,
  microUsd: bigint | undefined,
  usage: PoolUsage,
  { limits, signed, ordered }: AddOptions,
): number {
  const { pool } = usage
  if (pool.drainingSince !== undefined) return 0
  if (limits.maxMicroUsd !== undefined && microUsd === undefined) return 0
  const { maxTotal, maxPerDay } = (signed ? pool.refill : undefined) ?? {}
  const bounds = [
    BigInt(limits.maxCount - usage.freeCount),
    ...(ordered === true ? [BigInt(usage.orderLeft ?? 0)] : []),
    ...(ordered === true && usage.costLeft !== undefined ? [usage.costLeft / pool.amount] : []),
    ...(maxTotal === undefined ? [] : [BigInt(maxTotal - usage.signedTotal)]),
    ...(maxPerDay === undefined ? [] : [(maxPerDay - usage.signedToday) / pool.amount]),
    ...(limits.maxMicroUsd === undefined || microUsd === undefined || microUsd === 0n
      ? []
      : [(limits.maxMicroUsd - usage.freeMicroUsd) / microUsd]),
  ]
  const least = bounds.reduce((a, b) => (b < a ? b : a), BigInt(wanted))
  return least < 0n ? 0 : Number(least)
}

/** The start of an instant's UTC day, milliseconds since the epoch. */
export function utcDay(at: number): number {
  return at - (at % 86_400_000)
}

/** The pool that all vouchers of one call belong to. @throws Error when they belong to several pools, or theirs is not defined */
export function poolOf(
  vouchers: readonly SignedVoucher[],
  find: (payer: string, name: string) => VoucherPool | undefined,
): VoucherPool | undefined {
  const [first] = vouchers
  if (!first) return undefined
  if (vouchers.some(({ payer, pool }) => payer !== first.payer || pool !== first.pool)) {
    throw new Error('one call added vouchers of several pools: add the vouchers of each pool separately')
  }
  const pool = find(first.payer, first.pool)
  if (!pool) throw new Error(`payer ${first.payer} has no pool ${first.pool}: define it first`)
  return pool
}

/** The charge that may claim a voucher. @throws Error when it may not: a bug in Tollway, never the client's mistake */
export function assertClaimable(
  charge: Charge | undefined,
  request: ClaimRequest,
  hasClaim: boolean,
): Charge {
  if (!charge)
    throw new Error(`there is no charge ${request.charge} in the store: reserve it before claiming`)
  if (charge.state !== 'held') {
    throw new Error(`charge ${charge.id} is ${charge.state}: only a held charge can claim a voucher`)
  }
  if (hasClaim) throw new Error(`charge ${charge.id} has already claimed a voucher`)
  return charge
}

/** The order in which vouchers are used: the one that expires first comes first. */
export function byEnd(
  a: Pick<StoredVoucher, 'usableUntil' | 'id'>,
  b: Pick<StoredVoucher, 'usableUntil' | 'id'>,
): number {
  if (a.usableUntil !== b.usableUntil) return a.usableUntil - b.usableUntil
  if (a.id === b.id) return 0
  return a.id < b.id ? -1 : 1
}
