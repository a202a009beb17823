/** Live events of charges for open pages: bounded, and resumable for a while. */
import type { TollwayEvent } from '../../core/telemetry/events.ts'
import { chargeJson } from './charge-json.ts'
import type { ExplorerLink } from './explorers.ts'

/** One message of the stream. */
export interface FeedEvent {
  /** Increases by one with each event of this process. */
  readonly number: number
  readonly name: string
  /** JSON on one line. */
  readonly data: string
}

/** Number of events kept for clients that reconnect. */
const KEPT = 500

/** The live feed of charge events. One per gateway. */
export class ChargeFeed {
  readonly #link: ExplorerLink
  readonly #events: FeedEvent[] = []
  readonly #listeners = new Set<(event: FeedEvent) => void>()
  #number = 0

  constructor(link: ExplorerLink) {
    this.#link = link
  }

  /** Number of the newest event; 0 before the first. */
  get newest(): number {
    return this.#number
  }

  /** For the ledger and the middlewares. */
  readonly observe = (event: TollwayEvent): void => {
    if (event.type === 'charge') {
      this.#add('charge', { ...chargeJson(event.charge, this.#link), from: event.from ?? null })
    } else if (event.type === 'approval') {
      this.#add('approval', { result: event.result })
    } else if (event.type === 'budget_refused') {
      const { claim, early } = event
      this.#add('refused', { budget: claim.budget, subject: claim.subject, early })
    } else if (
      event.type === 'request' &&
      (event.summary.code !== undefined || event.summary.status >= 500)
    ) {
      const { requestId, code = null, outcome } = event.summary
      this.#add('failed', { request: requestId, code, outcome })
    }
  }

  /** The events after a given one; `undefined` if some of them are no longer kept. */
  since(number: number): readonly FeedEvent[] | undefined {
    if (number > this.#number) return undefined
    const first = this.#events[0]?.number ?? this.#number + 1
    if (number + 1 < first) return undefined
    return this.#events.filter((event) => event.number > number)
  }

  /** Sends every event from now on to a listener. @returns a function that removes it */
  listen(listener: (event: FeedEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #add(name: string, value: unknown): void {
    this.#number += 1
    const event = { number: this.#number, name, data: JSON.stringify(value) }
    this.#events.push(event)
    if (this.#events.length > KEPT) this.#events.shift()
    for (const listener of this.#listeners) listener(event)
  }
}
