/** Reads and caches the catalogues of sellers. A catalogue that cannot be read keeps its last content. */
import {
  readCatalogue,
  publicName,
  typicalMicroUsd,
  type CatalogueEntry,
} from '../../core/routing/catalogue.ts'
import type { Clock } from '../../core/clock.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { Candidate, ModelInfo, Route } from '../../core/routing/route.ts'
import type { Timers } from '../../core/timers.ts'
import { readBounded, type Upstream } from '../transport/upstream.ts'

/** How long a catalogue is fresh. BlockRun allows 100 requests per hour from one address, shared by all processes behind it. */
const FRESH_MS = 3_600_000

/** The delay before a catalogue that could not be read is tried again. */
const RETRY_MS = 300_000

/** How long a caller waits for the first reading. Later callers get the latest reading immediately. */
const FIRST_WAIT_MS = 3_000

const TIMEOUTS = { connectMs: 3_000, firstByteMs: 5_000, totalMs: 15_000 }

/** The largest catalogue that is read; BlockRun's has a few hundred kilobytes. */
const MAX_BYTES = 4_194_304

/** Options of {@link Catalogues}. */
export interface CatalogueContext {
  /** Routes with {@link Route.catalogue} have a catalogue. */
  readonly routes: readonly Route[]
  readonly upstream: Pick<Upstream, 'send'>
  readonly clock: Clock
  readonly timers: Timers
  readonly observers: readonly Observer[]
}

interface Shelf {
  entries: ReadonlyMap<string, CatalogueEntry>
  /** When it may be read again. */
  dueAt: number
  reading: Promise<void> | undefined
}

/** The catalogues of all routes that have one, by their `api_base`. Nothing is read before the first call. */
export class Catalogues {
  readonly #parts: CatalogueContext
  readonly #shelves: ReadonlyMap<string, Shelf>

  constructor(parts: CatalogueContext) {
    this.#parts = parts
    const bases = parts.routes.filter(({ catalogue }) => catalogue === true).map(({ apiBase }) => apiBase)
    this.#shelves = new Map(
      bases.map((base) => [
        base,
        { entries: new Map(), dueAt: Number.NEGATIVE_INFINITY, reading: undefined },
      ]),
    )
  }

  /** Starts to refresh old readings, and waits briefly for those never read before. Never rejects. */
  async load(): Promise<void> {
    const first = this.#refresh()
    if (first.length === 0) return
    const { timers } = this.#parts
    let cancel: (() => void) | undefined
    const waited = new Promise<void>((resolve) => (cancel = timers.after(FIRST_WAIT_MS, resolve)))
    await Promise.race([Promise.all(first), waited])
    cancel?.()
  }

  /** Starts to refresh old readings in the background. */
  refresh(): void {
    void this.#refresh()
  }

  /** The names under which clients reach the models of a route's seller; empty while its catalogue is unknown. */
  names(route: Route): readonly string[] {
    if (route.catalogue !== true) return []
    const ids = [...(this.#shelves.get(route.apiBase)?.entries.keys() ?? [])]
    return ids.flatMap((id) => publicName(route, id) ?? [])
  }

  /** What the seller lists about a candidate's model. */
  find({ route, remoteModel }: Candidate): ModelInfo | undefined {
    return route.catalogue === true
      ? this.#shelves.get(route.apiBase)?.entries.get(remoteModel)?.info
      : undefined
  }

  /** The catalogue price of a typical request, micro-USD; see {@link typicalMicroUsd}. */
  typicalPrice(candidate: Candidate): bigint | undefined {
    const info = this.find(candidate)
    return info && typicalMicroUsd(info)
  }

  /** @returns the readings in progress of catalogues never read before */
  #refresh(): Promise<void>[] {
    const now = this.#parts.clock.now()
    return [...this.#shelves].flatMap(([base, shelf]) => {
      const isNew = shelf.dueAt === Number.NEGATIVE_INFINITY
      if (now >= shelf.dueAt) {
        shelf.reading ??= this.#read(base, shelf).finally(() => (shelf.reading = undefined))
      }
      return isNew && shelf.reading ? [shelf.reading] : []
    })
  }

  async #read(base: string, shelf: Shelf): Promise<void> {
    const { clock, observers } = this.#parts
    const entries = await this.#fetch(base).catch(() => undefined)
    if (entries) shelf.entries = new Map(entries.map((entry) => [entry.id, entry]))
    shelf.dueAt = clock.now() + (entries ? FRESH_MS : RETRY_MS)
    const seller = new URL(base).origin
    for (const observer of observers) {
      observer({ type: 'catalogue', seller, ok: entries !== undefined, models: shelf.entries.size })
    }
  }

  async #fetch(base: string): Promise<readonly CatalogueEntry[] | undefined> {
    const { status, body } = await this.#parts.upstream.send({
      method: 'GET',
      url: `${base}/models`,
      headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'tollway' },
      body: undefined,
      timeouts: TIMEOUTS,
      toSeller: true,
    })
    const { bytes, truncated } = await readBounded(body, MAX_BYTES, TIMEOUTS.totalMs)
    // An empty list is treated as a failure of the seller's page: the last content is kept.
    const entries =
      status === 200 && !truncated ? readCatalogue(JSON.parse(bytes.toString('utf8'))) : undefined
    return entries?.length === 0 ? undefined : entries
  }
}
