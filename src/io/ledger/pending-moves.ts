/**
 * Moves that must be recorded even when the store cannot take them now, because the money has already moved. A failed move waits
 * in memory and is retried until it is recorded. If the process ends first, the store still counts the charge as held or
 * authorized, and the next start releases it or makes it uncertain.
 */
import { IllegalMoveError, type Charge } from '../../core/charge/charge.ts'
import { TollwayError } from '../../core/errors.ts'
import type { ChargeStore, Move } from '../store/contracts/charges.ts'

/** What happens after each attempt to move a charge. */
export interface PendingMoveListeners {
  /** The store recorded the move. Must not reject. */
  recorded(charge: Charge, from: Charge['state']): Promise<void>
  /** Another process moved the charge first: `charge` is its current state, `move` the attempted move. Called again if it rejects. */
  overtaken(charge: Charge, move: Move): Promise<void>
  /** The store did not take the move, which will be retried. */
  failed(error: unknown): void
}

interface PendingMove {
  readonly charge: Charge
  readonly move: Move
}

/** The queue of pending moves. Bounded by the calls in flight when the store failed, because new payments are refused then. */
export class PendingMoves {
  readonly #store: Pick<ChargeStore, 'charge' | 'move'>
  readonly #listeners: PendingMoveListeners
  readonly #waiting = new Map<string, PendingMove>()
  /** One retry at a time: two would record the same move twice, and the second is illegal. */
  #retrying: Promise<void> | undefined

  constructor(store: Pick<ChargeStore, 'charge' | 'move'>, listeners: PendingMoveListeners) {
    this.#store = store
    this.#listeners = listeners
  }

  /** The charges with a pending move, as they will be after it, in the order of the calls. */
  get waiting(): Charge[] {
    return [...this.#waiting.values()].map(({ charge, move }) => after(charge, move))
  }

  /**
   * Records a move, or queues it. Never rejects.
   * @returns the charge as it is, or will be once the store takes the move
   */
  async move(charge: Charge, move: Move): Promise<Charge> {
    const pending = { charge, move }
    try {
      return await this.#record(pending)
    } catch (error) {
      this.#waiting.set(charge.id, pending)
      this.#listeners.failed(error)
      return after(charge, move)
    }
  }

  /**
   * Retries every pending move, oldest first.
   * @throws TollwayError `store_unavailable`, or any other error of the store, while a move is still pending
   */
  async retry(): Promise<void> {
    if (this.#waiting.size === 0 && !this.#retrying) return
    this.#retrying ??= this.#retryAll()
    await this.#retrying
  }

  async #retryAll(): Promise<void> {
    try {
      let failure: unknown
      for (const [id, pending] of this.#waiting) {
        try {
          await this.#record(pending)
          if (this.#waiting.get(id) === pending) this.#waiting.delete(id)
        } catch (error) {
          failure ??= error
          // An outage affects all of them; any other error affects only this charge.
          if (error instanceof TollwayError) break
        }
      }
      if (failure !== undefined) throw failure
    } finally {
      this.#retrying = undefined
    }
  }

  async #record({ charge, move }: PendingMove): Promise<Charge> {
    let moved: Charge
    try {
      moved = await this.#store.move(charge.id, move)
    } catch (error) {
      if (!(error instanceof IllegalMoveError)) throw error
      const current = await this.#store.charge(charge.id)
      // No other process moved it: the move itself is illegal, which is a bug.
      if (!current || current.state === charge.state) throw error
      await this.#listeners.overtaken(current, move)
      // What the chain proved is not told as uncertain: a request must not pay again on that word.
      const isProven = current.state === 'settled' && move.to === 'uncertain'
      return isProven || current.state === move.to ? current : after(charge, move)
    }
    await this.#listeners.recorded(moved, charge.state)
    return moved
  }
}

function after(charge: Charge, move: Move): Charge {
  return {
    ...charge,
    state: move.to,
    proof: move.proof,
    transaction: move.transaction ?? charge.transaction,
    reason: move.reason,
  }
}
