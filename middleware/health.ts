/** Liveness and readiness, under the names Kubernetes, LiteLLM and x402-buyer use. */
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { functionOption } from './http/options.ts'
import { findPath } from './http/paths.ts'
import { sendJson } from './http/send-json.ts'

/** A check: resolves if the part it checks works, rejects if it does not. */
export type HealthCheck = () => Promise<unknown>

/** Options of {@link health}. */
export interface HealthOptions {
  /**
   * Checks by name of what every paid call needs. One that fails makes the answer 503 `unavailable`, with the reason that paid
   * calls get too: its error's code.
   */
  readonly required?: Readonly<Record<string, HealthCheck>> | undefined
  /** Further checks by name. One that fails makes the answer `degraded`, still 200: calls are answered without it. */
  readonly checks?: Readonly<Record<string, HealthCheck>> | undefined
  /** Whether the gateway is shutting down: readiness then answers 503. */
  readonly isShuttingDown?: (() => boolean) | undefined
  /** How long a check may take before it counts as failed. Default 2, at most 60. */
  readonly timeoutSeconds?: number | undefined
}

const CHECKS = z
  .record(z.string(), functionOption<HealthCheck>('a check is a function that returns a promise'))
  .default({})

const SCHEMA = z.strictObject({
  required: CHECKS,
  checks: CHECKS,
  isShuttingDown: functionOption<() => boolean>('give a function that returns a boolean').default(
    () => () => false,
  ),
  timeoutSeconds: z.number().positive().max(60).default(2),
})

const LIVE: ReadonlySet<string> = new Set([
  '/health/live',
  '/health/liveliness',
  '/health/liveness',
  '/healthz',
])
const READY: ReadonlySet<string> = new Set(['/health/ready', '/health/readiness'])

type Verdict = 'ok' | 'failed'

/** How a check ended, and the code of the error that it failed with. */
interface Result {
  readonly name: string
  readonly verdict: Verdict
  readonly isRequired: boolean
  readonly reason: string
}

/**
 * `GET /health/live`, `/health/liveliness`, `/healthz`: 200 while the process answers. `GET /health/ready`,
 * `/health/readiness`: 200 with `ok` or `degraded` and the result of each check; 503 with `unavailable` and the `reason` while
 * every paid call is refused, and with `shutting_down` then.
 * @throws ConfigError for a mistake in the options
 */
export function health(options: HealthOptions = {}): Handler {
  const { required, checks, isShuttingDown, timeoutSeconds } = parseOptions('health', SCHEMA, options)
  // Probes that arrive while one is running share it, so that probes cannot pile up work.
  let running: Promise<readonly Result[]> | undefined
  const all = [
    ...Object.entries(required).map(([name, check]) => ({ name, check, isRequired: true })),
    ...Object.entries(checks).map(([name, check]) => ({ name, check, isRequired: false })),
  ]
  const runAll = (): Promise<readonly Result[]> => {
    running ??= Promise.all(
      all.map(async ({ name, check, isRequired }) => ({
        name,
        isRequired,
        ...(await outcomeOf(check, timeoutSeconds * 1000)),
      })),
    ).finally(() => {
      running = undefined
    })
    return running
  }

  return asyncHandler('health', async (req, res, next) => {
    const path =
      req.method === 'GET' || req.method === 'HEAD'
        ? findPath(req, (at) => LIVE.has(at) || READY.has(at))
        : undefined
    if (path === undefined) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = path
    if (LIVE.has(path)) return sendJson(res, exchange, 200, { status: 'ok' })
    if (isShuttingDown()) return sendJson(res, exchange, 503, { status: 'shutting_down' })
    const results = await runAll()
    const verdicts = Object.fromEntries(results.map(({ name, verdict }) => [name, verdict]))
    const missing = results.find(({ verdict, isRequired }) => isRequired && verdict === 'failed')
    if (missing) {
      const { reason } = missing
      return sendJson(res, exchange, 503, { status: 'unavailable', reason, checks: verdicts })
    }
    const isDegraded = results.some(({ verdict }) => verdict === 'failed')
    sendJson(res, exchange, 200, { status: isDegraded ? 'degraded' : 'ok', checks: verdicts })
  })
}

/** Only a code: the cause belongs in the log, not in a response that anyone can read. */
async function outcomeOf(check: HealthCheck, timeoutMs: number): Promise<Pick<Result, 'verdict' | 'reason'>> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<Pick<Result, 'verdict' | 'reason'>>((resolve) => {
    timer = setTimeout(() => resolve({ verdict: 'failed', reason: 'timeout' }), timeoutMs)
  })
  try {
    return await Promise.race([check().then(() => ({ verdict: 'ok' as const, reason: '' })), timeout])
  } catch (error) {
    return { verdict: 'failed', reason: error instanceof TollwayError ? error.code : 'internal_error' }
  } finally {
    clearTimeout(timer)
  }
}
