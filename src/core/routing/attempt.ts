/** One request at one candidate. Ended once; what comes after the first end is not heard. */

import type { Candidate, FallbackKind } from './route.ts'

export interface Attempt {
  /** It answered. The place is kept until {@link Attempt.leave}. */
  answered(): void
  /**
   * It failed by its own fault.
   * @param retryAfterMs the pause it asked for
   */
  failed(reason: string, retryAfterMs?: number): void
  /** The request ended for a reason that says nothing about the candidate. */
  unknown(): void
  /** Gives the place back: the answer is through, or there is none. */
  leave(): void
}

/** What the model router gives the payment interceptor: health, slots and fallbacks. */
export interface Routing {
  /** @returns `undefined` when the route has no place left */
  enter(candidate: Candidate): Attempt | undefined
  /** How often an unpaid send to the candidate may be repeated. */
  retries(candidate: Candidate): number
  /**
   * The pause before a repeat, or `undefined` for none.
   * @param attempt 1 for the first repeat
   * @param askedMs what the other side asked for
   */
  retryDelay(attempt: number, askedMs: number | undefined): number | undefined
  /** More candidates after a failure of this kind; empty for most. */
  standIns(kind: FallbackKind): readonly Candidate[]
  /** Told once per repeat. */
  repeated(candidate: Candidate, reason: string): void
  /** Told when the request goes on to another candidate. */
  movedOn(from: Candidate, to: Candidate, reason: string): void
}
