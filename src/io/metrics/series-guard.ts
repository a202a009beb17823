import { OVERFLOW } from './label-guard.ts'

/**
 * Bounds the series of every metric: labels that are each bounded still multiply. The first combinations are kept; for later
 * ones every label becomes `other`, so that sums over all series stay correct.
 */
export class SeriesGuard {
  readonly #caps = new Map<string, number>()
  readonly #seen = new Map<string, Set<string>>()
  readonly #onOverflow: () => void

  /** @param onOverflow called for every observation that was folded */
  constructor(onOverflow: () => void) {
    this.#onOverflow = onOverflow
  }

  /** Sets the most series that a metric may have. By default there is no limit. */
  limit(metric: string, cap: number): void {
    this.#caps.set(metric, cap)
  }

  /** Forgets the series of a metric, after all of them were removed. */
  forget(metric: string): void {
    this.#seen.delete(metric)
  }

  /** The labels to use in place of these. */
  pass(metric: string, labels: Record<string, string>): Record<string, string> {
    const cap = this.#caps.get(metric)
    if (cap === undefined) return labels
    const key = Object.values(labels).join('\n')
    let seen = this.#seen.get(metric)
    if (!seen) this.#seen.set(metric, (seen = new Set()))
    if (seen.has(key)) return labels
    if (seen.size < cap) {
      seen.add(key)
      return labels
    }
    this.#onOverflow()
    return Object.fromEntries(Object.keys(labels).map((label) => [label, OVERFLOW]))
  }
}
