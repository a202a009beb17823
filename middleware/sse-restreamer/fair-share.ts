/** Reading an answer takes the only thread. No seller may keep it for long, however fast and however small its events come. */

/**
 * Bytes of one answer that are read in one turn of the event loop. An event with data takes at least 8, so that this is at most
 * 512 events.
 */
export const TURN_BYTES = 4096

/** Answers that are read in one turn, each its share; the others wait for the next turns. */
export const ANSWERS_PER_TURN = 1

/** Bytes of an answer that are put together in one step. */
const COPY_BYTES = 1_048_576

/** The turns of the event loop, for all answers of a gateway together: many floods at once are no worse than a few. */
export class Turns {
  readonly #waiting: (() => void)[] = []
  #isComing = false

  /** Waits for a turn that has room. */
  async next(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#isComing || this.#waiting.length === 0) return
    this.#isComing = true
    setImmediate(() => {
      this.#isComing = false
      for (const proceed of this.#waiting.splice(0, ANSWERS_PER_TURN)) proceed()
      this.#schedule()
    })
  }
}

/** The share of one answer: it reads in slices, and lets everything else have its turn when it has read its bytes. */
export class FairShare {
  readonly #turns: Turns
  #left = TURN_BYTES

  constructor(turns: Turns = new Turns()) {
    this.#turns = turns
  }

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

  /** As {@link slices}, without a promise for what fits into what is left of the share. */
  async each(bytes: Uint8Array, work: (slice: Uint8Array) => void | Promise<void>): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const slice = bytes.subarray(at, at + this.#left)
      at += slice.length
      this.#left -= slice.length
      const done = work(slice)
      if (done) await done
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

  /** What was made in steps, each in a turn of its own, in the slices of this share. */
  async *pieces(work: Iterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for (const piece of work) {
      await this.turn()
      yield* this.slices(piece)
    }
  }

  /** All bytes in one piece: those of tens of megabytes take the system long to give the memory for. */
  async whole(chunks: readonly Uint8Array[]): Promise<Buffer> {
    return await this.steps(joinInSteps(chunks))
  }

  /** Lets everything else have its turn. Call it between two steps that each read a whole answer. */
  async turn(): Promise<void> {
    await this.#turns.next()
    this.#left = TURN_BYTES
  }
}

/** `Buffer.concat` in steps. */
export function* joinInSteps(chunks: readonly Uint8Array[]): Generator<void, Buffer, undefined> {
  const all = Buffer.allocUnsafe(chunks.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  let left = COPY_BYTES
  for (const chunk of chunks) {
    all.set(chunk, at)
    at += chunk.length
    left -= chunk.length
    if (left > 0) continue
    left = COPY_BYTES
    yield
  }
  return all
}
