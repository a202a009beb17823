/** Spreads the events of a burst over time, so that an answer sent all at once still reads as if it were typed. */
import type { Timers } from '../../src/core/timers.ts'

/** Writes events one after another, up to a number per second. Holds no more than the bytes it was given. */
export class Pacer {
  readonly #gapMs: number
  readonly #timers: Timers
  readonly #leaving: AbortSignal
  #isFirst = true

  /** @param leaving aborted when the client no longer waits: the remaining events are sent at once */
  constructor(eventsPerSecond: number, timers: Timers, leaving: AbortSignal) {
    this.#gapMs = 1000 / eventsPerSecond
    this.#timers = timers
    this.#leaving = leaving
  }

  /** Writes each complete event after its pause; a partial event at the end is written with the last one. */
  async write(bytes: Buffer, write: (part: Buffer) => Promise<void>): Promise<void> {
    for (const part of eventsIn(bytes)) {
      if (this.#leaving.aborted) return
      if (!this.#isFirst) await this.#pause()
      this.#isFirst = false
      await write(part)
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const proceed = (): void => {
        cancel()
        this.#leaving.removeEventListener('abort', proceed)
        resolve()
      }
      const cancel = this.#timers.after(this.#gapMs, proceed)
      this.#leaving.addEventListener('abort', proceed)
    })
  }
}

const LF = 0x0a
const CR = 0x0d

/** Cuts after each blank line. */
function* eventsIn(bytes: Buffer): Generator<Buffer> {
  let from = 0
  let isBlank = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (byte !== LF && byte !== CR) {
      isBlank = false
      continue
    }
    if (byte === CR && bytes[at + 1] === LF) at += 1
    if (isBlank) {
      yield bytes.subarray(from, at + 1)
      from = at + 1
    }
    isBlank = !isBlank
  }
  if (from < bytes.length) yield bytes.subarray(from)
}
