/**
 * Summing up spending runs on the gateway's own thread, and paid calls wait for it meanwhile. It is therefore done
 * in short slices, one request at a time, with pauses in between; the same query repeated shortly after gets the
 * same answer.
 */
import type { SpendingStore, SpendQuery, SpendRow } from '../../io/store/contracts/spending.ts'

/** Target duration of a slice, milliseconds; the next one is halved if it took longer. */
const SLICE_MS = 10
/** The pause after a slice as a multiple of its duration: at most a quarter of the thread is used. */
const REST = 3
/** A day is one sum in the ledger: parts of it take longer than the whole. */
const DAY_MS = 86_400_000
const LONGEST_MS = 2_678_400_000
/**
 * How long an answer is reused, as a multiple of its duration, and its maximum in milliseconds: a cheap answer is
 * always fresh.
 */
const KEEP = 20
const MAX_KEEP_MS = 5000
const MAX_KEPT = 32

/** Replaceable parts for tests. */
export interface SpendTurnsOptions {
  readonly store: Pick<SpendingStore, 'spend'>
  /** Monotonic clock, milliseconds; default `performance.now`. */
  readonly elapsed?: (() => number) | undefined
  /** Pauses for some milliseconds so that other work can run; default a timer. */
  readonly rest?: ((ms: number) => Promise<void>) | undefined
}

interface Kept {
  readonly answer: Promise<object>
  /** Time until which it is reused; `undefined` while it is computed. */
  until: number | undefined
}

/** Computes spending queries one at a time. One per gateway. */
export class SpendTurns {
  readonly #store: Pick<SpendingStore, 'spend'>
  readonly #elapsed: () => number
  readonly #rest: (ms: number) => Promise<void>
  readonly #kept = new Map<string, Kept>()
  #last: Promise<unknown> = Promise.resolve()
  #slice = DAY_MS

  constructor({ store, elapsed, rest }: SpendTurnsOptions) {
    this.#store = store
    this.#elapsed = elapsed ?? (() => performance.now())
    this.#rest = rest ?? pause
  }

  /**
   * Computes an answer when its turn has come.
   * @param question key by which equal questions are recognised
   * @throws whatever `work` throws
   */
  async take<T extends object>(question: string, work: () => Promise<T>): Promise<object> {
    const known = this.#kept.get(question)
    if (known && (known.until === undefined || this.#elapsed() < known.until)) return await known.answer
    let begun = 0
    const answer = this.#last.then(async () => {
      begun = this.#elapsed()
      return await work()
    })
    const kept: Kept = { answer, until: undefined }
    this.#kept.delete(question)
    this.#kept.set(question, kept)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
    // The next one waits for this one, however it ends.
    this.#last = answer.catch(() => undefined)
    try {
      return await answer
    } catch (error) {
      this.#kept.delete(question)
      throw error
    } finally {
      const now = this.#elapsed()
      kept.until = now + Math.min(MAX_KEEP_MS, KEEP * (now - begun))
    }
  }

  /** Sums up a period of any length. A group and state may appear in several rows. */
  async between(query: SpendQuery & { readonly from: number; readonly to: number }): Promise<SpendRow[]> {
    const rows: SpendRow[] = []
    for (let from = query.from; from < query.to;) {
      const to = Math.min(query.to, this.#endOfSlice(from))
      const begun = this.#elapsed()
      rows.push(...(await this.#store.spend({ ...query, from, to })))
      const took = this.#elapsed() - begun
      if (took > SLICE_MS) this.#slice = Math.max(DAY_MS, Math.floor(this.#slice / 2))
      else if (took < SLICE_MS / 4) this.#slice = Math.min(LONGEST_MS, this.#slice * 2)
      await this.#rest(took * REST)
      from = to
    }
    return rows
  }

  /** Slices end where days do. */
  #endOfSlice(from: number): number {
    return Math.floor((from + this.#slice) / DAY_MS) * DAY_MS
  }
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => (ms < 1 ? setImmediate(resolve) : setTimeout(resolve, ms)))
}
