/** The middlewares of a configuration, as one chain for the requests that it claims. */
import type { ServerResponse } from 'node:http'
import { assertOrder } from '../../../middleware/assert-order.ts'
import { auditLogger } from '../../../middleware/audit-logger.ts'
import { budgetGuard } from '../../../middleware/budget-guard.ts'
import { callerLimits } from '../../../middleware/caller-limits.ts'
import { errorHandler } from '../../../middleware/error-handler.ts'
import type { ErrorHandler, Handler, Next, Request } from '../../../middleware/http/handler.ts'
import { idempotency } from '../../../middleware/idempotency.ts'
import { modelRouter } from '../../../middleware/model-router.ts'
import { originGuard } from '../../../middleware/origin-guard.ts'
import { paymentInterceptor } from '../../../middleware/payment-interceptor.ts'
import { readBody } from '../../../middleware/read-body.ts'
import { sseRestreamer } from '../../../middleware/sse-restreamer.ts'
import type { Log } from '../../core/log.ts'
import type { GatewayParts } from '../gateway/open-parts.ts'
import { openCallers } from '../wiring/open-callers.ts'
import { requiresCallerKey } from '../config/resolve/requires-caller-key.ts'
import { claimer } from './claim.ts'
import { callerByKey, callerOfHost, thisMachineOnly, type HostCaller } from './embedded-caller.ts'
import { runChain } from './run-chain.ts'

/** How the application wants the chain. */
export interface ChainOptions {
  readonly caller?: HostCaller | undefined
  readonly hosts?: readonly string[] | undefined
  readonly origins?: readonly string[] | undefined
  readonly parsedBody?: boolean | undefined
}

/** What the chains of one middleware share: its state must outlive a reload. */
export interface SharedHandlers {
  readonly scope: Handler
  /** Remembers requests for their repeats: two of them would pay for a repeat twice. */
  readonly remembering: Handler
  /** Counts what callers have used of their limits. */
  readonly limiting: Handler
}

/** Opens what is shared. */
export function sharedHandlers(parts: GatewayParts, scope: Handler): SharedHandlers {
  const limiting = callerLimits({ observers: parts.observers })
  return { scope, remembering: idempotency(parts.idempotency), limiting }
}

/** Serves what the configuration claims, and hands on everything else. */
export function composeChain(
  parts: GatewayParts,
  log: Log,
  { scope, remembering, limiting }: SharedHandlers,
  options: ChainOptions,
): Handler {
  const { config, observers, clock } = parts
  const { parsedBody = false } = options
  const isIdentified = options.caller !== undefined || requiresCallerKey(config)
  const identify = options.caller
    ? [callerOfHost(options.caller)]
    : isIdentified
      ? [callerByKey(openCallers(config, clock, log))]
      : [thisMachineOnly]
  const handlers: Handler[] = [
    scope,
    auditLogger({ audit: parts.audit, observers, clock, log, refusals: parts.refusals }),
    originGuard({
      hosts: [...config.admin.hosts, ...(options.hosts ?? [])],
      origins: options.origins,
      // A page that another name leads here has no key.
      allowAnyHost: isIdentified,
    }),
    ...identify,
    limiting,
    readBody({ limit: config.bodyLimit, parsedBody }),
    modelRouter(parts.modelRouter),
    remembering,
    budgetGuard(parts.budgetGuard),
    paymentInterceptor(parts.paymentInterceptor),
    sseRestreamer(parts.sseRestreamer),
  ]
  const onError: ErrorHandler = errorHandler({ log, hostErrors: 'answer' })
  assertOrder([...handlers, onError])
  const claim = claimer({
    routes: parts.modelRouter.routes,
    hasUpstream: config.upstream !== undefined,
    bodyLimit: config.bodyLimit,
    parsedBody,
  })
  return (req: Request, res: ServerResponse, next: Next) => {
    claim(
      req,
      res,
      (error) => {
        const refuse: Handler[] = error === undefined ? [] : [(_req, _res, pass) => pass(error)]
        runChain([...handlers.slice(0, 2), ...refuse, ...handlers.slice(2)], onError, req, res, next)
      },
      next,
    )
  }
}
