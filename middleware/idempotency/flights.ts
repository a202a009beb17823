/**
 * The requests of one gateway process that may be repeated: all that are in flight, and a bounded number of
 * finished ones.
 */
import type { Clock } from '../../src/core/clock.ts'
import {
  isNeverAnswered,
  REMEMBERED_MS,
  REPEAT_MS,
  type Presented,
  type RequestMark,
} from '../../src/core/request/idempotency.ts'
import { Flight, type FlightOptions } from './flight.ts'

/** Options of {@link Flights}. */
export interface FlightsOptions {
  readonly clock: Clock
  /** Most finished requests that are kept. */
  readonly maxEntries: number
  /** Most bytes of answers that are kept, including those still arriving. */
  readonly maxBytes: number
  /** See `FlightOptions.onAbandoned`. */
  readonly onAbandoned: (flight: Flight) => void
  /** See `FlightOptions.onLost`. */
  readonly onLost: (chargeId: string) => Promise<void>
  /** Called once for every finished request, when no client waits for it any more. */
  readonly onEnd: (flight: Flight) => void
}

/** What is known of a request when it comes. */
export type OpenedBy = Pick<FlightOptions, 'presented' | 'mayBeAskedAgain' | 'knew'>

/** One answer may use at most one eighth of the memory, so that it cannot evict all others. */
const SHARE = 8

/** The repeatable requests of one process. What is evicted is still recorded in the store, so it is never paid again. */
export class Flights {
  readonly #options: FlightsOptions
  readonly #byName = new Map<string, Flight>()
  readonly #byBody = new Map<string, Flight>()
  readonly #byCall = new Map<string, Set<Flight>>()
  readonly #running = new Set<Flight>()
  /** In the order they finished, with the time at which they are dropped. */
  readonly #ended = new Map<Flight, number>()
  readonly #byCharge = new Map<string, Flight>()
  #bytes = 0
  /** Nothing is dropped before this time, milliseconds since the epoch. */
  #nextDrop = Infinity

  constructor(options: FlightsOptions) {
    this.#options = options
  }

  /** Bytes of answers held now, headers included. */
  get bytes(): number {
    return this.#bytes
  }

  /** Requests held now, in flight and finished. */
  get size(): number {
    return this.#running.size + this.#ended.size
  }

  named(name: string | undefined): Flight | undefined {
    this.#sweep()
    return name === undefined ? undefined : this.#byName.get(name)
  }

  newest(body: string): Flight | undefined {
    this.#sweep()
    return this.#byBody.get(body)
  }

  /**
   * The newest request of the same call for another model that was paid, or may have been, and whose answer no
   * client received.
   */
  ofOtherModel({ call, body }: RequestMark): Flight | undefined {
    this.#sweep()
    const others = [...((call !== undefined && this.#byCall.get(call)) || [])]
    return others.findLast((flight) => flight.mark.body !== body && isNeverAnswered(flight))
  }

  /** The request that a charge paid for. */
  ofCharge(id: string): Flight | undefined {
    return this.#byCharge.get(id) ?? [...this.#running].find(({ chargeId }) => chargeId === id)
  }

  /** Registers a request. From now on it answers for its name and its body. */
  open(mark: RequestMark, client: OpenedBy): Flight {
    const { clock, maxBytes } = this.#options
    const flight = new Flight({
      mark,
      ...client,
      maxBytes: Math.floor(maxBytes / SHARE),
      now: () => clock.now(),
      onSize: (change) => this.#grow(change),
      onAbandoned: this.#options.onAbandoned,
      onLost: this.#options.onLost,
      onEnd: (ended) => this.#keep(ended, client.presented),
    })
    if (mark.name !== undefined) this.#byName.set(mark.name, flight)
    this.#byBody.set(mark.body, flight)
    if (mark.call !== undefined)
      this.#byCall.set(mark.call, (this.#byCall.get(mark.call) ?? new Set()).add(flight))
    this.#running.add(flight)
    return flight
  }

  #keep(flight: Flight, presented: Presented): void {
    this.#running.delete(flight)
    const isNamed = presented.named !== undefined && flight.state !== 'unpaid'
    if (flight.charge) this.#byCharge.set(flight.charge.id, flight)
    const until = this.#options.clock.now() + (isNamed ? REMEMBERED_MS : REPEAT_MS)
    this.#ended.set(flight, until)
    this.#nextDrop = Math.min(this.#nextDrop, until)
    // No repeat is expected: a plain client that received its answer.
    if (!flight.mayBeAskedAgain && flight.state !== 'failed') flight.forget()
    if (flight.isOfAnother) this.#drop(flight)
    this.#options.onEnd(flight)
    this.#trim()
  }

  #sweep(): void {
    const now = this.#options.clock.now()
    if (this.#nextDrop >= now) return
    this.#nextDrop = Infinity
    for (const [flight, until] of this.#ended) {
      if (until < now) this.#drop(flight)
      else this.#nextDrop = Math.min(this.#nextDrop, until)
    }
  }

  #trim(): void {
    for (const flight of this.#ended.keys()) {
      if (this.#ended.size <= this.#options.maxEntries) return
      this.#drop(flight)
    }
  }

  #drop(flight: Flight): void {
    this.#ended.delete(flight)
    flight.forget()
    if (flight.charge) this.#byCharge.delete(flight.charge.id)
    const { name, body, call } = flight.mark
    const others = call === undefined ? undefined : this.#byCall.get(call)
    if (others?.delete(flight) === true && others.size === 0 && call !== undefined) this.#byCall.delete(call)
    if (name !== undefined && this.#byName.get(name) === flight) this.#byName.delete(name)
    if (this.#byBody.get(body) === flight) this.#byBody.delete(body)
  }

  /** Over the byte limit: the oldest answers are dropped first, then the records of those still arriving. */
  #grow(change: number): void {
    this.#bytes += change
    if (change <= 0 || this.#bytes <= this.#options.maxBytes) return
    for (const flight of [...this.#ended.keys(), ...this.#running]) {
      if (this.#bytes <= this.#options.maxBytes) return
      flight.forget()
    }
  }
}
