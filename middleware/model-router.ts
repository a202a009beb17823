import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import type { Candidate, Route, RouteTable } from '../src/core/routing/route.ts'
import { mayUse as mayUseModel, type Exchange } from '../src/core/request/exchange.ts'
import type { ModelCatalogue } from '../src/core/routing/catalogue.ts'
import type { UpstreamModels } from '../src/core/routing/upstream-list.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { objectWith } from './http/options.ts'
import { endpointOf, headersOf } from './http/paths.ts'
import { knownNames, meantNames, vetName, type NameContext } from './model-router/vet-name.ts'
import { routesOption, type PlainRoute } from './http/options/routes-option.ts'
import { setupError } from './http/setup-error.ts'
import { ROUTER_DEFAULTS, RouterState, type RoutedRequest } from '../src/core/routing/router-state.ts'
import { printable } from '../src/core/printable.ts'

/** Options of {@link modelRouter}. */
export interface ModelRouterOptions {
  /** `[{ modelName, apiBase, payer }]`; or a table with fallbacks and aliases, compiled by `compileRoutes()`. */
  readonly routes: readonly PlainRoute[] | RouteTable
  /** Upstream for models without a route. */
  readonly fallback?: Route | undefined
  /** The sellers' model lists: names outside of one that was read are refused. */
  readonly catalogue?: ModelCatalogue | undefined
  /** What the default upstream lists, for advice. */
  readonly upstream?: Pick<UpstreamModels, 'entries'> | undefined
  /**
   * What happens to models that neither a route nor the fallback serves: `refuse` (default) answers 404
   * `model_not_found`; `next` hands the request to the handlers behind, which find its body as it came.
   */
  readonly unclaimed?: 'refuse' | 'next' | undefined
  /** Health, concurrency slots and sessions; by default a new state with the configuration's defaults. */
  readonly state?: RouterState | undefined
}

const SCHEMA = z.strictObject({
  routes: routesOption,
  fallback: z.custom<Route>((value) => typeof value === 'object', 'give a route').optional(),
  catalogue: objectWith<ModelCatalogue>(
    ['names', 'load'],
    'give the catalogues that openParts() opens',
  ).optional(),
  upstream: z
    .custom<Pick<UpstreamModels, 'entries'>>((value) => typeof value === 'object', 'give the upstream list')
    .optional(),
  state: z
    .instanceof(RouterState, { error: 'give a RouterState' })
    .default(() => new RouterState({ ...ROUTER_DEFAULTS, random: Math.random })),
  unclaimed: z.enum(['refuse', 'next'], 'use "refuse" or "next"').default('refuse'),
})

/**
 * Finds the candidates of the request's model and the order to try them in: the routes that match it, or the
 * default upstream. Answers 404 `model_not_found` for a model that no route serves or that the caller may not use.
 * @throws ConfigError for a mistake in the options
 */
export function modelRouter(options: ModelRouterOptions): Handler {
  const { routes, fallback, catalogue, upstream, state, unclaimed } = parseOptions(
    'modelRouter',
    SCHEMA,
    options,
  )
  return asyncHandler('modelRouter', async (req, _res, next) => {
    if (endpointOf(req) === undefined || req.method !== 'POST') return next()
    const exchange = exchangeOf(req)
    // The candidates are already chosen: the request named its upstream.
    if (exchange.routing.candidates) return next()
    const { model } = exchange.request
    const { id: caller } = exchange.caller
    if (model === undefined) {
      if (exchange.request.body === undefined) {
        throw setupError(
          'modelRouter() found no model in the request: nothing read its body. Nothing was paid.',
          'Mount readBody() before modelRouter().',
        )
      }
      if (!fallback && unclaimed === 'next') {
        exchange.routing.candidates = []
        return next()
      }
      exchange.routing.candidates = [withoutModel(exchange, fallback)]
      exchange.routing.route = fallback?.modelName
      return next()
    }
    const mayUse = (name: string): boolean => mayUseModel(exchange, name)
    const facts = { caller, header: headersOf(req), mayUse }
    // A caller may use a model if it may use its alias or the model itself.
    const allowed = mayUse(model) || mayUse(routes.resolve(model))
    const names: NameContext = { exchange, routes, facts, catalogue }
    const claiming = routes.match(model, facts)
    if (claiming.length === 0 && !fallback && unclaimed === 'next') {
      // Tells the middlewares mounted after this one that the request is not theirs.
      exchange.routing.candidates = []
      return next()
    }
    const matched = allowed ? claiming : []
    let candidates = await vetName(model, matched, names)
    if (allowed && matched.length === 0 && fallback) {
      candidates = [{ route: fallback, remoteModel: routes.resolve(model) }]
    }
    if (candidates.length === 0) {
      const listed = [...(upstream?.entries.keys() ?? [])].filter(
        (name) => !name.includes('*') && mayUse(name),
      )
      throw unknownModel(model, [...knownNames(names), ...listed])
    }
    if (state.needsPrices && candidates.length > 1) await state.prepare()
    const request: RoutedRequest = {
      ...facts,
      model,
      endpoint: exchange.endpoint,
      fallbacks: (kind) => routes.fallbacks(model, kind, facts),
    }
    exchange.routing.candidates = state.arrange(candidates, request)
    exchange.routing.attempts = state.routing(request)
    exchange.routing.candidatesOf = (other) =>
      mayUse(other) || mayUse(routes.resolve(other)) ? state.arrange(routes.match(other, facts), request) : []
    exchange.routing.route = exchange.routing.candidates[0]?.route.modelName
    next()
  })
}

/**
 * A request that names no model (a moderation, a stored prompt, a transcription by a default) can mean any of the
 * default upstream's, so it is for callers who may use all of them.
 * @throws TollwayError `model_unreadable`
 */
function withoutModel(exchange: Exchange, fallback: Route | undefined): Candidate {
  if (fallback && exchange.caller.allowedModels.includes('*')) return { route: fallback, remoteModel: '' }
  throw new TollwayError({
    code: 'model_unreadable',
    message: 'The request body names no model.',
    advice: [
      fallback
        ? 'Name the model in the field "model": requests without one are for callers whose models include "*".'
        : 'Name the model once, as a string in the field "model".',
    ],
    param: 'model',
  })
}

function unknownModel(model: string, known: readonly string[]): TollwayError {
  const near = meantNames(model, known).map((name) => `"${printable(name, 100)}"`)
  return new TollwayError({
    code: 'model_not_found',
    message: `No route serves the model "${printable(model, 100)}" for this caller.`,
    advice: [
      ...(near.length === 0 ? [] : [`Did you mean ${near.join(' or ')}?`]),
      'GET /v1/models lists the models it may use.',
    ],
    param: 'model',
  })
}
