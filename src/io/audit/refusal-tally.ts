/**
 * Keeps refusals from filling a disk. A refusal costs its sender nothing, so of one kind only the first of an interval have an audit
 * record of their own; the others are counted, and recorded together when the interval ends.
 */
import type { Clock } from '../../core/clock.ts'
import { printable } from '../../core/printable.ts'
import type { RequestSummary } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'

/** The type of the record for many refusals. */
export const REFUSALS = 'requests.refused'

/** Five minutes: at most `DEFAULT_EACH` + 1 records for each kind in that time. */
export const DEFAULT_INTERVAL_MS = 300_000
/** Refusals of one kind that have a record of their own in each interval. */
export const DEFAULT_EACH = 10

/** How many of the refusals that were only counted are described. */
const MAX_SAMPLES = 5
const MAX_SAMPLE_TEXT = 100

/** How often refusals of one kind were counted in an interval. */
export interface RefusalCount {
  readonly status: number
  /** The error's code; null without one. */
  readonly code: string | null
  readonly outcome: string
  /** Those without a record of their own. */
  readonly count: number
  /** Of the first and the last, ISO 8601. */
  readonly since: string
  readonly until: string
  readonly samples: readonly Readonly<Record<string, string>>[]
}

/** Options of {@link RefusalTally}. */
export interface RefusalTallyOptions {
  /** Writes the records of an interval; what it rejects is counted again in the next one. */
  readonly write: (counts: RefusalCount) => Promise<unknown>
  readonly clock: Clock
  readonly timers: Timers
  /** Default {@link DEFAULT_INTERVAL_MS}. */
  readonly intervalMs?: number | undefined
  /** Default {@link DEFAULT_EACH}. */
  readonly each?: number | undefined
}

interface Kind {
  /** How many had a record of their own. */
  recorded: number
  counted: RefusalCount | undefined
}

/** Counts refusals by kind: status, code and outcome, so their number is bounded by the table of errors. */
export class RefusalTally {
  readonly #options: RefusalTallyOptions
  readonly #kinds = new Map<string, Kind>()
  #endTimer: (() => void) | undefined
  #flushing: Promise<void> | undefined

  constructor(options: RefusalTallyOptions) {
    this.#options = options
  }

  /**
   * Whether a request gets a record of its own. If not, it was counted.
   * @param summary how it ended
   */
  takes(summary: RequestSummary): boolean {
    if (!isFree(summary)) return true
    this.#endTimer ??= this.#options.timers.after(this.#options.intervalMs ?? DEFAULT_INTERVAL_MS, () => {
      void this.flush().catch(() => undefined)
    })
    const id = [summary.status, summary.code ?? '', summary.outcome].join(' ')
    const kind = this.#kinds.get(id) ?? { recorded: 0, counted: undefined }
    this.#kinds.set(id, kind)
    if (kind.recorded < (this.#options.each ?? DEFAULT_EACH)) {
      kind.recorded += 1
      return true
    }
    kind.counted = counted(kind.counted, summary, new Date(this.#options.clock.now()).toISOString())
    return false
  }

  /** Ends the interval and writes what was counted. @throws what `write` throws, after each kind was tried */
  async flush(): Promise<void> {
    await this.#flushing
    this.#flushing = this.#flush().finally(() => (this.#flushing = undefined))
    await this.#flushing
  }

  async #flush(): Promise<void> {
    this.#endTimer?.()
    this.#endTimer = undefined
    const ended = [...this.#kinds]
    this.#kinds.clear()
    const results = await Promise.allSettled(
      ended.map(async ([id, { counted: count }]) => {
        if (!count) return
        await this.#options.write(count).catch((error: unknown) => {
          this.#putBack(id, count)
          throw error
        })
      }),
    )
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  /** A count that could not be written is added to the next interval's. */
  #putBack(id: string, before: RefusalCount): void {
    const kind = this.#kinds.get(id) ?? { recorded: 0, counted: undefined }
    const { counted: now } = kind
    kind.counted = now ? { ...before, count: before.count + now.count, until: now.until } : before
    this.#kinds.set(id, kind)
    this.#endTimer ??= this.#options.timers.after(this.#options.intervalMs ?? DEFAULT_INTERVAL_MS, () => {
      void this.flush().catch(() => undefined)
    })
  }
}

/** Whether a request cost its sender nothing: it was refused or failed before any money was reserved for it. */
function isFree({ status, charge, spent }: RequestSummary): boolean {
  return status >= 400 && charge === undefined && spent === 'no'
}

function counted(before: RefusalCount | undefined, summary: RequestSummary, at: string): RefusalCount {
  const samples = before?.samples ?? []
  return {
    status: summary.status,
    code: summary.code ?? null,
    outcome: summary.outcome,
    count: (before?.count ?? 0) + 1,
    since: before?.since ?? at,
    until: at,
    samples: samples.length < MAX_SAMPLES ? [...samples, sampleOf(summary)] : samples,
  }
}

function sampleOf({
  requestId,
  caller,
  method,
  endpoint,
  route,
  model,
}: RequestSummary): Record<string, string> {
  const sample = { request: requestId, caller, method, endpoint, route, model: model ?? '' }
  return Object.fromEntries(
    Object.entries(sample).map(([name, value]) => [name, printable(value, MAX_SAMPLE_TEXT)]),
  )
}
