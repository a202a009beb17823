/** The parts that the configuration decides and that hold nothing open: made anew whenever it is read again. */
import type { BudgetGuardOptions } from '../../../middleware/budget-guard.ts'
import type { ModelRouterOptions } from '../../../middleware/model-router.ts'
import type { PaymentInterceptorOptions } from '../../../middleware/payment-interceptor.ts'
import type { SseRestreamerOptions } from '../../../middleware/sse-restreamer.ts'
import type { Approval } from '../../core/approval/approval.ts'
import type { Clock } from '../../core/clock.ts'
import type { HookRunner } from '../../core/hooks/hook-runner.ts'
import type { Provider } from '../../core/payer/provider.ts'
import type { RouteTable } from '../../core/routing/route.ts'
import type { RouterState } from '../../core/routing/router-state.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import type { Ledger } from '../../io/ledger/ledger.ts'
import type { Catalogues } from '../../io/routing/catalogues.ts'
import type { PriceBook } from '../../io/routing/price-book.ts'
import type { UpstreamList } from '../../io/routing/upstream-list.ts'
import type { Store } from '../../io/store/store.ts'
import type { Upstream } from '../../io/transport/upstream.ts'
import type { CallsInFlight } from '../../payment/calls-in-flight.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { withPools, type ObolPools } from '../obol/pool-routes.ts'
import { openRouter } from '../wiring/open-router.ts'

/** What a configuration decides. */
export interface ChainParts {
  readonly config: ResolvedConfig
  readonly modelRouter: ModelRouterOptions & { readonly routes: RouteTable; readonly state: RouterState }
  /** Recent prices of requests. */
  readonly prices: PriceBook
  /** The models that sellers list. */
  readonly catalogue: Catalogues
  /** The models that the default upstream lists. */
  readonly upstreamList: UpstreamList | undefined
  readonly budgetGuard: BudgetGuardOptions
  readonly paymentInterceptor: PaymentInterceptorOptions
  readonly sseRestreamer: SseRestreamerOptions
}

/** What stays open across configurations. */
export interface ChainBase {
  readonly ledger: Ledger
  readonly store: Store
  readonly upstream: Upstream
  readonly payers: ReadonlyMap<string, Provider>
  readonly pools: ObolPools
  /** The origins that may be paid. Those of a configuration are added; none is removed while its requests may still run. */
  readonly origins: Set<string>
  readonly running: CallsInFlight
  readonly hookRunner: HookRunner | undefined
  readonly approval: Approval
  readonly clock: Clock
  readonly timers: Timers | undefined
  readonly observers: readonly Observer[]
}

/**
 * Makes the parts of a configuration.
 * @param before those it replaces: the health and load of routes that stay the same is taken over
 * @throws ConfigError for routes that cannot work
 */
export function openChainParts(config: ResolvedConfig, base: ChainBase, before?: ChainParts): ChainParts {
  const { ledger, store, upstream, payers, pools, origins, running, clock, timers, observers } = base
  const router = openRouter(config, { store, upstream, clock, timers, observers }, before?.modelRouter)
  for (const origin of paidOrigins(config)) origins.add(origin)
  return {
    config,
    modelRouter: { ...router.options, routes: withPools(router.options.routes, pools) },
    prices: router.prices,
    catalogue: router.catalogue,
    upstreamList: router.upstreamList,
    budgetGuard: { ledger, budgets: config.budgets, tags: config.tags, clock, observers },
    paymentInterceptor: {
      ledger,
      upstream,
      payers,
      origins,
      catalogue: router.catalogue,
      policy: { ...config.policy, assets: config.assets },
      running,
      hookRunner: base.hookRunner,
      approval: base.approval,
      // If keep-alive comments are off, none are sent early either.
      ...(config.stream.keepaliveMs > 0 ? { keepaliveMs: config.stream.keepaliveMs } : {}),
      clock,
      observers,
    },
    sseRestreamer: { ...config.stream, idleMs: config.timeouts.idleMs, clock },
  }
}

function paidOrigins({ routes }: ResolvedConfig): string[] {
  return routes.flatMap(({ payer, apiBase }) => (payer === undefined ? [] : [new URL(apiBase).origin]))
}
