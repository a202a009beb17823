/** The gateway: the middlewares in order, behind a listener. */
import { createServer, type RequestListener } from 'node:http'
import { ConfigError } from '../../core/errors.ts'
import { systemTimers } from '../../core/timers.ts'
import type { Logger } from 'pino'
import { clientErrorHandler } from '../../../middleware/client-error-handler.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import { isWebSocketUpgrade } from '../../../middleware/pass-through.ts'
import { bind, LISTEN_KEYS } from './bind.ts'
import { compose, standingHandlers, upstreamPassThroughs, type Composed, type Standing } from './compose.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { warnAbout } from './config-notices.ts'
import { loadExpress } from './load-express.ts'
import { metricsListener } from './metrics-listener.ts'
import type { Environment } from '../config/values/secrets.ts'
import { createLogger, liveSecrets } from '../logging/logger.ts'
import { openParts, type PartOverrides, type GatewayParts } from './open-parts.ts'
import { packageVersion } from '../package-version.ts'
import { requestContexts, requestScope, traceObserver } from '../logging/request-context.ts'
import { requestLog } from '../logging/request-log.ts'
import { openTracing } from '../logging/tracing.ts'
import { Reloader, type ReloadCause, type ReloadResult } from '../reload/reloader.ts'
import { serveHalfClosed } from './half-closed.ts'
import { RecentRequests } from '../request-lookup/recent-requests.ts'
import { systemClock } from '../../core/clock.ts'
import { openRequests, shutDown, silentSockets, upgradedSockets } from './shutdown.ts'

/** Clients reuse connections; closing one earlier than they do would break their next request. */
const KEEP_ALIVE_MS = 75_000

/** An open gateway, which is not necessarily listening. */
export interface Gateway {
  /** For your own server and for tests; {@link Gateway.listen} uses the same handler. */
  readonly app: RequestListener
  /** Those of the configuration in force. */
  readonly parts: GatewayParts
  readonly log: Logger
  /** Starts listening at the configured address. */
  listen(): Promise<{ readonly url: string; readonly metricsUrl: string }>
  /**
   * Puts another configuration into force: routes, budgets, callers, policy and what else docs/reload.md names. Requests that
   * have begun finish under the old one, and open charges keep their budgets and windows.
   * @param config default: read again from where the gateway's own came from ({@link GatewayOverrides.readConfig})
   * @throws ConfigError for a configuration that is not valid; TollwayError `restart_required`, `audit_unavailable`. In each case
   * nothing has changed
   */
  reload(config?: ResolvedConfig, cause?: ReloadCause): Promise<ReloadResult>
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
  /** Reads the configuration again, for {@link Gateway.reload} and `POST /admin/reload`. */
  readonly readConfig?: (() => ResolvedConfig) | undefined
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
  const secrets = liveSecrets(config)
  const log =
    overrides.log ??
    createLogger({ ...config.log, secrets: secrets.known, contexts, write: overrides.writeLog })
  const tracing = await openTracing(overrides.env ?? process.env, log, packageVersion())
  const requests = new RecentRequests(() => (overrides.clock ?? systemClock).now())
  const observers = [
    ...(overrides.observers ?? []),
    requests.observe,
    requestLog(log),
    ...(tracing ? [traceObserver(contexts)] : []),
  ]
  let parts = await openParts(config, { ...overrides, observers, log }).catch(async (error: unknown) => {
    await tracing?.close()
    throw error
  })
  warnAbout(config, log)
  let closing: Promise<void> | undefined
  let isDraining = false
  const timers = overrides.timers ?? systemTimers
  const { readConfig } = overrides
  const passing = upstreamPassThroughs()
  const reloader = new Reloader({
    config,
    prepare(next) {
      const renewed = parts.renewed(next)
      const app = compose(renewed, standing)
      return () => {
        parts = renewed
        composed = app
        parts.makeCurrent()
        secrets.add(next)
        warnAbout(next, log)
      }
    },
    audit: parts.audit,
    observers: parts.observers,
    clock: parts.clock,
    log,
  })
  parts.metrics.watch({ config: () => reloader.reading() })
  const standing: Standing = {
    createApp,
    log,
    requests,
    scope: requestScope(contexts, tracing, parts.clock),
    isShuttingDown: () => isDraining || closing !== undefined,
    first: overrides.first?.(parts) ?? [],
    ...standingHandlers(parts),
    passThrough: passing.of,
    reload: readConfig && (async () => await reloader.reload(readConfig, 'admin')),
  }
  let composed: Composed = compose(parts, standing)
  const app: RequestListener = (req, res) => composed.app(req, res)
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
  server.on('upgrade', (req, socket, head) => composed.upgrade(req, socket, head))
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
    get parts() {
      return parts
    },
    log,
    async reload(next, cause = 'program') {
      const read = next ? () => next : readConfig
      if (read) return await reloader.reload(read, cause)
      throw new ConfigError(
        'The gateway does not know where its configuration came from. Give reload() the new one.',
      )
    },
    async listen() {
      const url = await bind(server, config.listen, overrides.addressFrom ?? LISTEN_KEYS)
      const metricsUrl = `${(await scrapes?.listen()) ?? url}/metrics`
      const wallets = walletsOf(parts.payers)
      if (wallets.length > 0) log.info({ wallets }, 'these wallets pay')
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
        // Nobody waits for a person any more.
        parts.approvals.close()
        standing.page.close()
        await shutDown({ server, sockets, silent, open, parts, deadlineMs: config.timeouts.shutdownMs })
        passing.close()
        await scrapes?.close()
        await parts.close()
        await tracing?.close()
      })()
      return closing
    },
  }
}

/** Where the money is, for whoever funds it. */
function walletsOf(payers: GatewayParts['payers']) {
  return [...payers].flatMap(([payer, { address, networks }]) =>
    address === undefined ? [] : [{ payer, address, networks }],
  )
}
