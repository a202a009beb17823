import { z } from 'zod'
import { ConfigError, TollwayError } from '../src/core/errors.ts'
import { matchesPattern } from '../src/core/routing/name-pattern.ts'
import type { Candidate, Route, RouteTable } from '../src/core/routing/route.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { objectWith } from './http/options.ts'
import { endpointOf, headersOf } from './http/paths.ts'
import { ROUTER_DEFAULTS, RouterState, type RoutedRequest } from '../src/core/routing/router-state.ts'
import { printable } from '../src/core/printable.ts'

/** Options of {@link modelRouter}. */
export interface ModelRouterOptions {
  /** Compiled by `compileRoutes()`. */
  readonly routes: RouteTable
  /** Upstream for models without a route; without it they are answered 404. */
  readonly fallback?: Route | undefined
  /** Health, concurrency slots and sessions; by default a new state with the configuration's defaults. */
  readonly state?: RouterState | undefined
}

const SCHEMA = z.strictObject({
  routes: objectWith<RouteTable>(['match'], 'give the table that compileRoutes() makes'),
  fallback: z.custom<Route>((value) => typeof value === 'object', 'give a route').optional(),
  state: z
    .instanceof(RouterState, { error: 'give a RouterState' })
    .default(() => new RouterState({ ...ROUTER_DEFAULTS, random: Math.random })),
})

/**
 * Finds the candidates of the request's model and the order to try them in: the routes that match it, or the
 * default upstream. Answers 404 `model_not_found` for a model that no route serves or that the caller may not use.
 * @throws ConfigError for a mistake in the options
 */
export function modelRouter(options: ModelRouterOptions): Handler {
  const { routes, fallback, state } = parseOptions('modelRouter', SCHEMA, options)
  return asyncHandler('modelRouter', async (req, _res, next) => {
    if (endpointOf(req) === undefined || req.method !== 'POST') return next()
    const exchange = exchangeOf(req)
    // The candidates are already chosen: the request named its upstream.
    if (exchange.routing.candidates) return next()
    const { model } = exchange.request
    const { allowedModels, id: caller } = exchange.caller
    if (model === undefined) {
      throw new ConfigError('modelRouter() found no model: mount readBody() before it.')
    }
    const mayUse = (name: string): boolean => allowedModels.some((pattern) => matchesPattern(pattern, name))
    const facts = { caller, header: headersOf(req), mayUse }
    // A caller may use a model if it may use its alias or the model itself.
    const allowed = mayUse(model) || mayUse(routes.resolve(model))
    const candidates: Candidate[] = allowed ? routes.match(model, facts) : []
    if (allowed && candidates.length === 0 && fallback) {
      candidates.push({ route: fallback, remoteModel: routes.resolve(model) })
    }
    if (candidates.length === 0) throw unknownModel(model)
    if (state.needsPrices && candidates.length > 1) await state.prepare()
    const request: RoutedRequest = {
      ...facts,
      model,
      endpoint: exchange.endpoint,
      fallbacks: (kind) => routes.fallbacks(model, kind, facts),
    }
    exchange.routing.candidates = state.arrange(candidates, request)
    exchange.routing.attempts = state.routing(request)
    exchange.routing.route = exchange.routing.candidates[0]?.route.modelName
    next()
  })
}

function unknownModel(model: string): TollwayError {
  return new TollwayError({
    code: 'model_not_found',
    message: `No route serves the model "${printable(model, 100)}" for this caller.`,
    advice: ['GET /v1/models lists the models it may use.'],
    param: 'model',
  })
}
