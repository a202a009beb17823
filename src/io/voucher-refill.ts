/**
 * Fills pools again off the request path. Whoever can sign is given as a function; what may be signed is the book's to
 * say, before the signing (room) and again when the vouchers are added.
 */
import { TollwayError } from '../core/errors.ts'
import type { PoolStatus, SignedVoucher, VoucherPool } from '../core/voucher.ts'
import type { Added } from './store/voucher-store.ts'
import type { VoucherBook } from './voucher-book.ts'

/**
 * Signs vouchers for a pool's terms, each with a nonce of its own.
 * @param count how many
 */
export type SignVouchers = (
  pool: VoucherPool,
  count: number,
  signal: AbortSignal,
) => Promise<readonly SignedVoucher[]>

/** What a refill came to. */
export type Refilled =
  | { readonly result: 'refilled'; readonly added: Added }
  /** `enough`: above the threshold. `no_policy`: it is not refilled by itself. */
  | { readonly result: 'enough' | 'no_policy' | 'draining' | 'limit' }
  | { readonly result: 'price_above_limit' }

/** What a refill needs. */
export interface RefillParts {
  readonly book: VoucherBook
  readonly sign: SignVouchers
  /** USD value of one voucher of a pool, micro-USD; `undefined` for an asset without one. */
  readonly microUsd: (pool: VoucherPool) => bigint | undefined
}

/**
 * Refills one pool if its policy says so.
 * @param force although there are enough
 * @throws TollwayError `store_unavailable`, `signer_unavailable`
 */
export async function refillPool(
  { book, sign, microUsd }: RefillParts,
  { pool, counts }: PoolStatus,
  signal: AbortSignal,
  force = false,
): Promise<Refilled> {
  const { refill } = pool
  if (!refill) return { result: 'no_policy' }
  if (pool.drainingSince !== undefined) return { result: 'draining' }
  if (!force && counts.ready > refill.threshold) return { result: 'enough' }
  if (refill.maxPrice !== undefined && pool.amount > refill.maxPrice) return { result: 'price_above_limit' }
  const count = await book.room(pool, refill.count, microUsd(pool), true)
  if (count === 0) return { result: 'limit' }
  const added = await book.add(pool, await sign(pool, count, signal), true)
  return { result: 'refilled', added }
}

/** How {@link PoolRefiller} works. */
export interface RefillerOptions<T extends { readonly result: string }> {
  readonly payer: string
  readonly book: VoucherBook
  /** Refills one pool if it is to be; e.g. {@link refillPool}. */
  readonly refill: (status: PoolStatus, signal: AbortSignal) => Promise<T>
  /** Told about every run that did something or failed. */
  readonly onRun?: ((pool: string, outcome: T | TollwayError) => void) | undefined
}

/**
 * Refills the pools of one payer when asked to look; one look at a time, requests never wait for it.
 */
export class PoolRefiller<T extends { readonly result: string } = Refilled> {
  readonly #options: RefillerOptions<T>
  readonly #closing = new AbortController()
  #running: Promise<void> | undefined
  #again = false

  constructor(options: RefillerOptions<T>) {
    this.#options = options
  }

  /** Looks at the pools soon. Never waits and never throws. */
  look(): void {
    if (this.#closing.signal.aborted) return
    this.#again = true
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  /** Resolves when no look is under way any more. */
  async settled(): Promise<void> {
    while (this.#running) await this.#running
  }

  /** Ends what is under way. */
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
