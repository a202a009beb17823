/** Feeds the metrics of x402-buyer from the events and the state of its upstreams. */
import { routesOf } from '../../../providers/obol/pool-claim.ts'
import type { ObolUpstream } from '../../../providers/obol/pool-options.ts'
import type { Charge } from '../../core/charge/charge.ts'
import type { ObolCounter, Observer, TollwayEvent } from '../../core/telemetry/events.ts'
import type { MetricSources } from '../../io/metrics/metric-sources.ts'
import type { ObolReading } from '../../io/metrics/obol-metrics.ts'
import type { VoucherStore } from '../../io/store/contracts/vouchers.ts'
import type { Clock } from '../../core/clock.ts'
import type { ObolPools } from './pool-routes.ts'
import { upstreamStatus } from './status.ts'

/** Observes charges and requests of pools. @param observe the metrics */
export function poolObserver(pools: ObolPools, observe: Observer): Observer {
  const tell = (counter: ObolCounter, upstream: ObolUpstream): void => {
    const { name, pool, document } = upstream
    const labels = { upstream: name, remoteModel: pool.remoteModel ?? '', chain: document.network }
    observe({ type: 'obol_buyer', counter, ...labels })
  }
  return (event) => {
    for (const [counter, upstream] of countersOf(event, pools)) tell(counter, upstream)
  }
}

/** The sources of the gauges for vouchers and for x402-buyer. */
export function poolSources(
  vouchers: VoucherStore,
  pools: ObolPools,
  clock: Clock,
): Pick<MetricSources, 'vouchers' | 'voucherTimes' | 'voucherExposure' | 'obol'> {
  const read = () => vouchers.pools({ at: clock.now() })
  return {
    vouchers: async () =>
      (await read()).flatMap(({ pool, counts }) =>
        Object.entries(counts).map(([state, count]) => ({
          payer: pool.payer,
          seller: new URL(pool.seller).origin,
          state,
          count,
        })),
      ),
    voucherTimes: async () =>
      (await read()).flatMap(({ pool, earliestExpiry, oldestAddedAt }) =>
        earliestExpiry === undefined || oldestAddedAt === undefined
          ? []
          : [
              {
                payer: pool.payer,
                seller: new URL(pool.seller).origin,
                oldest: oldestAddedAt / 1000,
                nextExpiry: earliestExpiry,
              },
            ],
      ),
    voucherExposure: async () =>
      (await read()).reduce((sum, { exposureMicroUsd }) => sum + exposureMicroUsd, 0n),
    ...(pools.size === 0 ? {} : { obol: () => readings(pools) }),
  }
}

async function readings(pools: ObolPools): Promise<ObolReading[]> {
  const all = await Promise.all(
    [...pools.values()].map(async (payer) => {
      const statuses = await payer.status()
      return payer.upstreams.map((upstream): ObolReading => {
        const { remaining, spent } = upstreamStatus(payer, upstream, statuses.get(upstream.name))
        const { name, pool, document } = upstream
        return {
          upstream: name,
          remoteModel: pool.remoteModel ?? '',
          chain: document.network,
          remaining,
          spent,
        }
      })
    }),
  )
  return all.flat()
}

function countersOf(event: TollwayEvent, pools: ObolPools): [ObolCounter, ObolUpstream][] {
  if (event.type === 'obol_state_failed') {
    return (pools.get(event.payer)?.upstreams ?? []).map((upstream) => ['confirm_spend_failure', upstream])
  }
  if (event.type === 'request') {
    const { payer, route } = event.summary
    const upstream = upstreamOf(pools, payer, route)
    // As in x402-buyer, calls to /upstream/<name>/ are not counted.
    return upstream && !route.startsWith('upstream/') ? [['requests', upstream]] : []
  }
  if (event.type !== 'charge') return []
  const { charge, from } = event
  const upstream = upstreamOf(pools, charge.payer, charge.route, charge.seller)
  if (!upstream) return []
  return movesOf(charge, from).map((counter) => [counter, upstream])
}

function movesOf(charge: Charge, from: Charge['state'] | undefined): ObolCounter[] {
  if (from === 'held' && charge.state === 'authorized') return ['payment_attempts']
  if (from !== 'authorized') return []
  if (charge.state === 'uncertain') return ['payment_failure']
  if (charge.state !== 'settled') return []
  return charge.proof === 'assumed'
    ? ['payment_success', 'payment_unsettled_confirmations']
    : ['payment_success']
}

/** A configured route that uses the pool counts for an upstream only if the pool has exactly one. */
function upstreamOf(
  pools: ObolPools,
  payer: string,
  route: string,
  seller?: string,
): ObolUpstream | undefined {
  const upstreams = pools.get(payer)?.upstreams ?? []
  const own = upstreams.filter(({ name, pool }) => routesOf(name, pool).includes(route))
  // Several upstreams may sell the same model.
  const sold = own.find(({ pool }) => new URL(pool.seller).origin === seller) ?? own[0]
  return sold ?? (upstreams.length === 1 ? upstreams[0] : undefined)
}
