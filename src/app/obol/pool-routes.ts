/** The upstreams of pools as routes beside those of the configuration; they come and go with the files. */
import { routesOf } from '../../../providers/obol/pool-claim.ts'
import type { ObolPool } from '../../../providers/obol/pool.ts'
import type { ObolUpstream } from '../../../providers/obol/pool-options.ts'
import { strippedModel } from '../../../providers/obol/pool-vouchers.ts'
import type { Candidate, Route, RouteTable } from '../../core/routing/route.ts'

/** Pools by the name of their payer. */
export type ObolPools = ReadonlyMap<string, ObolPool>

/**
 * A table that serves the upstreams too: as `paid/<remoteModel>`, `openai/<remoteModel>` and by the bare name, as x402-buyer
 * does. A route of the configuration with exactly the name wins, one with a pattern does not.
 */
export function withPools(table: RouteTable, pools: ObolPools): RouteTable {
  if (pools.size === 0) return table
  return {
    get routes() {
      const own = new Set(table.routes.map(({ modelName }) => modelName))
      return [
        ...table.routes,
        ...upstreamsOf(pools)
          .map(routeOf)
          .filter(({ modelName }, index, all) => {
            const isFirst = all.findIndex((other) => other.modelName === modelName) === index
            return isFirst && !own.has(modelName)
          }),
      ]
    },
    aliases: table.aliases,
    resolve: (model) => table.resolve(model),
    fallbacks: (model, kind, facts) => table.fallbacks(model, kind, facts),
    match(model, facts) {
      const own = table.match(model, facts)
      const name = table.resolve(model)
      if (own.some(({ route }) => route.modelName === name)) return own
      const wanted = strippedModel(name)
      const pooled = upstreamsOf(pools)
        .filter(({ upstream }) => upstream.pool.remoteModel === wanted)
        .map((served, order): Candidate => ({
          route: { ...routeOf(served), order },
          remoteModel: wanted,
        }))
      return pooled.length > 0 ? pooled : own
    },
  }
}

/** An upstream, and the way to it whatever model a request names. */
export interface NamedUpstream {
  readonly upstream: ObolUpstream
  readonly candidate: Candidate
}

/** The upstream of a name. */
export function upstreamNamed(pools: ObolPools, name: string): NamedUpstream | undefined {
  const found = upstreamsOf(pools).find(({ upstream }) => upstream.name === name)
  if (!found) return undefined
  const { upstream } = found
  const [, modelName = name] = routesOf(upstream.name, upstream.pool)
  const route = { ...routeOf(found), modelName, model: undefined }
  return { upstream, candidate: { route, remoteModel: upstream.pool.remoteModel ?? name } }
}

/** An upstream and who pays there. */
interface Served {
  readonly payer: string
  readonly upstream: ObolUpstream
  readonly userAgent: string | undefined
}

function upstreamsOf(pools: ObolPools): Served[] {
  return [...pools].flatMap(([payer, { upstreams, userAgent }]) =>
    upstreams.map((upstream) => ({ payer, upstream, userAgent })),
  )
}

function routeOf({ payer, upstream: { name, pool }, userAgent }: Served): Route {
  const [modelName = name] = routesOf(name, pool)
  return {
    modelName,
    model: pool.remoteModel,
    apiBase: `${pool.seller}/v1`,
    payer,
    apiKey: undefined,
    userAgent,
    order: 0,
  }
}
