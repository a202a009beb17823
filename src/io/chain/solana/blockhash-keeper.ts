/**
 * Keeps a recent block hash of our own node at hand, so that no payment waits for one: read again every few seconds while
 * payments are made. A seller's hint is never used: any 32 bytes could be in it, and how long it is valid would be the seller's word.
 */
import type { Clock } from '../../../core/clock.ts'
import { TollwayError } from '../../../core/errors.ts'
import { systemTimers, type Timers } from '../../../core/timers.ts'
import { ChainError } from '../chain.ts'
import type { RecentBlockhash, SolanaReader } from './solana-reader.ts'
import { checkGenesis } from './solana-trust.ts'

/** Read again this often while payments are made, milliseconds: the seller has the rest of the hash's minute to settle. */
const REFRESH_MS = 4_000
/** Older than this no payment is signed with it, milliseconds. */
const USABLE_MS = 12_000
/** How long after the last payment it is kept warm, milliseconds. */
const WARM_MS = 300_000

/** What {@link BlockhashKeeper} works with. */
export interface BlockhashKeeperContext {
  readonly reader: SolanaReader
  readonly clock: Clock
  readonly timers?: Timers | undefined
}

interface Known extends RecentBlockhash {
  /** When the node was asked, milliseconds since the epoch. */
  readonly readAt: number
}

/** See the file's head. One per node. */
export class BlockhashKeeper {
  readonly #context: BlockhashKeeperContext
  readonly #timers: Timers
  #known: Known | undefined
  #reading: Promise<Known> | undefined
  #usedAt: number
  #cancel: (() => void) | undefined
  #verified = false
  #closed = false

  constructor(context: BlockhashKeeperContext) {
    this.#context = context
    this.#timers = context.timers ?? systemTimers
    this.#usedAt = context.clock.now()
  }

  /** Reads the first one, in the background. */
  start(): void {
    this.#warm()
  }

  /**
   * A block hash that is a few seconds old at most.
   * @throws TollwayError `signer_unavailable` when our node gives none: without it nothing can be signed
   */
  async recent(): Promise<RecentBlockhash> {
    const now = this.#context.clock.now()
    this.#usedAt = now
    const known = this.#known
    this.#keepWarm()
    if (known && Math.abs(now - known.readAt) < USABLE_MS) return known
    try {
      return await this.#read()
    } catch (error) {
      const reason = error instanceof ChainError ? error.reason : 'unknown'
      throw new TollwayError({
        code: 'signer_unavailable',
        message: `The node of ${this.#context.reader.network} gave no recent block hash (${reason}), without which no payment can be signed there; nothing was paid.`,
        advice: ['Check the rpc of this network under chains.'],
        details: { reason },
        cause: error,
      })
    }
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }

  #keepWarm(): void {
    if (this.#cancel === undefined && !this.#closed) this.#wait()
  }

  #wait(): void {
    this.#cancel = this.#timers.after(REFRESH_MS, () => this.#warm())
  }

  #warm(): void {
    this.#cancel = undefined
    if (this.#closed || Math.abs(this.#context.clock.now() - this.#usedAt) > WARM_MS) return
    // A failure here occurs again where a caller waits for the hash, and is reported there.
    this.#read()
      .catch(() => undefined)
      .finally(() => this.#keepWarm())
  }

  #read(): Promise<Known> {
    this.#reading ??= this.#ask().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  async #ask(): Promise<Known> {
    const { reader, clock } = this.#context
    if (!this.#verified) {
      await checkGenesis(reader)
      this.#verified = true
    }
    const readAt = clock.now()
    const known = { ...(await reader.recentBlockhash()), readAt }
    this.#known = known
    return known
  }
}
