/**
 * Lets the chain settle what sellers left open (rule 4): looks at charges that are uncertain or not proven by the chain, and
 * books what it finds. Works beside other processes on one store, because it never touches what is in flight.
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

/** Charges asked for at once, and looked at per network in one run of the timer. */
const PAGE = 100
const MAX_PER_RUN = 500
/** Charges of one network looked at at the same time. */
const CONCURRENCY = 4

/** What {@link Reconciler} works with. */
export interface ReconcilerContext {
  readonly ledger: Ledger
  readonly chains: readonly ChainReader[]
  readonly timers: Timers
  /** Milliseconds between the end of a run and the start of the next. */
  readonly intervalMs: number
  readonly observers: readonly Observer[]
  /** Told what a run of the timer could not do, e.g. because the disk refused. */
  readonly onFailure: (error: unknown) => void
}

/** What a run found about one network. */
export interface NetworkReport {
  /** CAIP-2. */
  readonly network: string
  /** Whether the node answered everything and was believed. */
  readonly ok: boolean
  /** Why not, of the first question that failed. */
  readonly reason: string | undefined
  /** The final block everything was read at. */
  readonly block: bigint | undefined
  /** Charges that were looked at. */
  readonly looked: number
}

/** What a run came to. */
export interface ReconcileReport {
  readonly networks: readonly NetworkReport[]
  /** Charges that moved, or whose proof became `chain`. */
  readonly changed: readonly { readonly before: Charge; readonly after: Charge }[]
}

/** See the file's head. One per process. */
export class Reconciler {
  readonly #parts: ReconcilerContext
  readonly #networks: readonly NetworkRun[]
  #cancel: () => void = () => undefined
  /** The end of the run that was asked for last. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(parts: ReconcilerContext) {
    this.#parts = parts
    this.#networks = parts.chains.map((chain) => new NetworkRun(chain, parts.ledger))
  }

  /** Runs now and then on the timer, until it is closed. Without networks it does nothing. */
  start(): void {
    if (this.#networks.length === 0) return
    const { timers, intervalMs, onFailure } = this.#parts
    const again = (): void => {
      if (!this.#closed) this.#cancel = timers.after(intervalMs, () => this.start())
    }
    this.run().catch(onFailure).finally(again)
  }

  /**
   * Looks at the charges once, oldest first. Runs do not overlap: one that is asked for during another comes after it.
   * @param options.all every charge, and not only as many as one run of the timer takes
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  run(options: { readonly all?: boolean | undefined } = {}): Promise<ReconcileReport> {
    const most = options.all === true ? Number.POSITIVE_INFINITY : MAX_PER_RUN
    const run = this.#last.then(() => this.#run(most))
    this.#last = run.catch(() => undefined)
    return run
  }

  /** Ends a run that is under way, and the timer. What was decided is booked. */
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
        // A node that was cut off at the end of the process says nothing about the node.
        if (!this.#closed)
          this.#tell({ type: 'chain', network: report.network, ok: report.ok, reason: report.reason })
        return report
      }),
    )
    const failure = results.find((result) => result.status === 'rejected')
    const networks = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    const complete = networks.every(({ ok }) => ok)
    this.#tell({ type: 'reconciled', result: failure ? 'failed' : complete ? 'done' : 'incomplete' })
    if (failure) throw failure.reason
    return { networks, changed }
  }

  #tell(event: Parameters<Observer>[0]): void {
    for (const observer of this.#parts.observers) observer(event)
  }
}

/** The looks at one network, each going on where the one before ended: charges that stay open must not starve later ones. */
class NetworkRun {
  readonly chain: ChainReader
  readonly #ledger: Ledger
  readonly #heads: HeadKeeper
  readonly #search: BlockSearch
  #after = ''

  constructor(chain: ChainReader, ledger: Ledger) {
    this.chain = chain
    this.#ledger = ledger
    this.#heads = new HeadKeeper(chain)
    this.#search = new BlockSearch(chain)
  }

  /** @throws TollwayError when the ledger cannot be read or written; a node that fails is told in the report */
  async run(most: number, onChange: (before: Charge, after: Charge) => void): Promise<NetworkReport> {
    const { chain } = this
    let look: ChainView
    try {
      look = { reader: chain, search: this.#search, ...(await this.#heads.next()) }
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
        const observation = await observe(look, charge)
        if (observation.kind === 'no_answer' && observation.reason !== 'not_final_yet')
          reason ??= observation.reason
        const moved = await this.#ledger.resolve(charge, decide(charge, observation))
        if (moved) onChange(charge, moved)
      })
      looked += page.length
      const last = page.at(-1)
      this.#after = page.length < limit || !last ? '' : last.id
      if (this.#after === '' || looked >= most) break
    }
    return { network: chain.network, ok: reason === undefined, reason, block: look.head.number, looked }
  }
}

/** Works through a list, oldest first, a few at a time. What one throws ends all. */
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
