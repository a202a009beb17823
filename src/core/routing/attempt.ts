/** What the model router gives the payment interceptor: health, slots, retries and fallbacks. */
import type { Candidate, FallbackKind } from './route.ts'

/** One request at one candidate. Only the first of `answered`, `failed` and `unknown` counts. */
export interface Attempt {
  /** The candidate answered. Its slot stays taken until {@link Attempt.leave}. */
  answered(): void
  /**
   * The candidate failed.
   * @param retryAfterMs the pause it asked for
   */
  failed(reason: string, retryAfterMs?: number): void
  /** The request ended for a reason that says nothing about the candidate. */
  unknown(): void
  /** Frees the slot: the response is complete, or there is none. */
  leave(): void
}

/** The router's view of one request. */
export interface Routing {
  /** Takes a slot. @returns `undefined` when the route has none left */
  enter(candidate: Candidate): Attempt | undefined
  /** How often an unpaid request to the candidate may be retried. */
  retries(candidate: Candidate): number
  /**
   * The pause before a retry, milliseconds; `undefined` when it should not be retried.
   * @param attempt 1 for the first retry
   * @param askedMs the pause that the candidate asked for
   */
  retryDelay(attempt: number, askedMs: number | undefined): number | undefined
  /** The fallback candidates for a failure of this kind; usually empty. */
  fallbacks(kind: FallbackKind): readonly Candidate[]
  /** Reports a retry. */
  repeated(candidate: Candidate, reason: string): void
  /** Reports that the request falls back to another candidate. */
  movedOn(from: Candidate, to: Candidate, reason: string): void
}
