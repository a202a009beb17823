/** Which upstreams' vouchers may pay for a charge, and in which order they are tried. */
import type { Charge } from '../../src/core/charge/charge.ts'
import { TollwayError } from '../../src/core/errors.ts'
import {
  sameTerms,
  sellerBase,
  type VoucherPool,
  type VoucherTerms,
} from '../../src/core/vouchers/voucher.ts'

/** The part of an upstream that is used here. */
interface Upstream {
  readonly name: string
  readonly pool: VoucherPool
}

/** The names of the routes that an upstream provides without any configured route. */
export function routesOf(name: string, pool: Pick<VoucherPool, 'remoteModel'>): readonly string[] {
  return [`paid/${pool.remoteModel ?? name}`, `upstream/${name}`]
}

/**
 * The upstreams behind a charge's route. If several sell the model, only those of the charge's seller, with exactly matching
 * terms first. Empty for a configured route.
 */
export function upstreamsFor<T extends Upstream>(
  upstreams: readonly T[],
  charge: Charge,
  method: VoucherTerms['method'],
): readonly T[] {
  const { network, asset, payTo, amount, apiBase, route } = charge
  const terms = { seller: sellerBase(apiBase), network, asset, payTo, amount, method }
  const own = upstreams.filter(
    ({ name, pool }) => pool.seller === terms.seller && routesOf(name, pool).includes(route),
  )
  const [fitting, others] = [true, false].map((fits) =>
    own.filter(({ pool }) => sameTerms(pool, terms) === fits),
  )
  return [...(fitting ?? []), ...(others ?? [])]
}

/**
 * The first claim that succeeds, in the given order.
 * @throws the first error if none succeeds; any error other than an empty pool or changed terms immediately
 */
export async function firstClaim<T, R>(
  upstreams: readonly T[],
  claim: (upstream: T) => Promise<R>,
): Promise<R> {
  let first: unknown
  for (const upstream of upstreams) {
    try {
      return await claim(upstream)
    } catch (error) {
      if (!isWithoutVoucher(error)) throw error
      first ??= error
    }
  }
  throw first
}

/** Whether a claim found no voucher, and another pool may have one. */
export function isWithoutVoucher(error: unknown): boolean {
  return (
    error instanceof TollwayError && (error.code === 'pool_exhausted' || error.code === 'pool_terms_changed')
  )
}
