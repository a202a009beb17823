/** Buffers the current event of a stream until its content is known, then sends it or drops it as a whole. */
import type { ByteSink } from '../stream/byte-sink.ts'

/** Clients process an event only at its end, so its lines may be held back. */
export class EventBuffer {
  readonly #maxBytes: number
  readonly #held: Buffer[] = []
  #heldBytes = 0
  #isHolding = false
  /** The data lines that are parts of one text. */
  readonly #pieces: Buffer[] = []
  #isOpen = false
  #isDropped = false

  /** @param maxBytes longer events are passed on unread */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether a line has been sent of an event that has not ended yet. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether the rest of the event is dropped. */
  get isDropped(): boolean {
    return this.#isDropped
  }

  /** Whether its text came in parts that were not read yet. */
  get isPending(): boolean {
    return this.#pieces.length > 0
  }

  /** Starts to hold the event back until its content is known, up to the size limit. */
  hold(out: ByteSink): void {
    if (this.#heldBytes <= this.#maxBytes) this.#isHolding = true
    else this.release(out)
  }

  /** Sends bytes, or holds them back with their event. */
  put(bytes: Buffer, out: ByteSink): void {
    if (!this.#isHolding) {
      out.add(bytes)
      return
    }
    if (bytes.length === 0) return
    this.#held.push(bytes)
    this.#heldBytes += bytes.length
    if (this.#heldBytes > this.#maxBytes) this.release(out)
  }

  /** Records that a complete line was put. */
  lineDone(): void {
    if (!this.#isHolding) this.#isOpen = true
  }

  /** Records that a part of a line was sent without {@link EventBuffer.put}. */
  open(): void {
    this.#isOpen = true
  }

  /** Remembers one of several data lines. */
  addPart(value: Buffer): void {
    this.#pieces.push(value)
  }

  /** The data lines, joined into one text. */
  takePending(): Buffer {
    return Buffer.concat(this.#pieces.splice(0).flatMap((part) => [part, LINE_END]))
  }

  /** Sends what was held back. */
  release(out: ByteSink): void {
    if (this.#held.length > 0) this.#isOpen = true
    for (const bytes of this.#held) out.add(bytes)
    this.forget()
  }

  /** Drops what was held back. */
  forget(): void {
    this.#held.length = 0
    this.#pieces.length = 0
    this.#heldBytes = 0
    this.#isHolding = false
  }

  /** Drops the rest of this event. */
  drop(): void {
    this.forget()
    this.#isDropped = true
  }

  /**
   * Records the blank line that ends the event.
   * @returns whether to send it: a dropped event needs no end
   */
  ended(out: ByteSink): boolean {
    const wasDropped = this.#isDropped && !this.#isOpen
    this.#isDropped = false
    this.release(out)
    this.#isOpen = false
    return !wasDropped
  }
}

const LINE_END = Buffer.from('\n')
