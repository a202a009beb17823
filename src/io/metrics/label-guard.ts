import { printable } from '../../core/printable.ts'
/** The value that replaces further values of a full label. */
export const OVERFLOW = 'other'

const MAX_LENGTH = 128

/**
 * Bounds the distinct values of every metric label: a series for every untrusted text would fill the memory of the gateway and of
 * Prometheus. The first values are kept; later ones become `other`.
 */
export class LabelGuard {
  readonly #cap: number
  readonly #onOverflow: (label: string) => void
  readonly #seen = new Map<string, Set<string>>()

  /**
   * @param cap distinct values per label
   * @param onOverflow called with the label's name for every observation that was folded into `other`
   */
  constructor(cap: number, onOverflow: (label: string) => void) {
    this.#cap = cap
    this.#onOverflow = onOverflow
  }

  /** The labels to use instead: known values and new ones below the cap unchanged, the rest as `other`. */
  pass(labels: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(
      Object.entries(labels).map(([label, value]) => [label, this.#value(label, value)]),
    )
  }

  #value(label: string, value: string): string {
    const clean = printable(value, MAX_LENGTH)
    let seen = this.#seen.get(label)
    if (!seen) this.#seen.set(label, (seen = new Set()))
    if (seen.has(clean)) return clean
    if (seen.size < this.#cap) {
      seen.add(clean)
      return clean
    }
    this.#onOverflow(label)
    return OVERFLOW
  }
}
