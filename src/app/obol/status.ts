/** `/status` in the shape of x402-buyer, with what it does not tell beside it. */
import type { ObolPool } from '../../../providers/obol/pool.ts'
import type { ObolUpstream } from '../../../providers/obol/pool-options.ts'
import { noVouchers, type PoolStatus } from '../../core/vouchers/voucher.ts'
import type { ObolPools } from './pool-routes.ts'

/** An upstream as `/status` shows it: the first six are x402-buyer's own. */
export interface UpstreamStatus {
  readonly url: string
  readonly remote_model: string
  readonly public_model: string
  /** Usable now: held, uncertain and expired ones are not. */
  readonly remaining: number
  readonly spent: number
  readonly network: string
  /** Smallest units, decimal. */
  readonly price: string
  readonly asset: string
  readonly pay_to: string
  readonly held: number
  /** Sent, and nobody can say yet whether they were taken; never used again. */
  readonly quarantined: number
  readonly expired: number
  /** When the first usable one ends, ISO 8601. */
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

/** One upstream. @param status `undefined` when nothing of it is in the store */
export function upstreamStatus(
  payer: ObolPool,
  { name, pool, document }: ObolUpstream,
  status: PoolStatus | undefined,
): UpstreamStatus {
  const counts = status?.counts ?? noVouchers()
  const expiry = status?.earliestExpiry
  // Those of earlier times are in the state file alone; one that is on its way is in neither.
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
