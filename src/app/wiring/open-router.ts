import type { ModelRouterOptions } from '../../../middleware/model-router.ts'
import { RouterState, type RoutePrices } from '../../core/routing/router-state.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { compileRoutes, type Route, type RouteTable } from '../../core/routing/route.ts'
import { keepRoutes } from '../../core/routing/same-routes.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { Catalogues } from '../../io/routing/catalogues.ts'
import { UpstreamList } from '../../io/routing/upstream-list.ts'
import { PriceBook } from '../../io/routing/price-book.ts'
import type { SellerStore } from '../../io/store/contracts/sellers.ts'
import type { Upstream } from '../../io/transport/upstream.ts'
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/** What the router works with. */
export interface OpenedRouter {
  readonly options: ModelRouterOptions & { readonly routes: RouteTable; readonly state: RouterState }
  /** Recent prices of requests. */
  readonly prices: PriceBook
  /** The sellers' model lists. */
  readonly catalogue: Catalogues
  /** What the default upstream lists; `undefined` without one. */
  readonly upstreamList: UpstreamList | undefined
}

/** Dependencies of {@link openRouter}. */
export interface RouterContext {
  readonly store: Pick<SellerStore, 'prices'>
  readonly upstream: Pick<Upstream, 'send'>
  readonly clock: Clock
  readonly timers: Timers | undefined
  readonly observers: readonly Observer[]
}

/**
 * Opens the routes of a configuration.
 * @param before what it replaces: the health, the load and the sessions of routes that stay the same are kept
 * @throws ConfigError for routes that cannot work
 */
export function openRouter(
  config: ResolvedConfig,
  context: RouterContext,
  before?: Pick<OpenedRouter['options'], 'routes' | 'state'>,
): OpenedRouter {
  const { store, upstream, clock, timers = systemTimers, observers } = context
  const prices = new PriceBook(store, config.assets, clock)
  const reading = { upstream, clock, timers, observers }
  const routes = keepRoutes(before?.routes.routes ?? [], config.routes)
  const catalogue = new Catalogues({ routes, ...reading })
  // Prices actually paid are more accurate than a list; the list is used until something was paid.
  const known: RoutePrices = {
    load() {
      catalogue.refresh()
      return prices.load()
    },
    of: (candidate, endpoint) => prices.of(candidate, endpoint) ?? catalogue.typicalPrice(candidate),
  }
  const upstreamList = config.upstream && new UpstreamList(config.upstream, reading)
  return {
    options: {
      catalogue,
      upstream: upstreamList,
      routes: compileRoutes(routes, config.fallbacks, config.router),
      fallback: upstreamRoute(config),
      state: new RouterState(
        { ...config.router, prices: known, clock, observers, random: Math.random },
        before && {
          state: before.state,
          routes: routes.filter((route) => before.routes.routes.includes(route)),
        },
      ),
    },
    prices,
    catalogue,
    upstreamList,
  }
}

/**
 * Models without a route go to the default upstream, with the client's own credentials only if the gateway
 * requires none.
 */
function upstreamRoute(config: ResolvedConfig): Route | undefined {
  if (!config.upstream) return undefined
  return {
    modelName: 'upstream',
    model: undefined,
    apiBase: config.upstream.apiBase,
    payer: undefined,
    provider: config.upstream.provider,
    apiKey: config.upstream.apiKey,
    forwardCredentials: !requiresCallerKey(config),
    sendEncoded: true,
    order: 0,
  }
}
