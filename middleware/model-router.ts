import { z } from 'zod'
import { ConfigError, TollwayError } from '../src/core/errors.ts'
import { matchesPattern, type Candidate, type Route, type RouteTable } from '../src/core/route.ts'
import { exchangeOf } from './exchange.ts'
import type { Handler } from './handler.ts'
import { named } from './named.ts'
import { objectWith, parseOptions } from './options.ts'
import { endpointOf } from './paths.ts'

/** Options of {@link modelRouter}. */
export interface ModelRouterOptions {
  /** Compiled by `compileRoutes()`. */
  readonly routes: RouteTable
  /** Where models go that no route claims; without one they are answered 404. */
  readonly fallback?: Route | undefined
}

const SCHEMA = z.strictObject({
  routes: objectWith<RouteTable>(['match'], 'give the table that compileRoutes() makes'),
  fallback: z.custom<Route>((value) => typeof value === 'object', 'give a route').optional(),
})

/**
 * Finds the candidates of the request's model: the routes that claim it, or the default upstream. Answers 404
 * `model_not_found` for a model nobody serves or the caller may not use.
 * @throws ConfigError for a mistake in the options
 */
export function modelRouter(options: ModelRouterOptions): Handler {
  const { routes, fallback } = parseOptions('modelRouter', SCHEMA, options)
  return named<Handler>('modelRouter', (req, _res, next) => {
    if (endpointOf(req) === undefined || req.method !== 'POST') return next()
    const exchange = exchangeOf(req)
    const { model } = exchange
    if (model === undefined) {
      return next(new ConfigError('modelRouter() found no model: mount readBody() before it.'))
    }
    const allowed = exchange.allowedModels.some((pattern) => matchesPattern(pattern, model))
    const candidates: Candidate[] = allowed ? routes.match(model) : []
    if (allowed && candidates.length === 0 && fallback)
      candidates.push({ route: fallback, remoteModel: model })
    const first = candidates[0]
    if (!first) return next(unknownModel(model))
    exchange.candidates = candidates
    exchange.route = first.route.modelName
    next()
  })
}

function unknownModel(model: string): TollwayError {
  return new TollwayError({
    code: 'model_not_found',
    message: `No route serves the model "${model.replace(/[^\x20-\x7e]/g, '?').slice(0, 100)}" for this caller.`,
    advice: ['GET /v1/models lists the models it may use.'],
    param: 'model',
  })
}
