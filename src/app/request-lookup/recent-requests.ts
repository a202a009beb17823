/** The requests that were answered last, for their look-up by id. Bounded; the oldest go first. */
import type { RequestSummary, TollwayEvent } from '../../core/telemetry/events.ts'

/** Requests that are remembered. */
const MAX_REQUESTS = 10_000

/** Charges that are remembered of one id: a client may use its id again. */
const MAX_CHARGES = 8

/** The path of the look-up itself, which is no request to look up. */
export const LOOKUP_ENDPOINT = '/tollway/requests'

/** What is remembered of a request that ended. */
export interface EndedRequest {
  /** RFC 3339. */
  readonly endedAt: string
  readonly method: string
  readonly endpoint: string
  readonly model: string | null
  readonly route: string
  readonly status: number
  readonly outcome: string
  readonly code: string | null
  readonly dryRun: boolean
  readonly truncated: boolean
  readonly inputTokens: number | null
  readonly outputTokens: number | null
  /** The seller's words of its failure, cleaned. */
  readonly sellerMessage: string | null
}

/** What is remembered under a caller and a request id. */
export interface KnownRequest {
  readonly id: string
  readonly caller: string
  /** `undefined` while the request runs. */
  readonly ended: EndedRequest | undefined
  /** Ids of its charges, oldest first. */
  readonly charges: readonly string[]
}

/** One per gateway. */
export class RecentRequests {
  readonly #known = new Map<string, KnownRequest>()
  /** One for all time: a new one would pass over the places of all that were deleted since the map was last put in order. */
  readonly #oldestFirst = this.#known.keys()
  readonly #now: () => number

  /** @param now milliseconds since the epoch */
  constructor(now: () => number) {
    this.#now = now
  }

  /** An observer of the gateway's events. */
  readonly observe = (event: TollwayEvent): void => {
    if (event.type === 'charge') {
      const { requestId, caller, id } = event.charge
      this.note(requestId, caller, { charge: id })
    } else if (event.type === 'request' && event.summary.endpoint !== LOOKUP_ENDPOINT) {
      const { requestId, caller, charge } = event.summary
      const ended = endedOf(event.summary, new Date(this.#now()).toISOString())
      this.note(requestId, caller, { charge, ended })
    }
  }

  /** Adds what is known of a request; the newest end of an id replaces an earlier one. */
  note(
    id: string,
    caller: string,
    { charge, ended }: { readonly charge?: string | undefined; readonly ended?: EndedRequest | undefined },
  ): void {
    const key = keyOf(id, caller)
    const before = this.#known.get(key)
    const charges = before?.charges ?? []
    this.#known.delete(key)
    this.#known.set(key, {
      id,
      caller,
      ended: ended ?? before?.ended,
      charges:
        charge === undefined || charges.includes(charge) ? charges : [...charges, charge].slice(-MAX_CHARGES),
    })
    if (this.#known.size <= MAX_REQUESTS) return
    const oldest = this.#oldestFirst.next()
    if (oldest.done !== true) this.#known.delete(oldest.value)
  }

  /** The request of this caller, or with `undefined` the newest one of any caller. */
  find(id: string, caller: string | undefined): KnownRequest | undefined {
    if (caller !== undefined) return this.#known.get(keyOf(id, caller))
    return [...this.#known.values()].findLast((known) => known.id === id)
  }
}

/** Neither has a blank: both are printable ASCII. */
function keyOf(id: string, caller: string): string {
  return `${caller} ${id}`
}

function endedOf(summary: RequestSummary, endedAt: string): EndedRequest {
  const { usage, details } = summary
  return {
    endedAt,
    method: summary.method,
    endpoint: summary.endpoint,
    model: summary.model ?? null,
    route: summary.route,
    status: summary.status,
    outcome: summary.outcome,
    code: summary.code ?? null,
    dryRun: details['dry_run'] === true,
    truncated: summary.truncated,
    inputTokens: usage?.inputTokens ?? null,
    outputTokens: usage?.outputTokens ?? null,
    sellerMessage: sellerMessageIn(details),
  }
}

/** The seller's words in the details of a record. */
export function sellerMessageIn(details: Readonly<Record<string, unknown>>): string | null {
  const message = details['seller_message'] ?? details['stream_error']
  return typeof message === 'string' ? message : null
}
