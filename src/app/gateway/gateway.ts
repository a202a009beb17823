/** The gateway: the middlewares in order, behind a listener. */
import { createServer, type RequestListener } from 'node:http'
import type express from 'express'
import type { Express } from 'express'
import { systemTimers } from '../../core/timers.ts'
import type { Logger } from 'pino'
import { auditLogger } from '../../../middleware/audit-logger.ts'
import { budgetGuard } from '../../../middleware/budget-guard.ts'
import { caller } from '../../../middleware/caller.ts'
import { clawrouter } from '../../../middleware/clawrouter.ts'
import { callerLimits } from '../../../middleware/caller-limits.ts'
import { clientErrorHandler } from '../../../middleware/client-error-handler.ts'
import { originGuard } from '../../../middleware/origin-guard.ts'
import { errorHandler, notFound } from '../../../middleware/error-handler.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import { health } from '../../../middleware/health.ts'
import { idempotency } from '../../../middleware/idempotency.ts'
import { metrics } from '../../../middleware/metrics.ts'
import { modelRouter } from '../../../middleware/model-router.ts'
import { models } from '../../../middleware/models.ts'
import { assertOrder } from '../../../middleware/assert-order.ts'
import { isWebSocketUpgrade, passThrough } from '../../../middleware/pass-through.ts'
import { paymentInterceptor } from '../../../middleware/payment-interceptor.ts'
import { readBody } from '../../../middleware/read-body.ts'
import { sseRestreamer } from '../../../middleware/sse-restreamer.ts'
import { upgradeHandler } from '../../../middleware/upgrade-handler.ts'
import { bind, LISTEN_KEYS } from './bind.ts'
import { isLoopbackHost } from '../config/values/addresses.ts'
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { buyerApi } from '../obol/buyer-api.ts'
import { upstreamPaths } from '../obol/upstream-paths.ts'
import { loadExpress } from './load-express.ts'
import { metricsListener } from './metrics-listener.ts'
import { openCallers } from '../wiring/open-callers.ts'
import type { Environment } from '../config/values/secrets.ts'
import { createLogger, secretsOf } from '../logging/logger.ts'
import { openParts, type PartOverrides, type GatewayParts } from './open-parts.ts'
import { packageVersion } from '../package-version.ts'
import { requestContexts, requestScope, traceObserver } from '../logging/request-context.ts'
import { requestLog } from '../logging/request-log.ts'
import { openTracing } from '../logging/tracing.ts'
import { readinessChecks } from './readiness.ts'
import { serveHalfClosed } from './half-closed.ts'
import { runbookPage } from '../runbooks/runbook-page.ts'
import { rootPage } from './root-page.ts'
import { RecentRequests } from '../request-lookup/recent-requests.ts'
import { requestLookup } from '../request-lookup/request-lookup.ts'
import { systemClock } from '../../core/clock.ts'
import { openRequests, shutDown, silentSockets, upgradedSockets } from './shutdown.ts'
import { spendPage } from '../spend-page/spend-page.ts'
import { unpricedRoutes } from '../wiring/unpriced-routes.ts'

/** Clients reuse connections; closing one earlier than they do would break their next request. */
const KEEP_ALIVE_MS = 75_000

/** An open gateway, which is not necessarily listening. */
export interface Gateway {
  /** For your own server and for tests; {@link Gateway.listen} uses the same handler. */
  readonly app: RequestListener
  readonly parts: GatewayParts
  readonly log: Logger
  /** Starts listening at the configured address. */
  listen(): Promise<{ readonly url: string; readonly metricsUrl: string }>
  /**
   * Readiness answers 503 from now on; everything is served for `timeouts.drain_seconds` more, so that load balancers turn away
   * before the port closes.
   */
  drain(): Promise<void>
  /**
   * Stops accepting, lets running requests finish up to the shutdown deadline, and records everything. Later calls
   * wait for the same shutdown.
   */
  close(): Promise<void>
}

/** Replaceable dependencies of {@link createGateway}. */
export interface GatewayOverrides extends Omit<PartOverrides, 'log'> {
  readonly log?: Logger | undefined
  /** Receives the lines of the gateway's own log, instead of standard error. */
  readonly writeLog?: ((line: string) => void) | undefined
  /** Where OTEL_EXPORTER_OTLP_ENDPOINT and related variables are read; default the process's environment. */
  readonly env?: Environment | undefined
  /** Where the address is configured, for the advice if it is in use; default the configuration and --listen. */
  readonly addressFrom?: string | undefined
  /** Handlers after the origin guard and before everything else, such as the paths of a program that the gateway replaces. */
  readonly first?: ((parts: GatewayParts) => readonly Handler[]) | undefined
}

/**
 * Opens a gateway.
 * @throws ConfigError (also when Express is not installed), TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function createGateway(
  config: ResolvedConfig,
  overrides: GatewayOverrides = {},
): Promise<Gateway> {
  const createApp = await loadExpress()
  const contexts = requestContexts()
  const log =
    overrides.log ??
    createLogger({ ...config.log, secrets: secretsOf(config), contexts, write: overrides.writeLog })
  const tracing = await openTracing(overrides.env ?? process.env, log, packageVersion())
  const requests = new RecentRequests(() => (overrides.clock ?? systemClock).now())
  const observers = [
    ...(overrides.observers ?? []),
    requests.observe,
    requestLog(log),
    ...(tracing ? [traceObserver(contexts)] : []),
  ]
  const parts = await openParts(config, { ...overrides, observers, log }).catch(async (error: unknown) => {
    await tracing?.close()
    throw error
  })
  if (config.budgets.length === 0 && config.routes.some(({ payer }) => payer !== undefined)) {
    log.warn('paid routes have no budget: only policy.max_usd_per_request limits what is spent')
  }
  const unpriced = unpricedRoutes(config)
  for (const route of unpriced) parts.metrics.observe({ type: 'unpriced_route', route })
  if (unpriced.length > 0) {
    log.warn(
      { routes: unpriced },
      'routes without a payer have no price under model_info: what they cost counts in no budget in USD',
    )
  }
  if (config.ignoredKeys.length > 0) {
    log.warn({ keys: config.ignoredKeys }, 'keys of the LiteLLM configuration that have no effect here')
  }
  for (const { kind, path, message } of config.litellmNotes) log.warn({ kind, key: path }, message)
  let closing: Promise<void> | undefined
  let isDraining = false
  const timers = overrides.timers ?? systemTimers
  const { app, upgrade, closePages, closeUnpaid } = compose(
    createApp,
    parts,
    requests,
    log,
    requestScope(contexts, tracing, parts.clock),
    () => isDraining || closing !== undefined,
    overrides.first?.(parts) ?? [],
  )
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      shouldUpgradeCallback: isWebSocketUpgrade,
      // The origin guard refuses a missing Host itself, in the format of every other error and with a record.
      requireHostHeader: false,
    },
    app,
  )
  serveHalfClosed(server)
  server.on('clientError', clientErrorHandler)
  // An unknown Expect may be ignored (RFC 9110, 10.1.1); Node would answer it without a body.
  server.on('checkExpectation', app)
  server.on('upgrade', upgrade)
  const sockets = upgradedSockets(server)
  const silent = silentSockets(server)
  const open = openRequests(server)
  const scrapes =
    config.metrics.listen &&
    metricsListener({
      createApp,
      address: config.metrics.listen,
      metrics: parts.metrics,
      tokenDigest: config.metrics.tokenDigest,
      hosts: config.admin.hosts,
      log,
    })
  return {
    app,
    parts,
    log,
    async listen() {
      const url = await bind(server, config.listen, overrides.addressFrom ?? LISTEN_KEYS)
      const metricsUrl = `${(await scrapes?.listen()) ?? url}/metrics`
      if (scrapes) log.info({ metricsUrl }, 'the metrics are served on a port of their own')
      return { url, metricsUrl }
    },
    async drain() {
      isDraining = true
      const { drainMs } = config.timeouts
      if (drainMs > 0) await new Promise<void>((resolve) => void timers.after(drainMs, resolve))
    },
    close() {
      closing ??= (async () => {
        closePages()
        await shutDown({ server, sockets, silent, open, parts, deadlineMs: config.timeouts.shutdownMs })
        closeUnpaid()
        await scrapes?.close()
        await parts.close()
        await tracing?.close()
      })()
      return closing
    },
  }
}

function compose(
  createApp: typeof express,
  parts: GatewayParts,
  requests: RecentRequests,
  log: Logger,
  scope: Handler,
  isShuttingDown: () => boolean,
  first: readonly Handler[],
): {
  readonly app: Express
  readonly upgrade: ReturnType<typeof upgradeHandler>
  readonly closePages: () => void
  readonly closeUnpaid: () => void
} {
  const { config, ledger, observers, clock } = parts
  const app = createApp()
  app.disable('x-powered-by')
  app.disable('etag')
  app.set('query parser', false)
  const rest = passThrough({
    ...(config.upstream
      ? {
          upstream: {
            apiBase: config.upstream.apiBase,
            apiKey: config.upstream.apiKey,
            provider: config.upstream.provider,
          },
        }
      : {}),
    allowPaths: config.upstream?.allowPaths ?? [],
    stripCredentials: requiresCallerKey(config),
    timeouts: { idleSeconds: config.timeouts.idleMs / 1000 },
  })
  const logger = auditLogger({ audit: parts.audit, observers, clock, log, refusals: parts.refusals })
  const guard = originGuard({ hosts: config.admin.hosts, allowAnyHost: !isLoopbackHost(config.listen.host) })
  const identify = caller(openCallers(config, clock, log))
  const answerErrors = errorHandler({ log, hostErrors: 'answer' })
  app.use(scope)
  app.use(logger)
  app.use(guard)
  for (const handler of first) app.use(handler)
  const { adminKey } = parts.spendPage
  app.use(buyerApi({ pools: parts.pools, adminKey, asksForKeys: requiresCallerKey(config) }))
  app.use(rootPage())
  app.use(runbookPage())
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
  const page = spendPage(parts.spendPage)
  parts.metrics.watch({ pageStreams: () => page.openStreams() })
  app.use(page)
  app.use(requestLookup({ requests, ledger, auditPath: config.audit.path, adminKey, identify, clock }))
  app.use(identify)
  // Before everything that matches by path, because the limits apply to a pool's own paths too.
  const upstreams = upstreamPaths(parts.pools, requiresCallerKey(config))
  app.use(upstreams.find)
  app.use(callerLimits({ observers }))
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
  app.use(idempotency(parts.idempotency))
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
  return { app, upgrade, closePages: () => page.close(), closeUnpaid: () => rest.close() }
}
