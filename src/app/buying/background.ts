/**
 * Refills the purchases of pools whose payer has a signing payer (`filled_by`) while the gateway runs, outside its requests:
 * when few vouchers remain, when an order is incomplete, and when a seller has changed its terms.
 */
import type { Log } from '../../core/log.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { PoolStatus } from '../../core/vouchers/voucher.ts'
import { PoolRefiller } from '../../io/vouchers/voucher-refill.ts'
import { runExclusively } from './exclusive-run.ts'
import type { BuyingContext } from './buying-context.ts'
import { noteRefusal } from './process.ts'
import { refill, type RefillReport } from './refill.ts'

/** The background refills of a gateway. */
export interface BackgroundRefills {
  /** Receives the events of requests and charges. */
  readonly observe: Observer
  close(): Promise<void>
}

/** Shortest time between two checks, milliseconds: a burst of payments causes a single check. */
const PAUSE_MS = 1_000
/** Longest time between two checks; also the delay until changes made by other programs are seen. */
const INTERVAL_MS = 15_000
/** Pause after a failed refill, milliseconds, so that the seller is not asked over and over. */
const FAILED_PAUSE_MS = 60_000

/** Starts refilling. Does nothing if no payer has `filled_by`. */
export function refillInBackground(context: BuyingContext, log: Log): BackgroundRefills {
  const watched = [...context.config.payers].flatMap(([payer, entry]) =>
    entry.kind === 'obol' && entry.mode === 'pool' && entry.filledBy !== undefined ? [payer] : [],
  )
  const fillers = new Map(watched.map((payer) => [payer, new Filler(context, payer, log)]))
  return {
    observe(event) {
      if (event.type === 'charge' && event.from === undefined) fillers.get(event.charge.payer)?.soon()
      if (event.type !== 'request') return
      const { payer, code } = event.summary
      if (code === 'pool_terms_changed') fillers.get(payer)?.termsChanged()
      else if (code === 'pool_exhausted') fillers.get(payer)?.soon()
    },
    async close() {
      await Promise.all([...fillers.values()].map((filler) => filler.close()))
    },
  }
}

/** Refills the pools of one payer. */
class Filler {
  readonly #context: BuyingContext
  readonly #refiller: PoolRefiller<RefillReport | { readonly result: 'enough' }>
  /** Names of purchases and the earliest time of their next attempt. */
  readonly #failed = new Map<string, number>()
  /** Ask the seller for its terms even if enough vouchers remain. */
  #isSuspicious = false
  /** The same, for the check in progress. */
  #asksAnyway = false
  #cancel: () => void
  #lookAt: number
  #isClosed = false

  constructor(context: BuyingContext, payer: string, log: Log) {
    this.#context = context
    const { clock, timers } = context
    this.#refiller = new PoolRefiller({
      payer,
      book: context.book(payer),
      refill: (status, signal) => this.#refill(payer, status, signal),
      onRun: (pool, outcome) => {
        this.#report(payer, outcome)
        if (outcome instanceof TollwayError) {
          log.warn({ payer, pool, code: outcome.code }, 'could not refill vouchers')
        } else if (outcome.result === 'limit') {
          log.warn({ payer, pool }, 'a limit leaves no room for more vouchers')
        }
      },
    })
    this.#lookAt = clock.now() + PAUSE_MS
    this.#cancel = timers.after(PAUSE_MS, () => this.#check())
  }

  /** A voucher was used: schedules a check after a short pause. */
  soon(): void {
    const { clock, timers } = this.#context
    const at = clock.now() + PAUSE_MS
    if (this.#isClosed || this.#lookAt <= at) return
    this.#cancel()
    this.#lookAt = at
    this.#cancel = timers.after(PAUSE_MS, () => this.#check())
  }

  /** A request was refused because the seller's terms differ from those of the vouchers. */
  termsChanged(): void {
    this.#isSuspicious = true
    this.soon()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel()
    await this.#refiller.close()
  }

  #check(): void {
    if (this.#isClosed) return
    const { clock, timers } = this.#context
    this.#asksAnyway = this.#isSuspicious
    this.#isSuspicious = false
    this.#refiller.look()
    this.#lookAt = clock.now() + INTERVAL_MS
    this.#cancel = timers.after(INTERVAL_MS, () => this.#check())
  }

  async #refill(
    payer: string,
    { pool, counts }: PoolStatus,
    signal: AbortSignal,
  ): Promise<RefillReport | { readonly result: 'enough' }> {
    const { clock, ledger, config } = this.#context
    const { name } = pool
    const enough = { result: 'enough' } as const
    const [purchase] = await ledger.store.purchases.list({ payer, name })
    if (!purchase || clock.now() < (this.#failed.get(name) ?? 0)) return enough
    const refreshTerms = this.#asksAnyway
    const isLow = pool.refill !== undefined && counts.ready <= pool.refill.threshold
    const isDrained = pool.drainingSince !== undefined && counts.ready + counts.held === 0
    if (!refreshTerms && !isLow && !isDrained && purchase.delivered >= purchase.ordered) return enough
    // The gateway does not open further keys for a refill.
    const signedBy = this.#signer(payer)
    try {
      const work = () => refill(this.#context, { ...purchase, signedBy }, { refreshTerms, signal })
      const ran = await runExclusively(config, work)
      // A command is already doing the same.
      if ('busy' in ran) return enough
      this.#pause(name, ran.result.result === 'limit')
      return ran.result
    } catch (error) {
      this.#pause(name, true)
      if (error instanceof TollwayError && !signal.aborted) {
        await noteRefusal(this.#context, 'refill', purchase, error)
      }
      throw error
    }
  }

  #report(payer: string, outcome: RefillReport | { readonly result: 'enough' } | TollwayError): void {
    const result = outcome instanceof TollwayError ? 'failed' : outcome.result
    if (result !== 'refilled' && result !== 'limit' && result !== 'removed' && result !== 'failed') return
    const vouchers = 'added' in outcome ? outcome.added : 0
    for (const observer of this.#context.observers) observer({ type: 'refilled', payer, result, vouchers })
  }

  #pause(name: string, failed: boolean): void {
    if (failed) this.#failed.set(name, this.#context.clock.now() + FAILED_PAUSE_MS)
    else this.#failed.delete(name)
  }

  #signer(payer: string): string {
    const entry = this.#context.config.payers.get(payer)
    return (entry?.kind === 'obol' && entry.mode === 'pool' ? entry.filledBy : undefined) ?? payer
  }
}
