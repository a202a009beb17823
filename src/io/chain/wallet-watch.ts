/**
 * Caches a wallet's token balances on one network, so that payments need no round trip to the node. A sufficient balance is
 * trusted for a while and refreshed in the background; a payment is never refused on a cached balance. A node that does not
 * answer refuses nothing: the seller and its facilitator check the balance themselves, and this check only saves money.
 */
import type { Clock } from '../../core/clock.ts'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { ChainError } from './chain.ts'
import type { WalletFunds, WalletReader } from './wallet-reader.ts'

/** A reading younger than this is not refreshed, milliseconds. */
const FRESH_MS = 5_000
/** A reading younger than this is trusted, and refreshed in the background, milliseconds. */
const USABLE_MS = 60_000
/** How long an ended payment that no reading reflects yet is remembered: after that the last reading is no longer trusted anyway. */
const REMEMBERED_MS = 2 * USABLE_MS
/** How long a request waits for a node, milliseconds. */
const WAIT_MS = 2_000
/** How long requests do not wait for a node after it failed, milliseconds. */
const PAUSE_MS = 10_000

/** What {@link WalletWatch} works with. */
export interface WalletWatchContext {
  readonly reader: WalletReader
  /** The wallet, lower case. */
  readonly owner: string
  readonly clock: Clock
  readonly timers?: Timers | undefined
}

interface Known {
  readonly funds: WalletFunds
  /** When the reading began: payments after that are not reflected in it. */
  readonly readAt: number
}

interface Spent {
  readonly asset: string
  readonly amount: bigint
}

interface Ended extends Spent {
  readonly at: number
}

/** One wallet on one network. */
export class WalletWatch {
  readonly #context: WalletWatchContext
  readonly #timers: Timers
  readonly #known = new Map<string, Known>()
  readonly #reading = new Map<string, Promise<WalletFunds | undefined>>()
  readonly #separators = new Map<string, string>()
  /** Payments in flight, by charge: a reading may or may not reflect them. */
  readonly #open = new Map<string, Spent>()
  /** Ended payments that the last reading cannot reflect, in the order they ended. */
  readonly #ended = new Map<string, Ended>()
  #pauseUntil = 0
  #code: string | undefined
  #codeReading: Promise<string | undefined> | undefined

  constructor(context: WalletWatchContext) {
    this.#context = context
    this.#timers = context.timers ?? systemTimers
  }

  /**
   * The wallet's funds in a token, minus what was signed since they were read.
   * @param suffices whether the funds are enough; if so, a cached reading is used
   * @returns `undefined` when they are currently unknown
   */
  async funds(asset: string, suffices: (funds: WalletFunds) => boolean): Promise<WalletFunds | undefined> {
    const known = this.#known.get(asset)
    const now = this.#context.clock.now()
    if (known && Math.abs(now - known.readAt) < USABLE_MS) {
      const left = this.#less(asset, known.funds)
      if (suffices(left)) {
        if (Math.abs(now - known.readAt) >= FRESH_MS) void this.#read(asset)
        return left
      }
    }
    const reading = this.#read(asset)
    // A node that failed recently is only asked in the background.
    if (now < this.#pauseUntil) return undefined
    const funds = await this.#within(reading)
    return funds && this.#less(asset, funds)
  }

  /** The wallet's balance of a token by a reading of now, whatever was signed. @returns `undefined` when it is currently unknown */
  async balance(asset: string): Promise<bigint | undefined> {
    const funds = await this.#within(this.#read(asset))
    return funds?.deployed === true ? funds.balance : undefined
  }

  /** The next EIP-2612 nonce of the wallet. @returns `undefined` when it is currently unknown */
  async permitNonce(asset: string): Promise<bigint | undefined> {
    const { reader, owner } = this.#context
    return await this.#within(reader.permitNonce(asset, owner).catch(unanswered))
  }

  /** The token's own EIP-712 separator. @returns `undefined` when it is currently unknown */
  async separator(asset: string): Promise<string | undefined> {
    const known = this.#separators.get(asset)
    if (known !== undefined) return known
    const read = await this.#within(this.#context.reader.separator(asset).catch(unanswered))
    // It never changes, except on a fork of the chain, which then is another chain.
    if (read !== undefined) this.#separators.set(asset, read.toLowerCase())
    return read?.toLowerCase()
  }

  /** The code at the wallet's address, `0x` for a plain wallet; read once. @returns `undefined` when it is currently unknown */
  async code(): Promise<string | undefined> {
    if (this.#code !== undefined || this.#context.clock.now() < this.#pauseUntil) return this.#code
    const { reader, owner } = this.#context
    // Payments at the same time share one reading.
    this.#codeReading ??= reader
      .code(owner)
      .catch(this.#failed)
      .finally(() => (this.#codeReading = undefined))
    this.#code = await this.#within(this.#codeReading)
    return this.#code
  }

  /** The wallet, lower case. */
  get owner(): string {
    return this.#context.owner
  }

  /** Records a signed payment: it is subtracted until a later reading reflects it. */
  sign(charge: string, asset: string, amount: bigint): void {
    this.#open.set(charge, { asset, amount })
  }

  /** Records that a payment has ended: readings from now on reflect it. */
  closed(charge: string): void {
    const spent = this.#open.get(charge)
    if (!spent) return
    const now = this.#context.clock.now()
    this.#open.delete(charge)
    this.#ended.set(charge, { ...spent, at: now })
    // Bounded, in case a node is silent for days.
    for (const [id, { at }] of this.#ended) {
      if (now - at <= REMEMBERED_MS) break
      this.#ended.delete(id)
    }
  }

  /** The number of payments that no reading reflects yet. */
  get unseen(): number {
    return this.#open.size + this.#ended.size
  }

  close(): void {
    this.#context.reader.close()
  }

  #less(asset: string, funds: WalletFunds): WalletFunds {
    const known = this.#known.get(asset)
    let sum = 0n
    for (const spent of this.#open.values()) if (spent.asset === asset) sum += spent.amount
    for (const spent of this.#ended.values()) {
      if (spent.asset === asset && !(known && spent.at < known.readAt)) sum += spent.amount
    }
    const less = (amount: bigint): bigint => (amount > sum ? amount - sum : 0n)
    return { ...funds, balance: less(funds.balance), allowance: less(funds.allowance) }
  }

  /** One reading at a time per token; concurrent callers share it. */
  #read(asset: string): Promise<WalletFunds | undefined> {
    const running = this.#reading.get(asset)
    if (running) return running
    const { reader, owner, clock } = this.#context
    const readAt = clock.now()
    const reading = reader
      .funds(asset, owner)
      .then((funds) => {
        this.#known.set(asset, { funds, readAt })
        this.#pauseUntil = 0
        for (const [charge, spent] of this.#ended) {
          if (spent.asset === asset && spent.at < readAt) this.#ended.delete(charge)
        }
        return funds
      }, this.#failed)
      .finally(() => this.#reading.delete(asset))
    this.#reading.set(asset, reading)
    return reading
  }

  readonly #failed = (error: unknown): undefined => {
    this.#pauseUntil = this.#context.clock.now() + PAUSE_MS
    return unanswered(error)
  }

  async #within<T>(work: Promise<T | undefined>): Promise<T | undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>()
    const cancel = this.#timers.after(WAIT_MS, () => {
      this.#pauseUntil = this.#context.clock.now() + PAUSE_MS
      resolve(undefined)
    })
    try {
      return await Promise.race([work, promise])
    } finally {
      cancel()
    }
  }
}

/** A failure of the node means that there is no answer; any other error is a bug. */
function unanswered(error: unknown): undefined {
  if (!(error instanceof ChainError)) throw error
  return undefined
}
