/** `GET /metrics`: the registry as Prometheus text. */
import { z } from 'zod'
import { setAnswerHeaders } from './answer-headers.ts'
import { exchangeOf } from './exchange.ts'
import { asyncHandler, type Handler } from './handler.ts'
import { objectWith, parseOptions } from './options.ts'
import { findPath } from './paths.ts'

/** What is served: {@link createMetrics}' result, or anything that writes the text format. */
export interface MetricsSource {
  readonly contentType: string
  text(): Promise<string>
}

/** Options of {@link metrics}. */
export interface MetricsOptions {
  readonly metrics: MetricsSource
}

const SCHEMA = z.strictObject({
  metrics: objectWith<MetricsSource>(['text'], 'give what createMetrics() returns'),
})

/**
 * Serves `GET /metrics`; every other path passes.
 * @throws ConfigError for a mistake in the options
 */
export function metrics(options: MetricsOptions): Handler {
  const source = parseOptions('metrics', SCHEMA, options).metrics

  return asyncHandler('metrics', async (req, res, next) => {
    const asked = req.method === 'GET' || req.method === 'HEAD'
    if (!asked || findPath(req, (path) => path === '/metrics') === undefined) return next()
    const exchange = exchangeOf(req)
    exchange.endpoint = '/metrics'
    const text = await source.text()
    setAnswerHeaders(res, exchange)
    res.setHeader('content-type', source.contentType)
    res.setHeader('cache-control', 'no-store')
    res.end(text)
  })
}
