import type { ModelRouterOptions } from '../../middleware/model-router.ts'
import { RouterState } from '../../middleware/router-state.ts'
import type { Clock } from '../core/clock.ts'
import type { Observer } from '../core/events.ts'
import { compileRoutes, type Route } from '../core/route.ts'
import { PriceBook } from '../io/price-book.ts'
import type { Store } from '../io/store/store.ts'
import { asksForKeys } from './config/asks-for-keys.ts'
import type { ResolvedConfig } from './config/resolved.ts'

/** What the router works with. */
export interface OpenedRouter {
  readonly options: ModelRouterOptions & { readonly state: RouterState }
  /** What requests cost of late. */
  readonly prices: PriceBook
}

/** Opens the routes of a configuration. @throws ConfigError for routes that cannot be meant */
export function openRouter(
  config: ResolvedConfig,
  store: Pick<Store, 'prices'>,
  clock: Clock,
  observers: readonly Observer[],
): OpenedRouter {
  const prices = new PriceBook(store, config.assets, clock)
  return {
    options: {
      routes: compileRoutes(config.routes, config.fallbacks, config.router),
      fallback: upstreamRoute(config),
      state: new RouterState({ ...config.router, prices, clock, observers }),
    },
    prices,
  }
}

/** What no route claims goes to the default upstream, with the client's own credentials only where we ask for none. */
function upstreamRoute(config: ResolvedConfig): Route | undefined {
  if (!config.upstream) return undefined
  return {
    modelName: 'upstream',
    model: undefined,
    apiBase: config.upstream.apiBase,
    payer: undefined,
    apiKey: config.upstream.apiKey,
    forwardCredentials: !asksForKeys(config),
    order: 0,
  }
}
