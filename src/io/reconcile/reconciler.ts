/**
 * Checks charges that are uncertain or not proven by the chain, and moves them by what the chain proves (rule 4). Several
 * processes can do this on one store, because it never touches charges in flight.
 */
import type { Charge } from '../../core/charge/charge.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { decide } from '../../core/charge/reconcile.ts'
import type { Timers } from '../../core/timers.ts'
import { BlockSearch } from './chain-blocks.ts'
import { observe, type ChainView } from './chain-observe.ts'
import { HeadKeeper } from './chain-trust.ts'
import { ChainError, type ChainReader } from '../chain/chain.ts'
import type { Ledger } from '../ledger/ledger.ts'

/** Number of charges read at once, and the most charges per network in one run of the timer. */
const PAGE = 100
const MAX_PER_RUN = 500
/** Number of charges of one network that are checked concurrently. */
const CONCURRENCY = 4

/** What {@link Reconciler} works with. */
export interface ReconcilerContext {
  readonly ledger: Ledger
  readonly chains: readonly ChainReader[]
  readonly timers: Timers
  /** Milliseconds between the end of a run and the start of the next. */
  readonly intervalMs: number
  readonly observers: readonly Observer[]
  /** Called when a run of the timer fails, for example because the disk refuses. */
  readonly onFailure: (error: unknown) => void
}

/** The result of a run for one network. */
export interface NetworkReport {
  /** CAIP-2. */
  readonly network: string
  /** Whether the node answered every query consistently. */
  readonly ok: boolean
  /** Why not, by the first query that failed. */
  readonly reason: string | undefined
  /** The final block that everything was read at. */
  readonly block: bigint | undefined
  /** Number of charges that were checked. */
  readonly looked: number
}

/** The result of a run. */
export interface ReconcileReport {
  readonly networks: readonly NetworkReport[]
  /** Charges that moved, or whose proof became `chain`. */
  readonly changed: readonly { readonly before: Charge; readonly after: Charge }[]
}

/** The reconciler of one process. */
export class Reconciler {
  readonly #parts: ReconcilerContext
  readonly #networks: readonly NetworkRun[]
  #cancel: () => void = () => undefined
  /** Settles when the run that was requested last has ended. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(parts: ReconcilerContext) {
    this.#parts = parts
    this.#networks = parts.chains.map((chain) => new NetworkRun(chain, parts.ledger))
  }

  /** Runs now, and then on the timer until it is closed. Does nothing without networks. */
  start(): void {
    if (this.#networks.length === 0) return
    const { timers, intervalMs, onFailure } = this.#parts
    const again = (): void => {
      if (!this.#closed) this.#cancel = timers.after(intervalMs, () => this.start())
    }
    this.run().catch(onFailure).finally(again)
  }

  /**
   * Checks the charges once, oldest first. Runs do not overlap: one that is requested during another starts after it.
   * @param options.all checks every charge; otherwise at most as many as one run of the timer
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  run(options: { readonly all?: boolean | undefined } = {}): Promise<ReconcileReport> {
    const most = options.all === true ? Number.POSITIVE_INFINITY : MAX_PER_RUN
    const run = this.#last.then(() => this.#run(most))
    this.#last = run.catch(() => undefined)
    return run
  }

  /** Stops the timer and ends a run in progress. Decisions that were made are still recorded. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    for (const { chain } of this.#networks) chain.close()
    await this.#last
  }

  async #run(most: number): Promise<ReconcileReport> {
    const changed: { before: Charge; after: Charge }[] = []
    const results = await Promise.allSettled(
      this.#networks.map(async (network) => {
        const report = await network.run(most, (before, after) => changed.push({ before, after }))
        // A query that closing interrupted says nothing about the node.
        if (!this.#closed)
          this.#emit({ type: 'chain', network: report.network, ok: report.ok, reason: report.reason })
        return report
      }),
    )
    const failure = results.find((result) => result.status === 'rejected')
    const networks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const complete = networks.every(({ ok }) => ok)
    this.#emit({ type: 'reconciled', result: failure ? 'failed' : complete ? 'done' : 'incomplete' })
    if (failure) throw failure.reason
    return { networks, changed }
  }

  #emit(event: Parameters<Observer>[0]): void {
    for (const observer of this.#parts.observers) observer(event)
  }
}

/** The runs of one network. Each continues where the previous one ended, so that charges that stay open do not starve later ones. */
class NetworkRun {
  readonly chain: ChainReader
  readonly #ledger: Ledger
  readonly #heads: HeadKeeper
  readonly #search: BlockSearch
  #after = ''

  constructor(chain: ChainReader, ledger: Ledger) {
    this.chain = chain
    this.#ledger = ledger
    this.#heads = new HeadKeeper(chain, () => ledger.now())
    this.#search = new BlockSearch(chain)
  }

  /** @throws TollwayError when the ledger cannot be read or written; the report names a node that fails */
  async run(most: number, onChange: (before: Charge, after: Charge) => void): Promise<NetworkReport> {
    const { chain } = this
    let view: ChainView
    try {
      view = { reader: chain, search: this.#search, ...(await this.#heads.next()) }
    } catch (error) {
      if (!(error instanceof ChainError)) throw error
      return { network: chain.network, ok: false, reason: error.reason, block: undefined, looked: 0 }
    }
    if (most === Number.POSITIVE_INFINITY) this.#after = ''
    let looked = 0
    let reason: string | undefined
    for (;;) {
      const limit = Math.min(PAGE, most - looked)
      const page = await this.#ledger.store.unproven({ network: chain.network, after: this.#after, limit })
      await inParallel(page, async (charge) => {
        const observation = await observe(view, charge)
        if (observation.kind === 'no_answer' && observation.reason !== 'not_final_yet')
          reason ??= observation.reason
        const moved = await this.#ledger.resolve(charge, decide(charge, observation, this.#ledger.now()))
        if (moved) onChange(charge, moved)
      })
      looked += page.length
      const last = page.at(-1)
      this.#after = page.length < limit || !last ? '' : last.id
      if (this.#after === '' || looked >= most) break
    }
    return { network: chain.network, ok: reason === undefined, reason, block: view.head.number, looked }
  }
}

/** Works through a list in order, a few items at a time. The first error ends all of them. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  const worker = async (): Promise<void> => {
    try {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item)
    } catch (error) {
      queue.length = 0
      throw error
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}
