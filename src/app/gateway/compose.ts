/** The middlewares of a configuration, in order, around the parts that stay. */
import type express from 'express'
import type { Express } from 'express'
import type { Logger } from 'pino'
import { assertOrder } from '../../../middleware/assert-order.ts'
import { auditLogger } from '../../../middleware/audit-logger.ts'
import { budgetGuard } from '../../../middleware/budget-guard.ts'
import { caller } from '../../../middleware/caller.ts'
import { callerLimits } from '../../../middleware/caller-limits.ts'
import { clawrouter } from '../../../middleware/clawrouter.ts'
import { errorHandler, notFound } from '../../../middleware/error-handler.ts'
import { health } from '../../../middleware/health.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import { idempotency } from '../../../middleware/idempotency.ts'
import { metrics } from '../../../middleware/metrics.ts'
import { modelRouter } from '../../../middleware/model-router.ts'
import { models } from '../../../middleware/models.ts'
import { originGuard } from '../../../middleware/origin-guard.ts'
import { passThrough } from '../../../middleware/pass-through.ts'
import { paymentInterceptor } from '../../../middleware/payment-interceptor.ts'
import { readBody } from '../../../middleware/read-body.ts'
import { sseRestreamer } from '../../../middleware/sse-restreamer.ts'
import { upgradeHandler } from '../../../middleware/upgrade-handler.ts'
import { adminApi } from '../admin/admin-api.ts'
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { isLoopbackHost } from '../config/values/addresses.ts'
import { buyerApi } from '../obol/buyer-api.ts'
import { reloadPools } from '../obol/reload-pools.ts'
import { upstreamPaths } from '../obol/upstream-paths.ts'
import type { ReloadFrom } from '../reload/reloader.ts'
import type { RecentRequests } from '../request-lookup/recent-requests.ts'
import { requestLookup } from '../request-lookup/request-lookup.ts'
import { openapiFile } from '../openapi/openapi-file.ts'
import { runbookPage } from '../runbooks/runbook-page.ts'
import { spendPage } from '../spend-page/spend-page.ts'
import { openCallers } from '../wiring/open-callers.ts'
import type { GatewayParts } from './open-parts.ts'
import { readinessChecks } from './readiness.ts'
import { rootPage } from './root-page.ts'

/** What every configuration's app shares: its state must outlive a reload. */
export interface Standing {
  readonly createApp: typeof express
  readonly log: Logger
  readonly requests: RecentRequests
  readonly scope: Handler
  readonly isShuttingDown: () => boolean
  /** Handlers after the origin guard and before everything else. */
  readonly first: readonly Handler[]
  /** Remembers requests for their repeats: two of them would pay for a repeat twice. */
  readonly remembering: Handler
  /** Counts what callers have used of their limits. */
  readonly limiting: Handler
  readonly page: ReturnType<typeof spendPage>
  readonly passThrough: (config: ResolvedConfig) => ReturnType<typeof passThrough>
  readonly reload: ReloadFrom | undefined
}

/** An app, and the handler of its websockets. */
export interface Composed {
  readonly app: Express
  readonly upgrade: ReturnType<typeof upgradeHandler>
}

/** Opens what is shared. */
export function standingHandlers(parts: GatewayParts): Pick<Standing, 'remembering' | 'limiting' | 'page'> {
  const page = spendPage(parts.spendPage)
  parts.metrics.watch({ pageStreams: () => page.openStreams() })
  return {
    remembering: idempotency(parts.idempotency),
    limiting: callerLimits({ observers: parts.observers }),
    page,
  }
}

/** Makes the handlers that pass requests on to the default upstream; one per upstream, however often the configuration changes. */
export function upstreamPassThroughs(): {
  readonly of: Standing['passThrough']
  readonly close: () => void
} {
  const open = new Map<string, ReturnType<typeof passThrough>>()
  return {
    of({ upstream, timeouts, callers, keys }) {
      const options = {
        ...(upstream && {
          upstream: { apiBase: upstream.apiBase, apiKey: upstream.apiKey, provider: upstream.provider },
        }),
        allowPaths: upstream?.allowPaths ?? [],
        stripCredentials: requiresCallerKey({ callers, keys }),
        timeouts: { idleSeconds: timeouts.idleMs / 1000 },
      }
      const name = JSON.stringify(options)
      const found = open.get(name) ?? passThrough(options)
      open.set(name, found)
      return found
    },
    close() {
      for (const one of open.values()) one.close()
    },
  }
}

/** Composes the app of a configuration. @throws ConfigError for parts that cannot work together */
export function compose(parts: GatewayParts, standing: Standing): Composed {
  const { createApp, log, requests, scope, isShuttingDown, first, page } = standing
  const { config, ledger, observers, clock } = parts
  const app = createApp()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  const rest = standing.passThrough(config)
  const logger = auditLogger({ audit: parts.audit, observers, clock, log, refusals: parts.refusals })
  const guard = originGuard({ hosts: config.admin.hosts, allowAnyHost: !isLoopbackHost(config.listen.host) })
  const identify = caller(openCallers(config, clock, log))
  const answerErrors = errorHandler({ log, hostErrors: 'answer' })
  app.use(scope)
  app.use(logger)
  app.use(guard)
  for (const handler of first) app.use(handler)
  const { adminKey } = parts.spendPage
  const asksForKeys = requiresCallerKey(config)
  const admin = { adminKey, asksForKeys }
  // Only `serve --obol` in a pod starts so: its controller calls these paths from another machine.
  const isOpen = !asksForKeys && !isLoopbackHost(config.listen.host)
  app.use(
    adminApi({
      ...admin,
      isReloadOpen: isOpen,
      config,
      budgets: parts.spendPage.budgets,
      ledger,
      audit: parts.audit,
      approvals: parts.approvals,
      clock,
      reload: standing.reload,
      reloadPools: () => reloadPools(parts.pools),
    }),
  )
  app.use(buyerApi({ ...admin, isOpen, pools: parts.pools }))
  app.use(rootPage())
  app.use(runbookPage(), openapiFile())
  app.use(
    health({
      ...readinessChecks({
        routes: parts.modelRouter.routes.routes,
        payers: parts.payers,
        ledger,
        space: parts.space,
      }),
      isShuttingDown,
    }),
  )
  if (config.metrics.listen === undefined) {
    app.use(metrics({ metrics: parts.metrics, tokenDigest: config.metrics.tokenDigest }))
  }
  app.use(page)
  app.use(requestLookup({ requests, ledger, auditPath: config.audit.path, adminKey, identify, clock }))
  app.use(identify)
  // Before everything that matches by path, because the limits apply to a pool's own paths too.
  const upstreams = upstreamPaths(parts.pools, requiresCallerKey(config))
  app.use(upstreams.find)
  app.use(standing.limiting)
  app.use(
    clawrouter({
      routes: parts.modelRouter.routes,
      ledger,
      budgets: config.budgets,
      catalogue: parts.catalogue,
      clock,
    }),
  )
  app.use(readBody({ limit: config.bodyLimit }))
  app.use(upstreams.choose)
  app.use(modelRouter(parts.modelRouter))
  app.use(standing.remembering)
  app.use(budgetGuard(parts.budgetGuard))
  app.use(paymentInterceptor(parts.paymentInterceptor))
  app.use(sseRestreamer(parts.sseRestreamer))
  app.use(
    models({
      routes: parts.modelRouter.routes,
      prices: parts.prices,
      catalogue: parts.catalogue,
      upstream: parts.upstreamList,
      clock,
    }),
  )
  app.use(rest)
  app.use(notFound())
  app.use(answerErrors)
  assertOrder(app)
  const upgrade = upgradeHandler({
    guards: [scope, logger, guard, identify],
    passThrough: rest,
    errorHandler: answerErrors,
  })
  return { app, upgrade }
}
