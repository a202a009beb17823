/** What every store decides about vouchers alike: which may be added, and what they are called when they may not. */
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

/** How a pool and its payer stand when vouchers are to be added. */
export interface Standing {
  readonly pool: VoucherPool
  /** Signed, free and not past their validity, of the whole payer. */
  readonly freeCount: number
  readonly freeMicroUsd: bigint
  /** Ever signed for the pool since it was made. */
  readonly signedTotal: number
  /** Signed for the pool since the UTC day began, smallest units. */
  readonly signedToday: bigint
  /** How many of the pool's purchase are ordered and not delivered; `undefined` without a purchase. */
  readonly orderLeft: number | undefined
  /** What they may cost together, smallest units; `undefined` for no limit. */
  readonly costLeft?: bigint | undefined
}

/** A voucher that may be added. */
export interface Admitted {
  readonly voucher: SignedVoucher
  readonly usableUntil: number
  /** It was dropped before it was ever used, and is taken back. */
  readonly revived: boolean
}

/**
 * Which vouchers of one pool are added, in their order.
 * @param find what the store knows of one: `dropped` ones may come back, those that a charge was paid with may not
 */
export function admit(
  vouchers: readonly SignedVoucher[],
  standing: Standing,
  { limits, at, signed, ordered }: AddOptions,
  find: (voucher: SignedVoucher) => 'dropped' | 'other' | undefined,
): { readonly admitted: Admitted[]; readonly result: Added } {
  const { pool } = standing
  const admitted: Admitted[] = []
  const seen = new Set<string>()
  const refused: Partial<Record<AddRefusal, number>> = {}
  let known = 0
  let { freeCount, freeMicroUsd, signedTotal, signedToday, costLeft } = standing
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
    if (ordered === true && admitted.length >= (standing.orderLeft ?? 0)) return 'order'
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

/** How many more vouchers of the pool's price fit, at most `wanted`. */
export function roomFor(
  wanted: number,
  microUsd: bigint | undefined,
  standing: Standing,
  { limits, signed, ordered }: AddOptions,
): number {
  const { pool } = standing
  if (pool.drainingSince !== undefined) return 0
  if (limits.maxMicroUsd !== undefined && microUsd === undefined) return 0
  const { maxTotal, maxPerDay } = (signed ? pool.refill : undefined) ?? {}
  const bounds = [
    BigInt(limits.maxCount - standing.freeCount),
    ...(ordered === true ? [BigInt(standing.orderLeft ?? 0)] : []),
    ...(ordered === true && standing.costLeft !== undefined ? [standing.costLeft / pool.amount] : []),
    ...(maxTotal === undefined ? [] : [BigInt(maxTotal - standing.signedTotal)]),
    ...(maxPerDay === undefined ? [] : [(maxPerDay - standing.signedToday) / pool.amount]),
    ...(limits.maxMicroUsd === undefined || microUsd === undefined || microUsd === 0n
      ? []
      : [(limits.maxMicroUsd - standing.freeMicroUsd) / microUsd]),
  ]
  const least = bounds.reduce((a, b) => (b < a ? b : a), BigInt(wanted))
  return least < 0n ? 0 : Number(least)
}

/** Start of the UTC day of an instant, milliseconds since the epoch. */
export function utcDay(at: number): number {
  return at - (at % 86_400_000)
}

/** The pool all vouchers of one call belong to. @throws Error when they belong to several, or their pool is not defined */
export function poolOf(
  vouchers: readonly SignedVoucher[],
  find: (payer: string, name: string) => VoucherPool | undefined,
): VoucherPool | undefined {
  const [first] = vouchers
  if (!first) return undefined
  if (vouchers.some(({ payer, pool }) => payer !== first.payer || pool !== first.pool)) {
    throw new Error('vouchers of several pools were added at once: add each pool by itself')
  }
  const pool = find(first.payer, first.pool)
  if (!pool) throw new Error(`there is no pool ${first.pool} of payer ${first.payer}: define it first`)
  return pool
}

/** Whether a claim may be made for a charge. @throws Error when it may not: a fault of ours, never the request's */
export function assertClaimable(
  charge: Charge | undefined,
  request: ClaimRequest,
  hasClaim: boolean,
): Charge {
  if (!charge) throw new Error(`there is no charge ${request.charge} in the store: reserve before claiming`)
  if (charge.state !== 'held') {
    throw new Error(`charge ${charge.id} is ${charge.state}: only a held charge claims a voucher`)
  }
  if (hasClaim) throw new Error(`charge ${charge.id} has claimed a voucher already`)
  return charge
}

/** Order in which vouchers are used: the first to end first. */
export function byEnd(
  a: Pick<StoredVoucher, 'usableUntil' | 'id'>,
  b: Pick<StoredVoucher, 'usableUntil' | 'id'>,
): number {
  if (a.usableUntil !== b.usableUntil) return a.usableUntil - b.usableUntil
  if (a.id === b.id) return 0
  return a.id < b.id ? -1 : 1
}
