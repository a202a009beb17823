/** One log line per request. */
import type { Logger } from 'pino'
import type { Observer, RequestSummary } from '../../core/telemetry/events.ts'
import { formatUsd } from '../../core/money/money.ts'

/** Logs the outcome of each request: at info level, but successful scrapes, probes and page refreshes at debug level.
 * Refusals beyond the first of a kind are logged together (auditLogger). */
export function requestLog(log: Logger): Observer {
  return (event) => {
    if (event.type !== 'request' || event.counted === true) return
    const { summary } = event
    const level = isRoutine(summary) ? 'debug' : 'info'
    if (!log.isLevelEnabled(level)) return
    log[level](fieldsOf(summary), 'request')
  }
}

function fieldsOf(summary: RequestSummary): Readonly<Record<string, unknown>> {
  const { requestId, method, endpoint, caller, route, payer, status, outcome, code, charge, spent } = summary
  return {
    requestId,
    method,
    endpoint,
    caller,
    route,
    payer,
    status,
    outcome,
    code,
    spent,
    charge,
    cost_usd: summary.costMicroUsd === undefined ? undefined : formatUsd(summary.costMicroUsd),
    ms: Math.round(summary.seconds * 1000),
    input_tokens: summary.usage?.inputTokens,
    output_tokens: summary.usage?.outputTokens,
    stream: summary.stream || undefined,
    truncated: summary.truncated || undefined,
    ...(code === 'seller_unavailable' ? unavailable(summary.details) : {}),
  }
}

/** Which host did not answer, and the system's code for it. */
function unavailable(details: RequestSummary['details']): Readonly<Record<string, unknown>> {
  const { host, errno, reason } = details
  return { host, errno, reason }
}

function isRoutine({ method, endpoint, status }: RequestSummary): boolean {
  return (
    method === 'GET' && status < 400 && /^\/(?:metrics|health|healthz|dashboard|api)(?:\/|$)/.test(endpoint)
  )
}
