import type { ResolvedConfig } from './resolved.ts'

/** Whether callers must present a key. Their credentials are then meant for the gateway and are not forwarded. */
export function requiresCallerKey(config: Pick<ResolvedConfig, 'callers' | 'keys'>): boolean {
  return config.callers.length > 0 || config.keys !== undefined
}
