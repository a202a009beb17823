/** `GET /v1/models` and `/v1/models/{id}` in OpenAI's shape, from the routes. */
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { TollwayError } from '../src/core/errors.ts'
import { formatUsd } from '../src/core/money/money.ts'
import type { Candidate, ModelInfo, RouteFacts, RouteTable } from '../src/core/routing/route.ts'
import { printable } from '../src/core/printable.ts'
import { mayUse } from '../src/core/request/exchange.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from './http/handler.ts'
import { listedModels, mergedInfo } from './http/listed-models.ts'
import { upstreamEntries } from './http/upstream-entries.ts'
import { type ModelCatalogue } from '../src/core/routing/catalogue.ts'
import type { UpstreamModels } from '../src/core/routing/upstream-list.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { objectWith } from './http/options.ts'
import { headersOf, rawPaths } from './http/paths.ts'
import { routesOption, type PlainRoute } from './http/options/routes-option.ts'
import type { RoutePrices } from '../src/core/routing/router-state.ts'
import { sendJson } from './http/send-json.ts'

/** Options of {@link models}. */
export interface ModelsOptions {
  /** As `modelRouter()` takes them. */
  readonly routes: readonly PlainRoute[] | RouteTable
  /** Recent prices of requests; without them only configured prices are shown. */
  readonly prices?: RoutePrices | undefined
  /** The sellers' model lists; without them patterns are listed as configured. */
  readonly catalogue?: ModelCatalogue | undefined
  /** The models of the default upstream, where there is one; listed after those of the routes. */
  readonly upstream?: UpstreamModels | undefined
  /** When the list was made (`created`): the time of mounting. */
  readonly clock?: Clock | undefined
}

const SCHEMA = z.strictObject({
  routes: routesOption,
  prices: objectWith<RoutePrices>(['load', 'of'], 'give the price book that openParts() opens').optional(),
  catalogue: objectWith<ModelCatalogue>(
    ['names', 'find'],
    'give the catalogues that openParts() opens',
  ).optional(),
  upstream: objectWith<UpstreamModels>(['load'], 'give the list that openParts() opens').optional(),
  clock: objectWith<Clock>(['now'], 'a clock is an object with now()').default(systemClock),
})

/**
 * Lists the models a caller may use; ids with slashes and colons work plain and encoded. A route named by a pattern is
 * listed by its seller's catalogue where there is one, else as it is written, like LiteLLM does; any id it matches can be
 * asked for. Behind them come the default upstream's models that would be passed to it, each as the upstream lists it.
 * @throws ConfigError for a mistake in the options
 */
export function models(options: ModelsOptions): Handler {
  const { routes, prices, catalogue, upstream, clock } = parseOptions('models', SCHEMA, options)
  const created = Math.floor(clock.now() / 1000)
  const describe = (id: string, first: Candidate | undefined): object => ({
    id,
    object: 'model',
    created,
    owned_by: 'tollway',
    ...factsOf(first, prices, first && catalogue?.find(first)),
  })

  return asyncHandler('models', async (req, res, next) => {
    if (req.method !== 'GET' && req.method !== 'HEAD') return next()
    const wanted = wantedOf(req)
    if (wanted === undefined) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = '/models'
    await Promise.all([prices?.load(), catalogue?.load(), upstream?.load()])
    const facts: RouteFacts = { caller: exchange.caller.id, header: headersOf(req) }
    const firstOf = (id: string): Candidate | undefined => routes.match(id, facts)[0]
    const theirs = upstreamEntries(exchange, routes, facts, upstream)
    if (wanted === '') {
      const own = listedModels(exchange, routes, facts, catalogue).map((id) => ({ id, first: firstOf(id) }))
      const names = new Set(own.map(({ id }) => id))
      return sendJson(res, exchange, 200, {
        object: 'list',
        data: [
          ...own.map(({ id, first }) => describe(id, first)),
          ...theirs.all().filter(({ id }) => !names.has(id)),
        ],
      })
    }
    const passed = theirs.find(wanted)
    if (passed) return sendJson(res, exchange, 200, passed)
    const first = firstOf(wanted)
    if (!first || !(mayUse(exchange, wanted) || mayUse(exchange, routes.resolve(wanted)))) {
      throw unknown(wanted)
    }
    sendJson(res, exchange, 200, describe(wanted, first))
  })
}

/**
 * Context size and prices under OpenRouter's field names, with prices in USD as decimal strings. A pattern has no
 * single price, so its price is omitted. Configured values take precedence over the seller's catalogue.
 */
function factsOf(
  first: Candidate | undefined,
  prices: RoutePrices | undefined,
  listed: ModelInfo | undefined,
): object {
  if (!first) return {}
  const { modelName } = first.route
  const info = mergedInfo(first.route.info, listed)
  const paid = modelName.includes('*') && first.remoteModel.includes('*') ? undefined : prices?.of(first)
  const perRequest = info?.microUsdPerRequest ?? (first.route.payer === undefined ? undefined : paid)
  const pricing = defined({
    request: perRequest === undefined ? undefined : formatUsd(perRequest),
    prompt: info?.inputUsdPerToken,
    completion: info?.outputUsdPerToken,
  })
  return defined({
    context_length: info?.contextWindow,
    context_window: info?.contextWindow,
    max_output_tokens: info?.maxOutputTokens,
    pricing: Object.keys(pricing).length === 0 ? undefined : pricing,
  })
}

function defined(fields: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
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
    message: `There is no model "${printable(model)}" for this caller.`,
    advice: ['GET /v1/models lists the models it may use.'],
    param: 'model',
  })
}
