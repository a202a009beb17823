/**
 * Moves of charges whose money is where it is, whatever the disk says: one that the store cannot take now waits
 * in memory and is tried again until it is booked. Should the process end before, the store still counts the charge
 * as held or authorized, and the next start makes it released or uncertain.
 */
import { IllegalMoveError, type Charge } from '../../core/charge/charge.ts'
import { TollwayError } from '../../core/errors.ts'
import type { Move } from '../store/contracts/charges.ts'
import type { Store } from '../store/store.ts'

/** Who is told about each move. */
export interface PendingMoveListeners {
  /** The store holds the move. Must not reject. */
  booked(charge: Charge, from: Charge['state']): Promise<void>
  /** Another process decided first: `charge` is how it stands, `move` what was to be booked. Called again when it rejects. */
  overtaken(charge: Charge, move: Move): Promise<void>
  /** The store did not take the move; it is tried again. */
  failed(error: unknown): void
}

interface Booking {
  readonly charge: Charge
  readonly move: Move
}

/** See the file's head. What waits is bounded by what was in flight when the store began to refuse. */
export class PendingMoves {
  readonly #store: Store
  readonly #listeners: PendingMoveListeners
  readonly #waiting = new Map<string, Booking>()
  /** One run at a time: two would book the same move twice, and the second is no move any more. */
  #retrying: Promise<void> | undefined

  constructor(store: Store, listeners: PendingMoveListeners) {
    this.#store = store
    this.#listeners = listeners
  }

  /** What is not booked yet, as it will stand, in the order it came. */
  get waiting(): Charge[] {
    return [...this.#waiting.values()].map(({ charge, move }) => after(charge, move))
  }

  /**
   * Books a move. Never rejects.
   * @returns the charge as it stands, or will as soon as the store takes the move
   */
  async book(charge: Charge, move: Move): Promise<Charge> {
    const booking = { charge, move }
    try {
      return await this.#book(booking)
    } catch (error) {
      this.#waiting.set(charge.id, booking)
      this.#listeners.failed(error)
      return after(charge, move)
    }
  }

  /**
   * Tries everything that waits again, oldest first.
   * @throws TollwayError `store_unavailable`, or what else the store threw, when something still waits
   */
  async retry(): Promise<void> {
    if (this.#waiting.size === 0 && !this.#retrying) return
    this.#retrying ??= this.#retryAll()
    await this.#retrying
  }

  async #retryAll(): Promise<void> {
    try {
      let failure: unknown
      for (const [id, booking] of this.#waiting) {
        try {
          await this.#book(booking)
          if (this.#waiting.get(id) === booking) this.#waiting.delete(id)
        } catch (error) {
          failure ??= error
          // An outage holds for all of them; any other fault is of this charge alone.
          if (error instanceof TollwayError) break
        }
      }
      if (failure !== undefined) throw failure
    } finally {
      this.#retrying = undefined
    }
  }

  async #book({ charge, move }: Booking): Promise<Charge> {
    let moved: Charge
    try {
      moved = await this.#store.move(charge.id, move)
    } catch (error) {
      if (!(error instanceof IllegalMoveError)) throw error
      const current = await this.#store.charge(charge.id)
      // Nobody was faster: it is a move that must never be asked for.
      if (!current || current.state === charge.state) throw error
      await this.#listeners.overtaken(current, move)
      return current.state === move.to ? current : after(charge, move)
    }
    await this.#listeners.booked(moved, charge.state)
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
