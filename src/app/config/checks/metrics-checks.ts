/** Checks who can reach the metrics, which show who spends and who is paid how much. */
import type { RouteFinding } from '../reading/explain.ts'
import { isPlainObject } from '../reading/interpolate.ts'
import { isLoopbackHost, parseListen } from '../values/addresses.ts'
import type { Fields } from './config-item.ts'

/** Metrics reveal who is paid how much, so access from other machines requires a token. */
export function checkMetrics(config: Fields): RouteFinding[] {
  const metrics = isPlainObject(config['metrics']) ? config['metrics'] : {}
  const address = typeof metrics['listen'] === 'string' ? parseListen(metrics['listen']) : undefined
  if (address === undefined) return checkSharedMetrics(config, metrics)
  if (address.port !== 0 && metrics['listen'] === config['listen']) {
    return [
      {
        path: ['metrics', 'listen'],
        message: "is the gateway's own address. Give another port, or remove it.",
      },
    ]
  }
  if (isLoopbackHost(address.host) || metrics['token'] !== undefined) return []
  return [
    {
      path: ['metrics', 'listen'],
      message:
        'is reachable from other machines. Add a token beside it (token: "${env:TOLLWAY_METRICS_TOKEN}"), or listen on 127.0.0.1.',
    },
  ]
}

/** Metrics without their own address are served on the gateway's, where callers could read what all others spend. */
function checkSharedMetrics(config: Fields, metrics: Fields): RouteFinding[] {
  const address = typeof config['listen'] === 'string' ? parseListen(config['listen']) : undefined
  if (address === undefined || isLoopbackHost(address.host) || metrics['token'] !== undefined) return []
  const callers = config['callers']
  // Without callers that listen address is already refused.
  if (config['keys'] === undefined && !(Array.isArray(callers) && callers.length > 0)) return []
  return [
    {
      path: ['metrics', 'token'],
      message:
        'is missing, and /metrics can be read from other machines: it shows who spends how much. Add metrics: { token: "${env:TOLLWAY_METRICS_TOKEN}" }, or give ' +
        'the metrics an address of their own (metrics.listen: 127.0.0.1:9464).',
    },
  ]
}
