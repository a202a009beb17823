/**
 * `/upstream/<name>/…`: any method and path of one upstream, as x402-buyer serves it: the prefix is taken off and the rest put
 * behind the upstream's address. What the seller asks money for goes the way of every paid request.
 */
import { TollwayError } from '../../core/errors.ts'
import { DIRECT_ENDPOINT } from '../../core/request/exchange.ts'
import { matchesPattern, type Candidate } from '../../core/routing/route.ts'
import { modelEndpoint, plainPath } from '../../core/request/endpoints.ts'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import { named } from '../../../middleware/http/named.ts'
import { isUnambiguous } from '../../core/request/forwarded-paths.ts'
import { mayComeFromPage, pageRefused } from './page-request.ts'
import { upstreamNamed, type NamedUpstream, type ObolPools } from './pool-routes.ts'
import { printable } from '../../core/printable.ts'

/** The two halves: the upstream is found before the body is read, and chosen when it is known what the body asks for. */
export interface UpstreamPaths {
  /** Mount before `callerLimits()` and `readBody()`. */
  readonly find: Handler
  /** Mount after it and before `modelRouter()`. */
  readonly choose: Handler
}

const PATH = /^\/upstream\/([^/?#]+)(\/[^?#]*)(\?[^#]*)?/

const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * Makes the handlers of one gateway.
 * @param asksForKeys whether every request was asked for a caller key, which no web page has
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
      // A path that hides another one could leave the part of the seller that was bought from.
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

/** Who may use the upstream as a whole may send it anything; who may use its model may ask for that, or for no model. */
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
  // What is paid is this upstream's model, whatever the body calls it; a body that names none could mean any.
  return may(...own) && (endpoint === DIRECT_ENDPOINT || (asked !== undefined && own.includes(asked)))
}

/** Without its query, which x402-buyer drops too, and one slash between it and what follows. */
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
    message: `There is no upstream "${printable(name, 100)}" for this caller, or not with this path and method.`,
    advice: ['GET /status lists the upstreams.'],
  })
}
