/** `GET /metrics`: the registry as Prometheus text, or as OpenMetrics for clients that ask for it. */
import { timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import { hashKey } from '../src/io/callers/hash-key.ts'
import { setResponseHeaders } from './http/response-headers.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from './http/handler.ts'
import { createMetrics } from '../src/io/metrics/metrics.ts'
import { observeWith } from './http/chain/shared-context.ts'
import { objectWith } from './http/options.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { findPath } from './http/paths.ts'

/** What is served: {@link createMetrics}' result, or anything that writes the text format. */
export interface MetricsSource {
  readonly contentType: string
  text(): Promise<string>
  /** OpenMetrics with exemplars; without it every client gets text. */
  openMetrics?(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** Options of {@link metrics}. */
export interface MetricsOptions {
  /** What is served; default new metrics of its own, which the middlewares behind it report to. */
  readonly metrics?: MetricsSource | undefined
  /** SHA-256 of the required bearer token, lower-case hex (`hashKey(token)`); without it anyone may read. */
  readonly tokenDigest?: string | undefined
}

const SCHEMA = z.strictObject({
  metrics: objectWith<MetricsSource>(['text'], 'give what createMetrics() returns').optional(),
  tokenDigest: z
    .string()
    .regex(
      /^[0-9a-f]{64}$/,
      'give the SHA-256 of the token in lower-case hex: hashKey(token), never the token itself',
    )
    .optional(),
})

/**
 * Serves `GET /metrics`; every other path passes. Without metrics of yours, mount it before `auditLogger()`, which counts
 * the requests: every middleware behind it reports here.
 * @throws ConfigError for a mistake in the options
 */
export function metrics(options: MetricsOptions = {}): Handler {
  const { metrics: given, tokenDigest } = parseOptions('metrics', SCHEMA, options)
  const made = createMetrics()
  const source: MetricsSource = given ?? made
  const own = given ? undefined : made
  const digest = tokenDigest === undefined ? undefined : Buffer.from(tokenDigest, 'hex')

  return asyncHandler('metrics', async (req, res, next) => {
    const asked = req.method === 'GET' || req.method === 'HEAD'
    if (!asked || findPath(req, (path) => path === '/metrics') === undefined) {
      if (own) observeWith(exchangeOf(req), own.observe)
      return next()
    }
    const exchange = exchangeOf(req)
    exchange.endpoint = '/metrics'
    if (digest && !timingSafeEqual(Buffer.from(hashKey(tokenOf(req)), 'hex'), digest)) {
      res.setHeader('www-authenticate', 'Bearer')
      throw refusal()
    }
    const { contentType, text } =
      source.openMetrics && prefersOpenMetrics(req)
        ? await source.openMetrics()
        : { contentType: source.contentType, text: await source.text() }
    setResponseHeaders(res, exchange)
    res.setHeader('content-type', contentType)
    res.setHeader('cache-control', 'no-store')
    res.setHeader('vary', 'accept')
    res.end(text)
  })
}

function tokenOf(req: Request): string {
  return /^Bearer +(\S+)$/i.exec(req.headers.authorization ?? '')?.[1] ?? ''
}

/** Prometheus lists OpenMetrics first; a client that lists it at all understands it. */
function prefersOpenMetrics(req: Request): boolean {
  return (req.headers.accept ?? '')
    .split(',')
    .some((part) => /^\s*application\/openmetrics-text\s*(?:;(?!.*\bq=0(?:\.0*)?\s*(?:;|$)).*)?$/i.test(part))
}

function refusal(): TollwayError {
  return new TollwayError({
    code: 'invalid_api_key',
    message: 'The metrics need their token.',
    advice: ['Send it as a bearer token: authorization under the job in scrape_configs of Prometheus.'],
  })
}
