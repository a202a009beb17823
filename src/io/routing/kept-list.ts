/** A list of models that is read over HTTP and kept for a while: of a seller, or of the default upstream. */
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import { readBounded, type Upstream } from '../transport/upstream.ts'

/** How long a caller waits for a reading in progress. */
const WAIT_MS = 3_000

const TIMEOUTS = { connectMs: 3_000, firstByteMs: 5_000, totalMs: 15_000 }

/** BlockRun allows 100 requests per hour. */
const MAX_EXTRA_READS = 20

const HOUR_MS = 3_600_000

/** The largest list that is read; BlockRun's has a few hundred kilobytes. */
const MAX_BYTES = 4_194_304

/** What reading lists takes. */
export interface ListContext {
  readonly upstream: Pick<Upstream, 'send'>
  readonly clock: Clock
  readonly timers: Timers
  readonly observers: readonly Observer[]
}

/** Whose list it is, and how it is read. */
export interface ListSource<T> {
  /** The list is at `<apiBase>/models`. */
  readonly apiBase: string
  /** Our own bearer key, where it takes one. */
  readonly apiKey?: string | undefined
  /** Whether it is a paid seller's: policy may restrict those to the public internet. */
  readonly toSeller: boolean
  /** How long a reading is fresh. */
  readonly freshMs: number
  /** The delay before a list that could not be read is tried again. */
  readonly retryMs: number
  /** @returns the entries by id; `undefined` for what is not such a list */
  read(json: unknown): ReadonlyMap<string, T> | undefined
}

/** One list. Nothing is read before the first call; a list that cannot be read keeps its last content. */
export class KeptList<T> {
  readonly #source: ListSource<T>
  readonly #context: ListContext
  #entries: ReadonlyMap<string, T> = new Map()
  /** When it may be read again. */
  #dueAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined
  /** When it was read before it was due, in the last hour. */
  #extraReads: number[] = []

  constructor(source: ListSource<T>, context: ListContext) {
    this.#source = source
    this.#context = context
  }

  /** What was read last; empty before. */
  get entries(): ReadonlyMap<string, T> {
    return this.#entries
  }

  /** Whether no reading of it has ended yet. */
  get isNew(): boolean {
    return this.#dueAt === Number.NEGATIVE_INFINITY
  }

  /** Starts to read it when it is due. @returns the reading in progress, which never rejects */
  refresh(): Promise<void> | undefined {
    if (this.#context.clock.now() >= this.#dueAt) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
    }
    return this.#reading
  }

  /**
   * Reads it before it is due, at most {@link MAX_EXTRA_READS} times an hour: what asks for it may be anybody.
   * @returns the reading in progress, which never rejects; `undefined` where there were enough
   */
  readAgain(): Promise<void> | undefined {
    if (this.#reading) return this.#reading
    const now = this.#context.clock.now()
    this.#extraReads = this.#extraReads.filter((at) => at > now - HOUR_MS)
    if (this.#extraReads.length >= MAX_EXTRA_READS) return undefined
    this.#extraReads.push(now)
    this.#reading = this.#read().finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #read(): Promise<void> {
    const { clock, observers } = this.#context
    const { apiBase, freshMs, retryMs } = this.#source
    const entries = await this.#fetch().catch(() => undefined)
    if (entries) this.#entries = entries
    this.#dueAt = clock.now() + (entries ? freshMs : retryMs)
    const seller = new URL(apiBase).origin
    for (const observer of observers) {
      observer({ type: 'catalogue', seller, ok: entries !== undefined, models: this.#entries.size })
    }
  }

  async #fetch(): Promise<ReadonlyMap<string, T> | undefined> {
    const { apiBase, apiKey, toSeller } = this.#source
    const { status, body } = await this.#context.upstream.send({
      method: 'GET',
      url: `${apiBase}/models`,
      headers: {
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': 'tollway',
        ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
      },
      body: undefined,
      timeouts: TIMEOUTS,
      toSeller,
    })
    const { bytes, truncated } = await readBounded(body, MAX_BYTES, TIMEOUTS.totalMs)
    return status === 200 && !truncated ? this.#source.read(JSON.parse(bytes.toString('utf8'))) : undefined
  }
}

/** Waits for readings in progress, three seconds at most. Never rejects. */
export async function waitBriefly(readings: readonly Promise<void>[], timers: Timers): Promise<void> {
  if (readings.length === 0) return
  let cancel: (() => void) | undefined
  const waited = new Promise<void>((resolve) => (cancel = timers.after(WAIT_MS, resolve)))
  await Promise.race([Promise.all(readings), waited])
  cancel?.()
}
