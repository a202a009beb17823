/**
 * Whether a route can be trusted to answer: it cools down after failures in a row, and comes back by one request that tries
 * it out. Pure: a state goes in, a state comes out.
 */

/** When a route cools down, and for how long. */
export interface HealthPolicy {
  /** Failures in a row that are borne; the next one cools the route down. */
  readonly allowedFails: number
  /** Milliseconds; 0 never cools down. */
  readonly cooldownMs: number
}

/** `healthy` · `cooling` until a time · `probing`: one request is trying it out, the others still go elsewhere. */
export type HealthState = 'healthy' | 'cooling' | 'probing'

/** What is remembered of a route. */
export interface Health {
  readonly state: HealthState
  /** Failures since the last success. */
  readonly fails: number
  /** End of the cooldown, or of the time a probe is waited for; milliseconds since the epoch. */
  readonly until: number
}

/** A route nothing is known of. */
export const HEALTHY: Health = { state: 'healthy', fails: 0, until: 0 }

/** The longest a seller's own Retry-After keeps a route cool. */
export const MAX_COOLDOWN_MS = 600_000

/** A trial request that never reports its outcome must not exclude a route for ever. */
const PROBE_MS = 60_000

/** Whether other routes should be tried first. After the cooldown the route is back in its old place. */
export function isCooling(health: Health, now: number): boolean {
  return health.state !== 'healthy' && now < health.until
}

/** A request goes to the route: after a cooldown it is the probe. */
export function onStart(health: Health, now: number): Health {
  if (health.state === 'healthy' || isCooling(health, now)) return health
  return { state: 'probing', fails: health.fails, until: now + PROBE_MS }
}

/** The route answered. */
export function onSuccess(): Health {
  return HEALTHY
}

/**
 * The route failed in a way that is its own fault.
 * @param retryAfterMs what it asked for itself: it cools down at once and at least so long, up to {@link MAX_COOLDOWN_MS}
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
