/** `/upstream/<name>/…`: a model endpoint of one upstream, whatever model the request names. */
import { TollwayError } from '../../core/errors.ts'
import { matchesPattern } from '../../core/route.ts'
import { modelEndpoint } from '../../../middleware/endpoints.ts'
import { exchangeOf } from '../../../middleware/exchange.ts'
import type { Handler, Request } from '../../../middleware/handler.ts'
import { named } from '../../../middleware/named.ts'
import { candidateFor, type ObolPools } from './pool-routes.ts'

/** The two halves: the path is rewritten before the body is read, the upstream chosen when its model is known. */
export interface UpstreamPaths {
  /** Mount before `readBody()`. */
  readonly rewrite: Handler
  /** Mount after it and before `modelRouter()`. */
  readonly choose: Handler
}

const PATH = /^\/upstream\/([^/?#]+)(\/[^?#]*)(\?[^#]*)?/

/** Makes the handlers of one gateway. */
export function upstreamPaths(pools: ObolPools): UpstreamPaths {
  const wanted = new WeakMap<object, string>()
  return {
    rewrite: named<Handler>('upstreamPaths', (req, _res, next) => {
      const [, encoded, rest = '', query = ''] = PATH.exec(req.url ?? '') ?? []
      const name = encoded === undefined ? undefined : decoded(encoded)
      if (name === undefined || pools.size === 0) return next()
      if (req.method !== 'POST' || modelEndpoint(rest) === undefined || !isServed(pools, name)) {
        return next(unknown(name))
      }
      wanted.set(exchangeOf(req), name)
      setUrl(req, `${rest}${query}`)
      next()
    }),
    choose: named<Handler>('upstreamChoice', (req, _res, next) => {
      const exchange = exchangeOf(req)
      const name = wanted.get(exchange)
      const { model } = exchange
      if (name === undefined || model === undefined) return next()
      const candidate = candidateFor(pools, name, model)
      const mayUse = [model, `paid/${model}`, `upstream/${name}`].some((each) =>
        exchange.allowedModels.some((pattern) => matchesPattern(pattern, each)),
      )
      if (!candidate || !mayUse) return next(unknown(name))
      exchange.candidates = [candidate]
      exchange.route = candidate.route.modelName
      next()
    }),
  }
}

/** `originalUrl` too: it is what a query is taken from. */
function setUrl(req: Request, url: string): void {
  Object.assign(req, { url, originalUrl: url })
}

function isServed(pools: ObolPools, name: string): boolean {
  return [...pools.values()].some(({ upstreams }) => upstreams.some((upstream) => upstream.name === name))
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function unknown(name: string): TollwayError {
  return new TollwayError({
    code: 'not_found',
    message: `There is no upstream "${name.replace(/[^\x20-\x7e]/g, '?').slice(0, 100)}", or not with this path and method.`,
    advice: ['GET /status lists the upstreams; POST to their model endpoints, e.g. /v1/chat/completions.'],
  })
}
