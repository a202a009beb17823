import type { Routing } from '../../../src/core/routing/attempt.ts'
import type { Candidate, FallbackKind } from '../../../src/core/routing/route.ts'

/** Fallback kinds that are not among the candidates, because only an answer can trigger them. */
const STAND_IN_KINDS: readonly FallbackKind[] = ['context_window', 'content_policy']

/** Whether a request may lead to a payment, through its candidates or through their fallbacks. */
export function mayBePaid(candidates: readonly Candidate[], attempts: Routing | undefined): boolean {
  return candidates.some(isPaid) || STAND_IN_KINDS.some((kind) => attempts?.fallbacks(kind).some(isPaid))
}

/** Whether a candidate is paid. */
export function isPaid({ route }: Candidate): boolean {
  return route.payer !== undefined
}
