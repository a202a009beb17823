import type { ResolvedConfig } from './resolved.ts'

/** Whether callers must show a key: then what they show is meant for the gateway and goes no further. */
export function requiresCallerKey(config: Pick<ResolvedConfig, 'callers' | 'keys'>): boolean {
  return config.callers.length > 0 || config.keys !== undefined
}
