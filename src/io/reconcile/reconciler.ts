/**
 * Checks charges that are uncertain or not proven by the chain, and moves them by what the chain proves (rule 4). Several
 * processes can do this on one store, because it never touches charges in flight.
 */
import type { Charge } from '../../core/charge/charge.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { Timers } from '../../core/timers.ts'
import type { ChainReader } from '../chain/chain.ts'
import type { SolanaReader } from '../chain/solana/solana-reader.ts'
import type { LedgerUse } from '../ledger/ledger-use.ts'
import { NetworkRun, type NetworkReport } from './network-run.ts'
import { watchEvm } from './chain-watch.ts'
import { watchSolana } from './solana-watch.ts'

/** The most charges per network in one run of the timer. */
const MAX_PER_RUN = 500
/** Between two runs of the timer while more charges wait than one looks at, milliseconds: they are proven as fast as nodes answer. */
const HURRY_MS = 1000

/** What {@link Reconciler} works with. */
export interface ReconcilerContext {
  readonly ledger: LedgerUse<'resolve' | 'now', 'unproven'>
  readonly chains: readonly ChainReader[]
  /** The Solana networks. */
  readonly solana?: readonly SolanaReader[] | undefined
  /** Whether the payee of a seller (its origin) is pinned when a payment to it is proven; default yes. */
  readonly pins?: ((seller: string) => boolean) | undefined
  readonly timers: Timers
  /** Milliseconds between the end of a run and the start of the next. */
  readonly intervalMs: number
  readonly observers: readonly Observer[]
  /** Called when a run of the timer fails, for example because the disk refuses. */
  readonly onFailure: (error: unknown) => void
}

/** The result of a run. */
export interface ReconcileReport {
  readonly networks: readonly NetworkReport[]
  /** Charges that moved, or whose proof became `chain`. */
  readonly changed: readonly { readonly before: Charge; readonly after: Charge }[]
}

/** The reconciler of one process. */
export class Reconciler {
  readonly #context: ReconcilerContext
  readonly #networks: readonly NetworkRun[]
  #cancel: () => void = () => undefined
  /** Settles when the run that was requested last has ended. */
  #last: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor(context: ReconcilerContext) {
    this.#context = context
    const { ledger, chains, solana = [], pins = () => true } = context
    const now = (): number => ledger.now()
    const watches = [
      ...chains.map((reader) => watchEvm(reader, now)),
      ...solana.map((reader) => watchSolana(reader, now)),
    ]
    this.#networks = watches.map((watch) => new NetworkRun(watch, ledger, pins))
  }

  /** Runs now, and then on the timer until it is closed. Does nothing without networks. */
  start(): void {
    if (this.#networks.length > 0) void this.#runAndWait()
  }

  async #runAndWait(): Promise<void> {
    const { timers, intervalMs, onFailure } = this.#context
    let wait = intervalMs
    try {
      const { networks } = await this.run()
      if (networks.some(({ ok, more }) => ok && more)) wait = Math.min(HURRY_MS, intervalMs)
    } catch (error) {
      onFailure(error)
    }
    if (!this.#closed) this.#cancel = timers.after(wait, () => this.start())
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
    for (const { watch } of this.#networks) watch.close()
    await this.#last
  }

  async #run(most: number): Promise<ReconcileReport> {
    const changed: { before: Charge; after: Charge }[] = []
    const results = await Promise.allSettled(
      this.#networks.map(async (network) => {
        const report = await network.run(most, (before, after) => changed.push({ before, after }))
        // A query that closing interrupted says nothing about the node.
        if (!this.#closed) this.#report(report)
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

  #report({ network, ok, reason, time }: NetworkReport): void {
    this.#emit({ type: 'chain', network, ok, reason })
    if (time === undefined) return
    // A final block is older than its reading: only one that is not tells something about our clock.
    const seconds = Math.max(0, Math.round(time - this.#context.ledger.now() / 1000))
    this.#emit({ type: 'clock_skew', source: network, seconds })
  }

  #emit(event: Parameters<Observer>[0]): void {
    for (const observer of this.#context.observers) observer(event)
  }
}
