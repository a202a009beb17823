/** What the log says about a configuration that works, but perhaps not as it was meant. */
import type { Log } from '../../core/log.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { unpricedRoutes } from '../wiring/unpriced-routes.ts'

/** Warns when a configuration comes into force. */
export function warnAbout(config: ResolvedConfig, log: Log): void {
  if (config.budgets.length === 0 && config.routes.some(({ payer }) => payer !== undefined)) {
    log.warn({}, 'paid routes have no budget: only policy.max_usd_per_request limits what is spent')
  }
  const routes = unpricedRoutes(config)
  if (routes.length > 0) {
    log.warn(
      { routes },
      'routes without a payer have no price under model_info: what they cost counts in no budget in USD',
    )
  }
  if (config.ignoredKeys.length > 0) {
    log.warn({ keys: config.ignoredKeys }, 'keys of the LiteLLM configuration that have no effect here')
  }
  for (const { kind, path, message } of config.litellmNotes) log.warn({ kind, key: path }, message)
}
