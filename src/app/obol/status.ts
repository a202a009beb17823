/** `/status` in the shape of x402-buyer, with additional fields. */
import type { ObolPool } from '../../../providers/obol/pool.ts'
import type { ObolUpstream } from '../../../providers/obol/pool-options.ts'
import { noVouchers, type PoolStatus } from '../../core/vouchers/voucher.ts'
import type { ObolPools } from './pool-routes.ts'

/** An upstream in `/status`: the first six fields are x402-buyer's own. */
export interface UpstreamStatus {
  readonly url: string
  readonly remote_model: string
  readonly public_model: string
  /** Usable now: without held, uncertain and expired vouchers. */
  readonly remaining: number
  readonly spent: number
  readonly network: string
  /** Smallest units, decimal. */
  readonly price: string
  readonly asset: string
  readonly pay_to: string
  readonly held: number
  /** Sent with an unknown outcome; never used again. */
  readonly quarantined: number
  readonly expired: number
  /** Expiry of the first usable voucher, ISO 8601. */
  readonly expires_at: string | null
}

/** Every upstream by name. @throws TollwayError `store_unavailable` */
export async function statusOf(pools: ObolPools): Promise<Record<string, UpstreamStatus>> {
  const entries: [string, UpstreamStatus][] = []
  for (const payer of pools.values()) {
    const statuses = await payer.status()
    for (const upstream of payer.upstreams) {
      entries.push([upstream.name, upstreamStatus(payer, upstream, statuses.get(upstream.name))])
    }
  }
  return Object.fromEntries(entries)
}

/** One upstream. @param status `undefined` if the store has nothing for it */
export function upstreamStatus(
  payer: ObolPool,
  { name, pool, document }: ObolUpstream,
  status: PoolStatus | undefined,
): UpstreamStatus {
  const counts = status?.counts ?? noVouchers()
  const expiry = status?.earliestExpiry
  // Vouchers of earlier runs are only in the state file; one in use by a request is in neither.
  const used = Math.max(payer.usedCount(name), counts.spent + counts.uncertain)
  return {
    url: document.url,
    remote_model: pool.remoteModel ?? '',
    public_model: `paid/${pool.remoteModel ?? name}`,
    remaining: counts.ready,
    spent: used + counts.held,
    network: document.network,
    price: pool.amount.toString(),
    asset: pool.asset,
    pay_to: pool.payTo,
    held: counts.held,
    quarantined: counts.uncertain,
    expired: counts.expired,
    expires_at: expiry === undefined ? null : new Date(expiry * 1000).toISOString(),
  }
}
