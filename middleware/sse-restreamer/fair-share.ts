/** Reading an answer takes the only thread. No seller may keep it for long, however fast and however small its events come. */
import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * Bytes of one answer that are read in one turn of the event loop. An event with data takes at least 8, so that this is at most
 * 512 events.
 */
export const TURN_BYTES = 4096

/** The share of one answer: it reads in slices, and lets everything else have its turn when it has read its bytes. */
export class FairShare {
  #left = TURN_BYTES

  /** The bytes in slices. The next slice comes in another turn of the event loop once the share is used up. */
  async *slices(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = 0; at < bytes.length;) {
      const slice = bytes.subarray(at, at + this.#left)
      at += slice.length
      this.#left -= slice.length
      yield slice
      if (this.#left === 0) await this.turn()
    }
  }

  /**
   * Takes steps that each read 64 kB, one in a turn.
   * @returns what they come to
   */
  async steps<T>(work: Generator<void, T, undefined>): Promise<T> {
    for (;;) {
      const step = work.next()
      if (step.done === true) return step.value
      await this.turn()
    }
  }

  /** Lets everything else have its turn. Call it between two steps that each read a whole answer. */
  async turn(): Promise<void> {
    await nextTurn()
    this.#left = TURN_BYTES
  }
}
