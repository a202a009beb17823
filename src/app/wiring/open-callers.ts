import type { Caller, CallerOptions } from '../../../middleware/caller.ts'
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import type { CallerLimits } from '../../core/request/exchange.ts'
import { budgetsOfKey, CallerKeysWatch, type CallerKey } from '../../io/callers/caller-keys.ts'
import type { ResolvedCaller, ResolvedConfig } from '../config/resolve/resolved.ts'

/**
 * The callers: those in the configuration and those currently in the keys file.
 * @throws ConfigError for an unusable keys file
 */
export function openCallers(
  config: Pick<ResolvedConfig, 'callers' | 'keys'>,
  clock: Clock,
  log: Log,
): CallerOptions {
  const callers = config.callers.map(fromConfig)
  if (!config.keys) return { callers, clock }
  const watch = new CallerKeysWatch(config.keys.path, clock, (err) => {
    log.error({ err }, 'cannot read the keys file; the keys that were read last remain valid')
  })
  let seen: readonly CallerKey[] | undefined
  let made: readonly Caller[] = []
  const source = {
    callers(): readonly Caller[] {
      const entries = watch.entries()
      if (entries !== seen) {
        seen = entries
        made = entries.map(fromFile)
      }
      return made
    },
  }
  return { callers, source, clock }
}

function fromConfig(caller: ResolvedCaller): Caller {
  const { id, keyDigest, models, expiresAt, team } = caller
  const { requestsPerMinute, tokensPerMinute, maxParallel } = caller
  return {
    id,
    keyDigest,
    models,
    expiresAt,
    team,
    limits: limitsOf({ requestsPerMinute, tokensPerMinute, parallel: maxParallel }),
  }
}

function fromFile(key: CallerKey): Caller {
  return {
    id: key.id,
    keyDigest: key.digest,
    models: key.models,
    expiresAt: key.expires,
    team: key.team,
    budgets: budgetsOfKey(key),
    limits: limitsOf({
      requestsPerMinute: key.requests_per_minute,
      tokensPerMinute: key.tokens_per_minute,
      parallel: key.max_parallel_requests,
    }),
  }
}

function limitsOf(limits: CallerLimits): CallerLimits | undefined {
  return Object.values(limits).some((limit) => limit !== undefined) ? limits : undefined
}
