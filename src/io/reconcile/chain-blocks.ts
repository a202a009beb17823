/** Finds blocks by time, and reads events over ranges longer than a node allows. */
import type { ChainBlock } from '../../core/charge/reconcile.ts'
import { ChainError, type ChainLog, type ChainReader, type LogQuery } from '../chain/chain.ts'

/** Times are rounded to this many seconds, so that charges of the same minutes share one search. */
const GRAIN_SECONDS = 600
/** The most searches that are remembered. */
const MAX_REMEMBERED = 500

/** Number of blocks in the first `eth_getLogs`. Smaller pages follow when a node refuses. */
const FIRST_PAGE = 2000n
const SMALLEST_PAGE = 10n
/** The most requests for one range in one run. The next run continues from there. */
const MAX_PAGES = 300

/** Searches the blocks of one network. Its results concern final blocks, so they stay valid. */
export class BlockSearch {
  readonly #reader: ChainReader
  readonly #found = new Map<number, bigint>()
  /** Unfinished ranges: where the next run continues, and what was found so far. */
  readonly #begun = new Map<string, { readonly from: bigint; readonly found: readonly ChainLog[] }>()
  #page = FIRST_PAGE

  constructor(reader: ChainReader) {
    this.#reader = reader
  }

  /**
   * A block at or before a time, as near as the rounding allows; block 0 when all blocks are later.
   * @param time Unix seconds
   */
  async before(time: number, head: ChainBlock): Promise<bigint> {
    return await this.#at(Math.floor(time / GRAIN_SECONDS) * GRAIN_SECONDS, head)
  }

  /** A block at or after the last block that is at or before a time; the head when there is none yet. */
  async after(time: number, head: ChainBlock): Promise<bigint> {
    return await this.#at(Math.ceil(time / GRAIN_SECONDS) * GRAIN_SECONDS, head)
  }

  /**
   * The events of a range, oldest first, read in pages. Stops early once `enough` returns true.
   * @throws ChainError `range_refused` when the node refuses even small pages; `search_goes_on` when the range needs more pages
   * than one run may request: the next call with the same query continues
   */
  async logs(query: LogQuery, enough: (logs: readonly ChainLog[]) => boolean): Promise<ChainLog[]> {
    const key = [query.address, ...query.topics.flat(), query.from].join(' ')
    const begun = this.#begun.get(key)
    this.#begun.delete(key)
    const found: ChainLog[] = [...(begun?.found ?? [])]
    let from = begun?.from ?? query.from
    for (let asked = 0; from <= query.to; asked += 1) {
      if (asked === MAX_PAGES) {
        if (this.#begun.size >= MAX_REMEMBERED) this.#begun.clear()
        this.#begun.set(key, { from, found })
        throw new ChainError('search_goes_on')
      }
      const end = from + this.#page - 1n
      const to = end < query.to ? end : query.to
      const logs = await this.#ask({ ...query, from, to })
      if (!logs) continue
      found.push(...logs.filter((log) => isAskedFor(log, query)))
      if (enough(found)) break
      from = to + 1n
    }
    return found
  }

  /** @returns `undefined` when the page was too large; the next page is smaller */
  async #ask(query: LogQuery): Promise<readonly ChainLog[] | undefined> {
    try {
      return await this.#reader.logs(query)
    } catch (error) {
      const refused = error instanceof ChainError && /^(?:rpc_error|bad_answer|http_4)/.test(error.reason)
      if (!refused || error.reason === 'http_429') throw error
      const asked = query.to - query.from + 1n
      if (asked <= SMALLEST_PAGE) throw new ChainError('range_refused')
      this.#page = asked / 4n > SMALLEST_PAGE ? asked / 4n : SMALLEST_PAGE
      return undefined
    }
  }

  async #at(time: number, head: ChainBlock): Promise<bigint> {
    if (time >= head.timestamp) return head.number
    const known = this.#found.get(time)
    if (known !== undefined) return known
    let high = head.number
    let low = high
    for (let step = 64n; ; step *= 4n) {
      low = head.number > step ? head.number - step : 0n
      if ((await this.#reader.block(low)).timestamp <= time) break
      high = low
      if (low === 0n) return 0n
    }
    while (high - low > 1n) {
      const middle = (low + high) / 2n
      if ((await this.#reader.block(middle)).timestamp <= time) low = middle
      else high = middle
    }
    if (this.#found.size >= MAX_REMEMBERED) this.#found.clear()
    this.#found.set(time, low)
    return low
  }
}

/** Whether an event matches the query: a node may return events that were not asked for. */
function isAskedFor(log: ChainLog, query: LogQuery): boolean {
  return (
    log.address === query.address &&
    log.blockNumber >= query.from &&
    log.blockNumber <= query.to &&
    query.topics.every((topic, index) => {
      const value = log.topics[index]
      return value !== undefined && (typeof topic === 'string' ? topic === value : topic.includes(value))
    })
  )
}
