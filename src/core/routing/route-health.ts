/**
 * The health of a route: it cools down after consecutive failures, and one trial request then decides whether it is back.
 * Pure: each function takes a state and returns the next.
 */

/** When a route cools down, and for how long. */
export interface HealthPolicy {
  /** Consecutive failures that are tolerated; the next one starts a cooldown. */
  readonly allowedFails: number
  /** Milliseconds; 0 never cools down. */
  readonly cooldownMs: number
}

/** `cooling`: other routes are tried first. `probing`: one trial request is in flight; others still prefer other routes. */
export type HealthState = 'healthy' | 'cooling' | 'probing'

/** The health of one route. */
export interface Health {
  readonly state: HealthState
  /** Failures since the last success. */
  readonly fails: number
  /** When the cooldown ends, or when a trial request is given up; milliseconds since the epoch. */
  readonly until: number
}

/** The health of a route that was never used. */
export const HEALTHY: Health = { state: 'healthy', fails: 0, until: 0 }

/** The longest cooldown that a Retry-After can cause. */
export const MAX_COOLDOWN_MS = 600_000

/** A trial request that never reports its outcome must not exclude a route permanently. */
const PROBE_MS = 60_000

/** Whether other routes should be tried first. After the cooldown the route regains its position. */
export function isCooling(health: Health, now: number): boolean {
  return health.state !== 'healthy' && now < health.until
}

/** A request is sent to the route; the first one after a cooldown is the trial request. */
export function onStart(health: Health, now: number): Health {
  if (health.state === 'healthy' || isCooling(health, now)) return health
  return { state: 'probing', fails: health.fails, until: now + PROBE_MS }
}

/** The route answered. */
export function onSuccess(): Health {
  return HEALTHY
}

/**
 * The route failed, and not because of the request.
 * @param retryAfterMs the pause it asked for: it cools down immediately and for at least this long, up to {@link MAX_COOLDOWN_MS}
 */
export function onFailure(health: Health, policy: HealthPolicy, now: number, retryAfterMs?: number): Health {
  const fails = health.fails + 1
  if (policy.cooldownMs === 0) return { state: 'healthy', fails, until: 0 }
  const asked = Math.min(retryAfterMs ?? 0, MAX_COOLDOWN_MS)
  const overdue = fails > policy.allowedFails || health.state !== 'healthy' || asked > 0
  if (!overdue) return { state: 'healthy', fails, until: 0 }
  const until = Math.max(now + policy.cooldownMs, now + asked, health.state === 'cooling' ? health.until : 0)
  return { state: 'cooling', fails, until }
}
