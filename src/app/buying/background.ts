/**
 * Refills the purchases of pools whose payer has somebody to sign for it (`filled_by`), while the gateway runs and off the way
 * of its requests: when few are left, when an order is not there in full, and when a seller turned out to ask other terms.
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

/** What runs in the background. */
export interface BackgroundRefills {
  /** Hears what happens to requests and charges. */
  readonly observe: Observer
  close(): Promise<void>
}

/** Shortest time from one look to the next, milliseconds: a burst of payments leads to one look. */
const PAUSE_MS = 1_000
/** Longest: what other programs do to the ledger is seen then. */
const INTERVAL_MS = 15_000
/** How long a purchase that could not be refilled is left alone, milliseconds: its seller is not asked again and again. */
const FAILED_PAUSE_MS = 60_000

/** Begins to look after the pools. Does nothing where no payer names who fills it. */
export function refillInBackground(parts: BuyingContext, log: Log): BackgroundRefills {
  const watched = [...parts.config.payers].flatMap(([payer, entry]) =>
    entry.kind === 'obol' && entry.mode === 'pool' && entry.filledBy !== undefined ? [payer] : [],
  )
  const fillers = new Map(watched.map((payer) => [payer, new Filler(parts, payer, log)]))
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

/** Looks after the pools of one payer. */
class Filler {
  readonly #parts: BuyingContext
  readonly #refiller: PoolRefiller<RefillReport | { readonly result: 'enough' }>
  /** Names of purchases to when they may be tried again. */
  readonly #failed = new Map<string, number>()
  /** The seller's terms are asked for although enough are left. */
  #isSuspicious = false
  /** The same for the look that is under way. */
  #asksAnyway = false
  #cancel: () => void
  #lookAt: number
  #isClosed = false

  constructor(parts: BuyingContext, payer: string, log: Log) {
    this.#parts = parts
    const { clock, timers } = parts
    this.#refiller = new PoolRefiller({
      payer,
      book: parts.book(payer),
      refill: (status, signal) => this.#refill(payer, status, signal),
      onRun: (pool, outcome) => {
        this.#tell(payer, outcome)
        if (outcome instanceof TollwayError) {
          log.warn({ payer, pool, code: outcome.code }, 'could not refill vouchers')
        } else if (outcome.result === 'limit') {
          log.warn({ payer, pool }, 'a limit leaves no room for more vouchers')
        }
      },
    })
    this.#lookAt = clock.now() + PAUSE_MS
    this.#cancel = timers.after(PAUSE_MS, () => this.#look())
  }

  /** Something was used up: looks after a short pause. */
  soon(): void {
    const { clock, timers } = this.#parts
    const at = clock.now() + PAUSE_MS
    if (this.#isClosed || this.#lookAt <= at) return
    this.#cancel()
    this.#lookAt = at
    this.#cancel = timers.after(PAUSE_MS, () => this.#look())
  }

  /** A request was refused because the seller asks other terms than the vouchers were signed for. */
  termsChanged(): void {
    this.#isSuspicious = true
    this.soon()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#cancel()
    await this.#refiller.close()
  }

  #look(): void {
    if (this.#isClosed) return
    const { clock, timers } = this.#parts
    this.#asksAnyway = this.#isSuspicious
    this.#isSuspicious = false
    this.#refiller.look()
    this.#lookAt = clock.now() + INTERVAL_MS
    this.#cancel = timers.after(INTERVAL_MS, () => this.#look())
  }

  async #refill(
    payer: string,
    { pool, counts }: PoolStatus,
    signal: AbortSignal,
  ): Promise<RefillReport | { readonly result: 'enough' }> {
    const { clock, ledger, config } = this.#parts
    const { name } = pool
    const enough = { result: 'enough' } as const
    const [purchase] = await ledger.store.purchases.list({ payer, name })
    if (!purchase || clock.now() < (this.#failed.get(name) ?? 0)) return enough
    const look = this.#asksAnyway
    const isLow = pool.refill !== undefined && counts.ready <= pool.refill.threshold
    const isDrained = pool.drainingSince !== undefined && counts.ready + counts.held === 0
    if (!look && !isLow && !isDrained && purchase.delivered >= purchase.ordered) return enough
    // A key that this gateway does not have open is not opened for it.
    const signedBy = this.#signer(payer)
    try {
      const work = () => refill(this.#parts, { ...purchase, signedBy }, { look, signal })
      const ran = await runExclusively(config, work)
      // A command does the same right now.
      if ('busy' in ran) return enough
      this.#pause(name, ran.result.result === 'limit')
      return ran.result
    } catch (error) {
      this.#pause(name, true)
      if (error instanceof TollwayError && !signal.aborted) {
        await noteRefusal(this.#parts, 'refill', purchase, error)
      }
      throw error
    }
  }

  #tell(payer: string, outcome: RefillReport | { readonly result: 'enough' } | TollwayError): void {
    const result = outcome instanceof TollwayError ? 'failed' : outcome.result
    if (result !== 'refilled' && result !== 'limit' && result !== 'removed' && result !== 'failed') return
    const vouchers = 'added' in outcome ? outcome.added : 0
    for (const observer of this.#parts.observers) observer({ type: 'refilled', payer, result, vouchers })
  }

  #pause(name: string, failed: boolean): void {
    if (failed) this.#failed.set(name, this.#parts.clock.now() + FAILED_PAUSE_MS)
    else this.#failed.delete(name)
  }

  #signer(payer: string): string {
    const entry = this.#parts.config.payers.get(payer)
    return (entry?.kind === 'obol' && entry.mode === 'pool' ? entry.filledBy : undefined) ?? payer
  }
}
