/** Reads and caches the catalogues of sellers. A catalogue that cannot be read keeps its last content. */
import {
  hiddenIds,
  MAX_CATALOGUE_MODELS,
  readCatalogue,
  publicName,
  typicalMicroUsd,
  type CatalogueEntry,
} from '../../core/routing/catalogue.ts'
import type { Candidate, ModelInfo, Route } from '../../core/routing/route.ts'
import { KeptList, waitBriefly, type ListContext } from './kept-list.ts'

/** How long a catalogue is fresh. BlockRun allows 100 requests per hour from one address, shared by all processes behind it. */
const FRESH_MS = 3_600_000

/** The delay before a catalogue that could not be read is tried again. */
const RETRY_MS = 300_000

/** Options of {@link Catalogues}. */
export interface CatalogueContext extends ListContext {
  /** Routes with {@link Route.catalogue} have a catalogue. */
  readonly routes: readonly Route[]
}

/** The catalogues of all routes that have one, by their `api_base`. Nothing is read before the first call. */
export class Catalogues {
  readonly #context: CatalogueContext
  readonly #lists: ReadonlyMap<string, KeptList<CatalogueEntry>>
  /** By `api_base`: models that can be asked for and are not listed. */
  readonly #hidden = new Map<string, ReadonlySet<string>>()

  constructor(context: CatalogueContext) {
    this.#context = context
    const bases = context.routes.filter(({ catalogue }) => catalogue === true).map(({ apiBase }) => apiBase)
    this.#lists = new Map(
      bases.map((apiBase) => [
        apiBase,
        new KeptList(
          {
            apiBase,
            toSeller: true,
            freshMs: FRESH_MS,
            retryMs: RETRY_MS,
            read: (json) => {
              const entries = read(json)
              if (entries) this.#hidden.set(apiBase, new Set(hiddenIds(json)))
              return entries
            },
          },
          context,
        ),
      ]),
    )
  }

  /** Starts to refresh old readings, and waits briefly for those never read before; later callers get the latest reading immediately. Never rejects. */
  async load(): Promise<void> {
    await waitBriefly(this.#refresh(), this.#context.timers)
  }

  /** Starts to refresh old readings in the background. */
  refresh(): void {
    void this.#refresh()
  }

  /** The names under which clients reach the models of a route's seller; empty while its catalogue is unknown. */
  names(route: Route): readonly string[] {
    if (route.catalogue !== true) return []
    const ids = [...(this.#lists.get(route.apiBase)?.entries.keys() ?? [])]
    return ids.flatMap((id) => publicName(route, id) ?? [])
  }

  /**
   * Whether a candidate's model is missing in a catalogue that was read: it is read once more before, within a rate
   * that sellers allow.
   */
  async lacks({ route, remoteModel }: Candidate): Promise<boolean> {
    const list = route.catalogue === true ? this.#lists.get(route.apiBase) : undefined
    // A list that was cut at its limit cannot tell what is missing.
    const isMissing = (): boolean =>
      list !== undefined &&
      list.entries.size > 0 &&
      list.entries.size < MAX_CATALOGUE_MODELS &&
      !list.entries.has(remoteModel) &&
      this.#hidden.get(route.apiBase)?.has(remoteModel) !== true
    if (list === undefined || !isMissing()) return false
    const reading = list.readAgain()
    await waitBriefly(reading ? [reading] : [], this.#context.timers)
    return isMissing()
  }

  /** What the seller lists about a candidate's model. */
  find({ route, remoteModel }: Candidate): ModelInfo | undefined {
    return route.catalogue === true
      ? this.#lists.get(route.apiBase)?.entries.get(remoteModel)?.info
      : undefined
  }

  /** The catalogue price of a typical request, micro-USD; see {@link typicalMicroUsd}. */
  typicalPrice(candidate: Candidate): bigint | undefined {
    const info = this.find(candidate)
    return info && typicalMicroUsd(info)
  }

  /** @returns the readings in progress of catalogues never read before */
  #refresh(): Promise<void>[] {
    return [...this.#lists.values()].flatMap((list) => {
      const { isNew } = list
      const reading = list.refresh()
      return isNew && reading ? [reading] : []
    })
  }
}

/** An empty list is treated as a failure of the seller's page: the last content is kept. */
function read(json: unknown): ReadonlyMap<string, CatalogueEntry> | undefined {
  const entries = readCatalogue(json)
  return entries === undefined || entries.length === 0
    ? undefined
    : new Map(entries.map((entry) => [entry.id, entry]))
}
