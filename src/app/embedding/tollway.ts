/** The whole chain as one middleware of an existing application. */
import type { ServerResponse } from 'node:http'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { errorHandler } from '../../../middleware/error-handler.ts'
import type { Handler, Next, Request } from '../../../middleware/http/handler.ts'
import { named } from '../../../middleware/http/handler.ts'
import type { Clock } from '../../core/clock.ts'
import type { Hooks } from '../../core/hooks/hooks.ts'
import type { Provider } from '../../core/payer/provider.ts'
import { compileRoutes } from '../../core/routing/route.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { isResolvedConfig, loadConfig, parseConfig } from '../config/load.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import type { Environment } from '../config/values/secrets.ts'
import { openParts, type GatewayParts } from '../gateway/open-parts.ts'
import { readHooks } from '../wiring/open-hooks.ts'
import { createLogger, liveSecrets } from '../logging/logger.ts'
import { requestContexts, requestScope, type RequestContexts } from '../logging/request-context.ts'
import { requestLog } from '../logging/request-log.ts'
import { claimer, mayBeClaimed } from './claim.ts'
import { Reloader, type ReloadResult } from '../reload/reloader.ts'
import { isRequest, notCalled } from '../../io/names/parse-options.ts'
import { setupError } from '../../../middleware/http/setup-error.ts'
import { ConfigError } from '../../core/errors.ts'
import { composeChain, sharedHandlers, type ChainOptions } from './compose-chain.ts'

/** Options of {@link tollway}. */
export interface TollwayOptions extends ChainOptions {
  /** Payers of your own, by the name that routes use; the configuration need not mention them. */
  readonly payers?: Readonly<Record<string, Provider>> | undefined
  /**
   * Who asks, where the application knows it already: an id of `[A-Za-z0-9._-]{1,64}` for budgets per caller and the
   * records, or `undefined` for a request that is answered 401. Replaces the `callers` of the configuration.
   */
  readonly caller?: ((req: Request) => string | undefined) | undefined
  /** Host names that the application is reached by, besides localhost; names without a port. */
  readonly hosts?: readonly string[] | undefined
  /** Web pages that may call it, e.g. `https://app.example.com`; the CORS headers are the application's (`cors()`). */
  readonly origins?: readonly string[] | undefined
  /** `true`: takes what `express.json()` before it has read; see `readBody()`. */
  readonly parsedBody?: boolean | undefined
  /** They receive every event, as the metrics do. */
  readonly observers?: readonly Observer[] | undefined
  /** Functions of yours that are called when something is paid, refused or ended; see `Hooks`. */
  readonly hooks?: Hooks | undefined
  /** The Prometheus registry that the metrics are added to; default one of its own, which is not served. */
  readonly registry?: Registry | undefined
  /** Put before the name of every metric, so that two of these can share a registry; e.g. `a_`. */
  readonly metricsPrefix?: string | undefined
  /** A pino logger; default one as `log` of the configuration says. */
  readonly log?: Logger | undefined
  /** Where `${env:NAME}` is looked up; default `process.env`. */
  readonly env?: Environment | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
}

/** The middleware that {@link tollway} returns. */
export interface TollwayMiddleware extends Handler {
  /**
   * Puts another configuration into force: routes, budgets, callers, policy and what else docs/reload.md names. Requests that
   * have begun finish under the old one; open charges keep their budgets and windows.
   * @param config a YAML file, an object in its shape, or what `parseConfig()` returned
   * @throws ConfigError for a configuration that is not valid; TollwayError `restart_required` where it differs in keys that only
   * a new middleware can take over, `audit_unavailable`. In each case nothing has changed
   */
  reload(config: string | object): Promise<ReloadResult>
  /**
   * Waits for paid calls on their way, at most `timeouts.shutdown_seconds`, and closes ledger, payers and files. Call it
   * when the server has closed; later calls wait for the same.
   */
  close(): Promise<void>
}

/**
 * Paid model routes for an existing Express 4 or 5 application, under any mount path:
 * `app.use(tollway('./tollway.yaml'))`. Serves POST requests to model endpoints whose model a route of the configuration
 * claims, or every model if it names an `upstream`; everything else goes on to `next()` with its body unread.
 *
 * It opens its parts in the background; requests wait for them. `await tollway(config)` waits too, and rejects when they
 * cannot be opened (a key that is missing, a ledger in use); without `await` that is written to the log, and claimed
 * requests are answered with it.
 *
 * Without callers, keys or a `caller` function it serves this machine only: anyone else could spend.
 * @param config a YAML file, an object in its shape, or what `parseConfig()` returned
 * @throws ConfigError at once for every mistake in the configuration
 */
export function tollway(
  config: string | object,
  options: TollwayOptions = {},
): TollwayMiddleware & PromiseLike<TollwayMiddleware> {
  if (isRequest(config)) throw notCalled('tollway')
  const resolved = resolveConfig(config, options)
  const hooks = readHooks('tollway', options.hooks)
  const contexts = requestContexts()
  const secrets = liveSecrets(resolved)
  const log = options.log ?? createLogger({ ...resolved.log, secrets: secrets.known, contexts })
  const opening = openParts(resolved, {
    clock: options.clock,
    timers: options.timers,
    registry: options.registry,
    metricsPrefix: options.metricsPrefix,
    hooks,
    observers: [...(options.observers ?? []), requestLog(log)],
    payers: options.payers && new Map(Object.entries(options.payers)),
    log,
  })
  const serving = opening.then(
    (parts) => chainOf(parts, { config: resolved, log, contexts, secrets, options }),
    (error: unknown) => {
      log.error(
        { err: error },
        'Tollway could not be opened: what its routes claim is answered with an error',
      )
      const reload = (): Promise<never> => Promise.reject(error)
      return { handle: answerClaimed(resolved, options, openingFault(error)), reload }
    },
  )
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    const parts = await opening.catch(() => undefined)
    if (!parts) return
    parts.approvals.close()
    await paidCallsEnd(parts, resolved.timeouts.shutdownMs, options.timers ?? systemTimers)
    await parts.close()
  }
  const middleware = (): TollwayMiddleware =>
    Object.assign(
      named<Handler>('tollway', (req: Request, res: ServerResponse, next: Next) => {
        if (!mayBeClaimed(req)) return next()
        serving.then(({ handle }) => handle(req, res, next), next)
      }),
      {
        reload: async (next: string | object) =>
          await (await serving).reload(() => resolveConfig(next, options, true)),
        close: () => (closing ??= close()),
      },
    )
  const opened = Promise.all([opening, serving]).then(middleware)
  opened.catch(() => undefined)
  // Only the first is awaited: the promise leads to a middleware that is none itself.
  // oxlint-disable-next-line unicorn/no-thenable
  return Object.assign(middleware(), { then: opened.then.bind(opened) })
}

/** @param again whether a middleware already runs with an earlier version */
function resolveConfig(
  config: string | object,
  { env, payers }: TollwayOptions,
  again = false,
): ResolvedConfig {
  if (isResolvedConfig(config)) return config
  const own = { payers: Object.keys(payers ?? {}) }
  return typeof config === 'string'
    ? loadConfig(config, env ?? process.env, { again }, own)
    : parseConfig(config, env ?? process.env, { ...own, again })
}

/** What the chain of a middleware is made from. */
interface ChainSetup {
  readonly config: ResolvedConfig
  readonly log: Logger
  readonly contexts: RequestContexts
  readonly secrets: ReturnType<typeof liveSecrets>
  readonly options: TollwayOptions
}

/** The chain of the configuration in force, and how to put another into force. */
function chainOf(opened: GatewayParts, { config, log, contexts, secrets, options }: ChainSetup) {
  const shared = sharedHandlers(opened, requestScope(contexts, undefined, opened.clock))
  let parts = opened
  let chain = composeChain(parts, log, shared, options)
  const reloader = new Reloader({
    config,
    prepare(next) {
      const renewed = parts.renewed(next)
      const handler = composeChain(renewed, log, shared, options)
      return () => {
        parts = renewed
        chain = handler
        parts.makeCurrent()
        secrets.add(next)
      }
    },
    audit: opened.audit,
    observers: opened.observers,
    clock: opened.clock,
    log,
  })
  opened.metrics.watch({ config: () => reloader.reading() })
  const handle: Handler = (req, res, next) => chain(req, res, next)
  const reload = async (read: () => ResolvedConfig): Promise<ReloadResult> =>
    await reloader.reload(read, 'program')
  return { handle, reload }
}

/** A mistake in the setting up is told as one; its text may name paths, so it is in the log only. */
function openingFault(error: unknown): unknown {
  if (!(error instanceof ConfigError)) return error
  return setupError(
    'Tollway could not be opened as it is configured. Nothing was paid.',
    'The log says what is wrong; `await tollway(config)` tells it at the start.',
  )
}

function answerClaimed(config: ResolvedConfig, options: ChainOptions, error: unknown): Handler {
  const claim = claimer({
    routes: compileRoutes(config.routes, config.fallbacks, config.router),
    hasUpstream: config.upstream !== undefined,
    bodyLimit: config.bodyLimit,
    parsedBody: options.parsedBody ?? false,
  })
  const answer = errorHandler({
    hostErrors: 'answer',
    log: { error: () => undefined, warn: () => undefined },
  })
  return (req, res, next) => claim(req, res, () => answer(error, req, res, next), next)
}

/** Resolves when no paid call is in flight, or when the deadline has passed: such a call stays counted as uncertain. */
async function paidCallsEnd({ running }: GatewayParts, deadlineMs: number, timers: Timers): Promise<void> {
  let cancel = (): void => undefined
  const late = new Promise<void>((resolve) => {
    cancel = timers.after(deadlineMs, resolve)
  })
  await Promise.race([running.idle(), late])
  cancel()
}
