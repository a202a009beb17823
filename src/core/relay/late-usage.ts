/** Usage that a seller sends behind `[DONE]`, where clients no longer read: `[DONE]` waits for it. */
import { ByteSink } from '../stream/byte-sink.ts'

/** The most bytes other than usage that are held when they follow `[DONE]`. */
const MAX_HELD_BYTES = 65_536

/** One stream of chat or text completions. */
export class LateUsage {
  #held: ByteSink | undefined
  #isOver = false
  #isPassing = false

  /** Whether `[DONE]` is held back. */
  get isWaiting(): boolean {
    return this.#held !== undefined
  }

  /** Whether the current event has brought the usage, so that it goes before `[DONE]`. */
  get isPassing(): boolean {
    return this.#isPassing
  }

  /** Where bytes belong now: `out`, or behind `[DONE]`. */
  sink(out: ByteSink): ByteSink {
    return this.#held === undefined || this.#isPassing ? out : this.#held
  }

  /**
   * Takes note of an event that was read.
   * @param isDone whether `[DONE]` came by now
   * @param hasUsage whether the usage is known by now
   */
  note(isDone: boolean, hasUsage: boolean): void {
    if (this.#isOver || !isDone) return
    if (this.#held) this.#isPassing ||= hasUsage
    else if (hasUsage) this.#isOver = true
    else this.#held = new ByteSink(0)
  }

  /** An event has ended: `[DONE]` follows the one that brought the usage. */
  eventEnded(out: ByteSink): void {
    if (this.#isPassing || (this.#held?.length ?? 0) > MAX_HELD_BYTES) this.release(out)
  }

  /** Sends what is held back. */
  release(out: ByteSink): void {
    if (!this.#held) return
    out.add(this.#held.take())
    this.#held = undefined
    this.#isPassing = false
    this.#isOver = true
  }
}
