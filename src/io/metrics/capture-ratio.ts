/** How much of the traffic has a known cost, so that spend in the metrics can be compared with what sellers bill. */
import type { RequestSummary } from '../../core/telemetry/events.ts'

/** The window: recent enough to recover after a price was added, long enough to be calm. */
const WINDOW = 1000

/** The share of the last thousand answered model requests whose cost is known. */
export class CaptureRatio {
  readonly #recent: boolean[] = []
  #next = 0
  #known = 0

  /** Takes a request in, when a model answered it. */
  add(summary: RequestSummary): void {
    if (!isAnswered(summary)) return
    const known = isCostKnown(summary)
    if (this.#recent[this.#next] === true) this.#known -= 1
    this.#recent[this.#next] = known
    if (known) this.#known += 1
    this.#next = (this.#next + 1) % WINDOW
  }

  /** From 0 to 1; NaN before the first answer. */
  value(): number {
    return this.#recent.length === 0 ? Number.NaN : this.#known / this.#recent.length
  }
}

function isAnswered({ route, outcome, status }: RequestSummary): boolean {
  return (
    route !== 'none' &&
    (outcome === 'paid' || outcome === 'uncertain' || (outcome === 'free' && status < 400))
  )
}

/** A paid seller that asked for no payment cost nothing; a keyed upstream bills elsewhere, so that its cost must have been estimated. */
function isCostKnown({ costMicroUsd, outcome, payer }: RequestSummary): boolean {
  return costMicroUsd !== undefined || (outcome === 'free' && payer !== 'none')
}
