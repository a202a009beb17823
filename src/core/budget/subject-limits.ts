/** Limits of single subjects of a budget: `limits: { ci: "1.00", "prod-*": "20.00", default: "0.50" }`. */
import { matchesPattern, parsePattern, specificity } from '../name-pattern.ts'

/** The limit of the subjects that a name or pattern matches. */
export interface SubjectLimit {
  /** A name, or a pattern with `*`. */
  readonly subject: string
  /** In the unit of the budget. */
  readonly limit: bigint
}

/** The key under `limits` that stands for every subject that no other key names. */
export const DEFAULT_SUBJECT = 'default'

/**
 * The limit of one subject: of its own name, or of the pattern with most letters that matches it; of equally long patterns the
 * lower limit.
 * @returns `undefined` when none names it
 */
export function limitFor(
  { limits = [] }: { readonly limits?: readonly SubjectLimit[] | undefined },
  subject: string,
): bigint | undefined {
  let best: { readonly rank: number; readonly limit: bigint } | undefined
  for (const { subject: pattern, limit } of limits) {
    if (!matchesPattern(pattern, subject)) continue
    const rank = specificity(parsePattern(pattern))
    if (!best || rank > best.rank || (rank === best.rank && limit < best.limit)) best = { rank, limit }
  }
  return best?.limit
}
