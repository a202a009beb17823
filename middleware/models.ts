/** `GET /v1/models` and `/v1/models/{id}` in OpenAI's shape, from the routes. */
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { TollwayError } from '../src/core/errors.ts'
import type { RouteTable } from '../src/core/route.ts'
import { headerText } from './answer-headers.ts'
import { mayUse } from './caller.ts'
import { exchangeOf } from './exchange.ts'
import type { Handler, Request } from './handler.ts'
import { listedModels } from './listed-models.ts'
import { named } from './named.ts'
import { objectWith, parseOptions } from './options.ts'
import { rawPaths } from './paths.ts'
import { sendJson } from './send-json.ts'

/** Options of {@link models}. */
export interface ModelsOptions {
  readonly routes: RouteTable
  /** When the list was made (`created`): the time of mounting. */
  readonly clock?: Clock | undefined
}

const SCHEMA = z.strictObject({
  routes: objectWith<RouteTable>(['match'], 'give the table that compileRoutes() makes'),
  clock: objectWith<Clock>(['now'], 'a clock is an object with now()').default(systemClock),
})

/**
 * Lists the models a caller may use; ids with slashes and colons work plain and encoded. A route named by a pattern is
 * listed as it is written, like LiteLLM does, and any id it matches can be asked for.
 * @throws ConfigError for a mistake in the options
 */
export function models(options: ModelsOptions): Handler {
  const { routes, clock } = parseOptions('models', SCHEMA, options)
  const created = Math.floor(clock.now() / 1000)
  const describe = (id: string): object => ({ id, object: 'model', created, owned_by: 'tollway' })

  return named<Handler>('models', (req, res, next) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    const wanted = wantedOf(req)
    if (wanted === undefined) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = '/models'
    if (wanted === '') {
      return sendJson(res, exchange, 200, {
        object: 'list',
        data: listedModels(exchange, routes).map(describe),
      })
    }
    if (!mayUse(exchange, wanted) || routes.match(wanted).length === 0) return next(unknown(wanted))
    sendJson(res, exchange, 200, describe(wanted))
  })
}

/** The id asked for, `''` for the list, `undefined` for another path. */
function wantedOf(req: Request): string | undefined {
  for (const path of rawPaths(req)) {
    if (path === '/models' || path === '/models/') return ''
    if (path.startsWith('/models/')) return decoded(path.slice('/models/'.length))
  }
  return undefined
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

function unknown(model: string): TollwayError {
  return new TollwayError({
    code: 'model_not_found',
    message: `There is no model "${headerText(model)}" for this caller.`,
    advice: ['GET /v1/models lists those there are.'],
    param: 'model',
  })
}
