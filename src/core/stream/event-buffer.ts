/** The one event of a stream that is passing: held until it is known what it holds, then sent, or dropped as a whole. */
import type { ByteSink } from './byte-sink.ts'

/** Clients see no event before its end, so that its lines may wait for each other. */
export class EventBuffer {
  readonly #maxBytes: number
  readonly #held: Buffer[] = []
  #heldBytes = 0
  #isHolding = false
  /** The data lines among them that are parts of one text. */
  readonly #parts: Buffer[] = []
  #isOpen = false
  #isDropped = false

  /** @param maxBytes where a longer event is sent on, unread */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Whether a line has been sent whose event no blank line has ended yet. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Whether the rest of the event is not sent. */
  get isDropped(): boolean {
    return this.#isDropped
  }

  /** Whether its text came in parts that were not read yet. */
  get hasParts(): boolean {
    return this.#parts.length > 0
  }

  /** Keeps what comes until its event is known, as long as that is not too much. */
  hold(out: ByteSink): void {
    if (this.#heldBytes <= this.#maxBytes) this.#isHolding = true
    else this.release(out)
  }

  /** Sends bytes, or keeps them with the event they belong to. */
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

  /** A whole line was put. */
  lineDone(): void {
    if (!this.#isHolding) this.#isOpen = true
  }

  /** A part of a line was sent past {@link EventBuffer.put}. */
  open(): void {
    this.#isOpen = true
  }

  /** Remembers one of several data lines. */
  addPart(value: Buffer): void {
    this.#parts.push(value)
  }

  /** The data lines as the one text they are. */
  takeParts(): Buffer {
    return Buffer.concat(this.#parts.splice(0).flatMap((part) => [part, LINE_END]))
  }

  /** Sends what was kept. */
  release(out: ByteSink): void {
    if (this.#held.length > 0) this.#isOpen = true
    for (const bytes of this.#held) out.add(bytes)
    this.forget()
  }

  /** What was kept is never sent. */
  forget(): void {
    this.#held.length = 0
    this.#parts.length = 0
    this.#heldBytes = 0
    this.#isHolding = false
  }

  /** Nothing more of this event is sent. */
  drop(): void {
    this.forget()
    this.#isDropped = true
  }

  /**
   * Its blank line came.
   * @returns whether that is to be sent: the end of an event that was not sent would end nothing
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
