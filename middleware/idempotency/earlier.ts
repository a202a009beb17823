/** What is known of earlier requests that a request may repeat: from this process, and from the ledger. */
import {
  isNeverAnswered,
  type RepeatableRequest,
  type RequestMark,
} from '../../src/core/request/idempotency.ts'
import type { FoundTombstones, Tombstone } from '../../src/io/store/contracts/idempotency.ts'
import { repeatableOf, wasAskedOtherTerms } from '../../src/io/store/rules/repeat-rules.ts'
import type { Flight } from './flight.ts'
import type { Flights } from './flights.ts'

/** An earlier request: its record in the ledger, and its answer if this process has it. */
export interface Earlier extends RepeatableRequest {
  readonly flight: Flight | undefined
  readonly tombstone: Tombstone | undefined
}

/** A request that this process has just paid for, and that was not yet in the store when the store was read. */
export function endedMeanwhile(
  flights: Flights,
  mark: RequestMark,
  known: FoundTombstones,
): Flight | undefined {
  const stored = new Set([known.named?.charge.id, known.newest?.charge.id])
  return [flights.named(mark.name), flights.newest(mark.body)].find(
    (flight) => flight?.charge && flight.endedAt !== undefined && !stored.has(flight.charge.id),
  )
}

export function namedBefore(
  flights: Flights,
  mark: RequestMark,
  tombstone: Tombstone | undefined,
): Earlier | undefined {
  const flight = flights.named(mark.name)
  if (flight?.state === 'running') return ofFlight(flight)
  return tombstone && ofTombstone(tombstone, flights)
}

/** The store knows which requests were paid; this process knows which are in flight and which ended unpaid. */
export function newestBefore(
  flights: Flights,
  mark: RequestMark,
  tombstone: Tombstone | undefined,
): Earlier | undefined {
  const flight = flights.newest(mark.body)
  const paid = tombstone && ofTombstone(tombstone, flights)
  if (!flight || (flight.state !== 'running' && flight.state !== 'unpaid')) return paid
  // Paid elsewhere for an attempt that may have been under way at the same time: nothing tells which came last.
  if (paid && !paid.flight && flight.state === 'unpaid')
    return flight.knew === tombstone.charge.id ? ofFlight(flight) : paid
  return paid && paid.startedAt > flight.startedAt && paid.flight !== flight ? paid : ofFlight(flight)
}

/**
 * Whether the seller asked for other terms than were signed. A client that sends such a request once more, by itself and not as an
 * automatic retry, wants the new terms: the price is asked again and it is paid as a new request.
 */
export function mayWantOtherTerms({ flight, tombstone }: Earlier): boolean {
  const charge = tombstone?.charge ?? flight?.charge
  return charge !== undefined && wasAskedOtherTerms({ charge })
}

/** The same call for another model, paid or perhaps paid, that got no answer: here, in another process, or before a restart. */
export function otherModelBefore(
  flights: Flights,
  mark: RequestMark,
  tombstones: readonly Tombstone[],
): Earlier | undefined {
  const flight = flights.ofOtherModel(mark)
  return flight
    ? ofFlight(flight)
    : tombstones.map((tombstone) => ofTombstone(tombstone, flights)).find(isNeverAnswered)
}

function ofFlight(flight: Flight): Earlier {
  const { body, state, abandoned, startedAt, endedAt } = flight
  return { body, state, abandoned, startedAt, endedAt, flight, tombstone: undefined }
}

function ofTombstone(tombstone: Tombstone, flights: Flights): Earlier {
  const flight = flights.ofCharge(tombstone.charge.id)
  return { ...(flight ? ofFlight(flight) : { ...repeatableOf(tombstone), flight: undefined }), tombstone }
}
