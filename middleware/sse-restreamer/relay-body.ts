/** Moves the bytes of an answer to the client, with backpressure. */
import type { ServerResponse } from 'node:http'
import type { Timers } from '../../src/core/timers.ts'

/** How the client's side of a relay is watched. */
export interface ClientWatch {
  /** Called when the first byte of the body is handed over. */
  readonly onFirstByte: () => void
  /** Called when the client read nothing for `idleMs`, just before it is cut off. */
  readonly onStall: () => Promise<void>
  /** Longest time the client may take to read what was sent, before more is sent, milliseconds. */
  readonly idleMs: number
  readonly timers: Timers
}

/** Bytes handed over at once: a client that reads slowly must not look like one that does not read. */
const SLICE_BYTES = 65_536

/** The client's side of a relay. */
export class ClientSink {
  readonly #res: ServerResponse
  readonly #watch: ClientWatch
  readonly #gone = new AbortController()
  #wrote = false

  constructor(res: ServerResponse, watch: ClientWatch) {
    this.#res = res
    this.#watch = watch
    if (res.destroyed || res.closed) this.#gone.abort()
    // `close` is also emitted after a normal end.
    else res.once('close', () => !res.writableFinished && this.#gone.abort())
  }

  /** Aborted when the client left before it had received everything. */
  get gone(): AbortSignal {
    return this.#gone.signal
  }

  /**
   * Writes and waits until there is room for more or the client has left; after that nothing is written. A client
   * that stops reading is cut off: waiting for it would hold the seller's connection and the request's record
   * forever.
   */
  async write(bytes: Uint8Array): Promise<void> {
    if (bytes.length > 0 && !this.#gone.signal.aborted && !this.#wrote) this.#watch.onFirstByte()
    this.#wrote ||= bytes.length > 0
    await this.#send(bytes)
  }

  /**
   * Writes a comment that only keeps the connection open. It is not part of the answer: a client that received
   * nothing else did not get what was paid for, and its next request must not pay again.
   */
  async keepOpen(comment: Uint8Array): Promise<void> {
    await this.#send(comment)
  }

  async #send(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#gone.signal.aborted; at += SLICE_BYTES) {
      if (!this.#res.write(bytes.subarray(at, at + SLICE_BYTES))) await this.#room()
    }
  }

  /** Ends the answer normally; what is still being sent has the same time limit as any other part. */
  end(): void {
    const res = this.#res
    if (this.#gone.signal.aborted || res.writableFinished) return
    const cancel = this.#cutLater()
    // `finish` is emitted when the last byte was handed to the system.
    res.once('finish', cancel)
    res.once('close', cancel)
    res.end()
  }

  #room(): Promise<void> {
    if (this.#gone.signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const proceed = (): void => {
        cancel()
        this.#res.off('drain', proceed)
        this.#res.off('close', proceed)
        resolve()
      }
      const cancel = this.#cutLater()
      this.#res.on('drain', proceed)
      this.#res.on('close', proceed)
    })
  }

  #cutLater(): () => void {
    const { timers, idleMs, onStall } = this.#watch
    return timers.after(idleMs, () => void onStall().finally(() => this.cut()))
  }

  /** Cuts the connection, so that the client can tell that the answer is incomplete. */
  cut(): void {
    this.#res.destroy()
  }
}
