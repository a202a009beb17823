import { OVERFLOW } from './label-guard.ts'

/**
 * Bounds the models that become label values. Under a wildcard route the name is the client's text, so that a name gets a series
 * only once an answer to it was seen; others count as `other`. Names of exact routes are the operator's own and always kept.
 */
export class ModelLabels {
  readonly #cap: number
  readonly #known = new Set<string>()

  /** @param cap the most names that are remembered */
  constructor(cap: number) {
    this.#cap = cap
  }

  /**
   * The label value for a model.
   * @param isEarned whether the model answered, or is named by the configuration
   */
  of(model: string, isEarned: boolean): string {
    if (this.#known.has(model)) return model
    if (!isEarned) return OVERFLOW
    if (this.#known.size < this.#cap) this.#known.add(model)
    // Beyond the cap the label guard folds and counts it.
    return model
  }
}
