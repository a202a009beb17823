/** Refills voucher pools in the background, outside the request path. */
import { TollwayError } from '../../core/errors.ts'
import type { PoolStatus } from '../../core/vouchers/voucher.ts'
import type { VoucherBook } from './voucher-book.ts'

/** Options of {@link PoolRefiller}. */
export interface RefillerOptions<T extends { readonly result: string }> {
  readonly payer: string
  readonly book: VoucherBook
  /** Refills one pool if it needs to be refilled. */
  readonly refill: (status: PoolStatus, signal: AbortSignal) => Promise<T>
  /** Called after every refill that changed something or failed. */
  readonly onRun?: ((pool: string, outcome: T | TollwayError) => void) | undefined
}

/** Refills the pools of one payer on request, one run at a time. Requests never wait for it. */
export class PoolRefiller<T extends { readonly result: string }> {
  readonly #options: RefillerOptions<T>
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  #again = false

  constructor(options: RefillerOptions<T>) {
    this.#options = options
  }

  /** Requests a run. Never waits and never throws. */
  look(): void {
    if (this.#closing.signal.aborted) return
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when no run is in progress. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running
  }

  /** Ends a run in progress. Later requests do nothing. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.settled()
  }

  async #run(): Promise<void> {
    const { book, payer, refill, onRun = () => undefined } = this.#options
    while (this.#again && !this.#closing.signal.aborted) {
      this.#again = false
      const pools = await book.pools(payer).catch(() => [])
      for (const status of pools) {
        try {
          const outcome = await refill(status, this.#closing.signal)
          if (outcome.result !== 'enough' && outcome.result !== 'no_policy') onRun(status.pool.name, outcome)
        } catch (error) {
          if (error instanceof TollwayError) onRun(status.pool.name, error)
        }
      }
    }
  }
}
