/** Liveness and readiness, under the names Kubernetes, LiteLLM and x402-buyer use. */
import { z } from 'zod'
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
  /** Checks by name. One that fails makes the answer `degraded`, still 200: unpaid routes work without it. */
  readonly checks?: Readonly<Record<string, HealthCheck>> | undefined
  /** Whether the gateway is shutting down: readiness then answers 503. */
  readonly isShuttingDown?: (() => boolean) | undefined
  /** How long a check may take before it counts as failed. Default 2, at most 60. */
  readonly timeoutSeconds?: number | undefined
}

const SCHEMA = z.strictObject({
  checks: z
    .record(z.string(), functionOption<HealthCheck>('a check is a function that returns a promise'))
    .default({}),
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

/**
 * `GET /health/live`, `/health/liveliness`, `/healthz`: 200 while the process answers. `GET /health/ready`,
 * `/health/readiness`: 200 with `ok` or `degraded` and the result of each check; 503 only while shutting down.
 * @throws ConfigError for a mistake in the options
 */
export function health(options: HealthOptions = {}): Handler {
  const { checks, isShuttingDown, timeoutSeconds } = parseOptions('health', SCHEMA, options)
  // Probes that arrive while one is running share it, so that probes cannot pile up work.
  let running: Promise<Record<string, Verdict>> | undefined
  const runAll = (): Promise<Record<string, Verdict>> => {
    running ??= verdicts(checks, timeoutSeconds * 1000).finally(() => {
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
    const status = Object.values(results).includes('failed') ? 'degraded' : 'ok'
    sendJson(res, exchange, 200, { status, checks: results })
  })
}

async function verdicts(
  checks: Readonly<Record<string, HealthCheck>>,
  timeoutMs: number,
): Promise<Record<string, Verdict>> {
  const results = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => [name, await verdict(check, timeoutMs)] as const),
  )
  return Object.fromEntries(results)
}

/** Only ok or failed: the cause belongs in the log, not in a response that anyone can read. */
async function verdict(check: HealthCheck, timeoutMs: number): Promise<Verdict> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<Verdict>((resolve) => {
    timer = setTimeout(() => resolve('failed'), timeoutMs)
  })
  try {
    return await Promise.race([check().then((): Verdict => 'ok'), timeout])
  } catch {
    return 'failed'
  } finally {
    clearTimeout(timer)
  }
}
