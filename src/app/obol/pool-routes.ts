/** The upstreams of pools as routes next to the configured ones; they come and go with the files. */
import { routesOf } from '../../../providers/obol/pool-claim.ts'
import type { ObolPool } from '../../../providers/obol/pool.ts'
import type { ObolUpstream } from '../../../providers/obol/pool-options.ts'
import { strippedModel } from '../../../providers/obol/pool-vouchers.ts'
import type { Candidate, Route, RouteTable } from '../../core/routing/route.ts'

/** Pools by payer name. */
export type ObolPools = ReadonlyMap<string, ObolPool>

/**
 * A route table that also serves the upstreams as `paid/<remoteModel>`, `openai/<remoteModel>` and `<remoteModel>`, as
 * x402-buyer does. A configured route with exactly that name takes precedence; one with a pattern does not.
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

/** An upstream, and its route for any model in the request. */
export interface NamedUpstream {
  readonly upstream: ObolUpstream
  readonly candidate: Candidate
}

/** Finds an upstream by name. */
export function upstreamNamed(pools: ObolPools, name: string): NamedUpstream | undefined {
  const found = upstreamsOf(pools).find(({ upstream }) => upstream.name === name)
  if (!found) return undefined
  const { upstream } = found
  const [, modelName = name] = routesOf(upstream.name, upstream.pool)
  const route = { ...routeOf(found), modelName, model: undefined }
  return { upstream, candidate: { route, remoteModel: upstream.pool.remoteModel ?? name } }
}

/** An upstream and the payer that pays there. */
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
