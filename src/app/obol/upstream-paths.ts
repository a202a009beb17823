/**
 * `/upstream/<name>/…`: any method and path of one upstream, as in x402-buyer: the prefix is removed and the rest appended to
 * the upstream's address. If the seller charges for it, it is paid like every other paid request.
 */
import { TollwayError } from '../../core/errors.ts'
import { DIRECT_ENDPOINT } from '../../core/request/exchange.ts'
import { matchesPattern } from '../../core/name-pattern.ts'
import type { Candidate } from '../../core/routing/route.ts'
import { modelEndpoint, plainPath } from '../../core/request/endpoints.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import { named } from '../../../middleware/http/handler.ts'
import { isUnambiguous } from '../../core/request/forwarded-paths.ts'
import { mayComeFromPage, pageRefused } from './page-request.ts'
import { upstreamNamed, type NamedUpstream, type ObolPools } from './pool-routes.ts'
import { printable } from '../../core/printable.ts'

/** Two handlers: one finds the upstream before the body is read, the other selects it when the model is known. */
export interface UpstreamPaths {
  /** Mount before `callerLimits()` and `readBody()`. */
  readonly find: Handler
  /** Mount after it and before `modelRouter()`. */
  readonly choose: Handler
}

const PATH = /^\/upstream\/([^/?#]+)(\/[^?#]*)(\?[^#]*)?/

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * Creates the handlers of one gateway.
 * @param asksForKeys whether every request had to present a caller key, which no web page has
 */
export function upstreamPaths(pools: ObolPools, asksForKeys: boolean): UpstreamPaths {
  const wanted = new WeakMap<object, string>()
  return {
    find: named<Handler>('upstreamPaths', (req, _res, next) => {
      const [, encoded, rest = '', query = ''] = PATH.exec(req.url ?? '') ?? []
      const name = encoded === undefined ? undefined : decoded(encoded)
      if (name === undefined || pools.size === 0) return next()
      const found = upstreamNamed(pools, name)
      const method = req.method ?? ''
      // A path with hidden segments could leave the part of the seller that was bought.
      const isPlain = plainPath(rest) !== undefined && isUnambiguous(rest)
      if (!found || !isPlain || !METHODS.has(method)) return next(unknown(name))
      if (!asksForKeys && mayComeFromPage(req)) return next(pageRefused())
      const exchange = exchangeOf(req)
      wanted.set(exchange, name)
      exchange.request.direct = { url: `${baseOf(found)}${rest}${query}` }
      exchange.endpoint = (method === 'POST' ? modelEndpoint(rest) : undefined) ?? DIRECT_ENDPOINT
      exchange.record.details['path'] = rest
      next()
    }),
    choose: named<Handler>('upstreamChoice', (req, _res, next) => {
      const exchange = exchangeOf(req)
      const name = wanted.get(exchange)
      if (name === undefined) return next()
      const found = upstreamNamed(pools, name)
      const { endpoint } = exchange
      const { allowedModels } = exchange.caller
      const { model } = exchange.request
      if (!found || !mayUse(allowedModels, name, found.candidate, endpoint, model)) return next(unknown(name))
      exchange.routing.candidates = [found.candidate]
      exchange.routing.route = found.candidate.route.modelName
      exchange.request.model = found.candidate.remoteModel
      next()
    }),
  }
}

/** A caller allowed to use the upstream may send anything; one allowed to use its model may request that model, or none. */
function mayUse(
  allowed: readonly string[],
  name: string,
  { remoteModel }: Candidate,
  endpoint: string,
  asked: string | undefined,
): boolean {
  const may = (...names: string[]): boolean =>
    allowed.some((pattern) => names.some((each) => matchesPattern(pattern, each)))
  if (may(`upstream/${name}`)) return true
  const own = [remoteModel, `paid/${remoteModel}`]
  // The payment buys this upstream's model, whatever the body names; a body without a model could mean any.
  return may(...own) && (endpoint === DIRECT_ENDPOINT || (asked !== undefined && own.includes(asked)))
}

/** The address without its query, which x402-buyer drops too, and with a single slash before what follows. */
function baseOf({ upstream }: NamedUpstream): string {
  const { origin, pathname } = new URL(upstream.document.url)
  return `${origin}${pathname.replace(/\/+$/, '')}`
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
    message: `No upstream "${printable(name, 100)}" is available to this caller with this path and method; nothing was sent.`,
    advice: ['GET /status lists the upstreams.'],
  })
}
