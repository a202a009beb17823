/** Reads and keeps the default upstream's list of models, with our key for it and never with a client's. */
import {
  readUpstreamList,
  type UpstreamEntry,
  type UpstreamModels,
} from '../../core/routing/upstream-list.ts'
import { KeptList, waitBriefly, type ListContext } from './kept-list.ts'

/** How long a reading is fresh: upstreams such as LiteLLM get new models while they run. */
const FRESH_MS = 60_000

/** The delay before a list that could not be read is tried again. */
const RETRY_MS = 30_000

/** The list of one upstream. Nothing is read before the first call. */
export class UpstreamList implements UpstreamModels {
  readonly #list: KeptList<UpstreamEntry>
  readonly #context: ListContext

  constructor(
    upstream: { readonly apiBase: string; readonly apiKey?: string | undefined },
    context: ListContext,
  ) {
    const { apiBase, apiKey } = upstream
    const times = { freshMs: FRESH_MS, retryMs: RETRY_MS }
    this.#list = new KeptList({ apiBase, apiKey, toSeller: false, ...times, read: readUpstreamList }, context)
    this.#context = context
  }

  /** What was read last; empty before. */
  get entries(): ReadonlyMap<string, UpstreamEntry> {
    return this.#list.entries
  }

  /** Reads it when it is due, and waits briefly for a reading in progress. Never rejects. */
  async load(): Promise<void> {
    const reading = this.#list.refresh()
    await waitBriefly(reading ? [reading] : [], this.#context.timers)
  }
}
