/** Serves the metrics on a separate port, so that a scraper needs no access to the gateway, which can pay. */
import { createServer } from 'node:http'
import type express from 'express'
import { clientErrorHandler } from '../../../middleware/client-error-handler.ts'
import { originGuard } from '../../../middleware/origin-guard.ts'
import { errorHandler, notFound } from '../../../middleware/error-handler.ts'
import type { Log } from '../../core/log.ts'
import { metrics, type MetricsSource } from '../../../middleware/metrics.ts'
import { runbookPage } from '../runbooks/runbook-page.ts'
import { bind, METRICS_KEYS } from './bind.ts'
import { isLoopbackHost, type ListenAddress } from '../config/values/addresses.ts'

/** Dependencies of {@link metricsListener}. */
export interface MetricsListenerSetup {
  readonly createApp: typeof express
  readonly address: ListenAddress
  readonly metrics: MetricsSource
  /** SHA-256 of the token, lower-case hex. */
  readonly tokenDigest: string | undefined
  /** Host names served in addition to localhost. */
  readonly hosts: readonly string[]
  readonly log: Log
}

/** A listener that is not yet open. */
export interface MetricsListener {
  /** @throws ConfigError if the address cannot be bound */
  listen(): Promise<string>
  close(): Promise<void>
}

/** Serves `GET /metrics` and the runbooks of the alerts, and nothing else. */
export function metricsListener(setup: MetricsListenerSetup): MetricsListener {
  const { address, tokenDigest, hosts, log } = setup
  const app = setup.createApp()
  app.disable('x-powered-by')
  app.disable('etag')
  app.use(originGuard({ hosts, allowAnyHost: !isLoopbackHost(address.host) }))
  // Alerts lead to the address that Prometheus scrapes.
  app.use(runbookPage())
  app.use(metrics({ metrics: setup.metrics, tokenDigest }))
  app.use(notFound())
  app.use(errorHandler({ log, hostErrors: 'answer' }))
  const server = createServer(app)
  server.on('clientError', clientErrorHandler)
  return {
    listen: () => bind(server, address, METRICS_KEYS),
    async close() {
      if (!server.listening) return
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeAllConnections()
      await closed
    },
  }
}
