/** Which request the running code belongs to, for log lines and spans; the runtime passes it from call to call. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { exchangeOf } from '../../../middleware/http/exchange-of.ts'
import type { Handler } from '../../../middleware/http/handler.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { RequestSpan, Tracing } from './tracing.ts'

/** What is known about a request wherever it is processed. */
export interface RequestContext {
  readonly requestId: string
  readonly span: RequestSpan | undefined
}

/** One per gateway. */
export type RequestContexts = AsyncLocalStorage<RequestContext>

/** Creates the context storage of one gateway. */
export function requestContexts(): RequestContexts {
  return new AsyncLocalStorage<RequestContext>()
}

/**
 * Opens a request's context. Mount it first. With tracing, the `traceparent` that unpaid upstreams get is that of
 * our own span, which follows the client's; sellers get none.
 */
export function requestScope(contexts: RequestContexts, tracing: Tracing | undefined, clock: Clock): Handler {
  return (req, _res, next) => {
    const { id, startedAt } = exchangeOf(req, clock)
    const span = tracing?.begin(req.headers, startedAt)
    if (span) req.headers['traceparent'] = span.traceparent
    contexts.run({ requestId: id, span }, next)
  }
}

/** Turns events in a request's context into spans. */
export function traceObserver(contexts: RequestContexts): Observer {
  return (event) => {
    if (event.type === 'phase') contexts.getStore()?.span?.phase(event.phase, event.seconds)
    if (event.type === 'request') contexts.getStore()?.span?.end(event.summary)
  }
}
