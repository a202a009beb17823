/** Turns the bytes of a seller's event stream into the bytes for the client: the same, but for `usage.cost`. */
import { ByteSink } from '../src/core/byte-sink.ts'
import type { CostSplicer } from '../src/core/cost-splicer.ts'
import { dataStart, SseLines, type SsePiece } from '../src/core/sse-lines.ts'
import type { Usage } from '../src/core/usage.ts'
import { AnswerProgress } from './answer-progress.ts'
import { ownErrorEvent } from './own-error-event.ts'
import {
  DONE_EVENT,
  errorEnd,
  truncatedEnd,
  type StreamShape,
  type TruncationFallback,
} from './truncation.ts'

/** Longest line that is read; a longer one is passed on as it comes, unread. */
export const MAX_LINE_BYTES = 1_048_576

export interface SseRelayOptions {
  /** Paid streams: sets the cost in the usage objects of one event; `undefined` leaves all events as they are. */
  readonly splicer: (() => CostSplicer) | undefined
  readonly shape: StreamShape
  readonly onTruncated: 'length' | 'error'
  /** Default {@link MAX_LINE_BYTES}. */
  readonly maxLineBytes?: number | undefined
}

/** How a stream ended for the client. */
export interface SseEnd {
  /** The last bytes to send. */
  readonly bytes: Buffer
  readonly truncated: boolean
  /** The stream cannot be ended well: the connection is to be cut. */
  readonly cut: boolean
}

/** One stream. Its output does not depend on how the input was cut into chunks. */
export class SseRelay {
  readonly #options: SseRelayOptions
  readonly #lines: SseLines
  readonly #progress = new AnswerProgress()
  #isFirstLine = true
  /** A line has been sent whose event no blank line has ended yet. */
  #eventOpen = false
  #sellerError: string | undefined
  #sellerWords: string | undefined
  /** Goes through the data lines of one event that are not JSON each by itself. */
  #eventSplicer: CostSplicer | undefined
  /** The line over the limit that is passing; its splicer when it is a data line. */
  #longLine: { readonly splicer: CostSplicer | undefined } | undefined

  constructor(options: SseRelayOptions) {
    this.#options = options
    this.#lines = new SseLines(options.maxLineBytes ?? MAX_LINE_BYTES)
  }

  get usage(): Usage | undefined {
    return this.#progress.usage
  }

  /** The seller's words, when it ended the stream with an error event: no more of it is relayed. */
  get sellerError(): string | undefined {
    return this.#sellerError
  }

  /** The seller's words in an error event whose words were exchanged for ours; the stream goes on after it. */
  get sellerWords(): string | undefined {
    return this.#sellerWords
  }

  /** The bytes a chunk brings; at most one unfinished line is held back. */
  push(chunk: Uint8Array): Buffer {
    const out = new ByteSink(chunk.length + ROOM_FOR_COSTS)
    for (const piece of this.#lines.push(chunk)) {
      if (this.#sellerError !== undefined) break
      this.#relay(piece, out)
    }
    return out.take()
  }

  /**
   * Ends the stream.
   * @param broken the seller's stream did not end by itself
   */
  end(broken: boolean, fallback: TruncationFallback): SseEnd {
    const { shape } = this.#options
    const out = new ByteSink(0)
    const tail = this.#sellerError === undefined ? this.#lines.flush() : undefined
    if (shape === 'other') {
      if (tail && !broken) this.#relay(tail, out)
      const truncated = broken || this.#sellerWords !== undefined
      return { bytes: out.take(), truncated, cut: broken }
    }
    // A last line without its line end counts when it is whole: the answer may be complete with it.
    const tailIsWhole = tail !== undefined && this.#relay(tail, out) === 'whole'
    const failed = broken || this.#sellerError !== undefined
    if (this.#progress.complete && !failed) return { bytes: out.take(), truncated: false, cut: false }
    if (!tailIsWhole) out.clear()
    const open = this.#eventOpen || this.#lines.insideOverlongLine || out.length > 0
    // Two line ends: the first may merge with a CR sent before.
    const gap = open ? '\n\n' : ''
    if (this.#progress.complete) {
      out.add(Buffer.from(this.#progress.done ? gap : `${gap}${DONE_EVENT}`))
      return { bytes: out.take(), truncated: false, cut: false }
    }
    const last =
      this.#options.onTruncated === 'error' ? errorEnd() : truncatedEnd(shape, this.#progress, fallback)
    out.add(Buffer.from(`${gap}${last}`))
    return { bytes: out.take(), truncated: true, cut: false }
  }

  /** @returns `whole` for a data line that was understood */
  #relay(piece: SsePiece, out: ByteSink): 'whole' | 'other' {
    if (piece.kind === 'raw') {
      // The LF after a CR is part of a line end seen before; anything else is part of a line.
      if (piece.bytes.length === 1 && piece.bytes[0] === LF) out.add(piece.bytes)
      else this.#relayLong(piece, out)
      return 'other'
    }
    const { bytes, end } = piece
    if (bytes.length === 0) {
      this.#isFirstLine = false
      this.#eventOpen = false
      this.#eventSplicer = undefined
      out.add(end)
      return 'other'
    }
    const start = dataStart(bytes, this.#isFirstLine)
    this.#isFirstLine = false
    if (start === undefined || start === bytes.length) {
      if (piece.kind === 'line') this.#eventOpen = true
      out.add(bytes)
      out.add(end)
      return 'other'
    }
    const value = bytes.subarray(start)
    const read = this.#progress.read(value)
    if (typeof read === 'object' && this.#options.shape !== 'other') {
      this.#sellerError = read.error
      return 'other'
    }
    if (piece.kind === 'line') this.#eventOpen = true
    const splicer = read === 'partial' ? this.#splicerOfEvent() : this.#options.splicer?.()
    const own = splicer && this.#options.shape === 'other' ? ownErrorEvent(value) : undefined
    this.#sellerWords ??= own?.words
    out.add(bytes.subarray(0, start))
    out.add(splicer ? splicer.push(own?.bytes ?? value) : value)
    out.add(end)
    return read === 'partial' ? 'other' : 'whole'
  }

  /** A line that is too long to be read keeps no cost of the seller's either. */
  #relayLong({ bytes, end }: SsePiece, out: ByteSink): void {
    this.#eventOpen = true
    let at = 0
    if (!this.#longLine) {
      const start = dataStart(bytes, this.#isFirstLine)
      this.#isFirstLine = false
      this.#longLine = { splicer: start === undefined ? undefined : this.#splicerOfEvent() }
      at = start ?? 0
    }
    const { splicer } = this.#longLine
    const rest = bytes.subarray(at)
    out.add(bytes.subarray(0, at))
    out.add(splicer ? splicer.push(rest) : rest)
    out.add(end)
    if (end.length > 0) this.#longLine = undefined
  }

  #splicerOfEvent(): CostSplicer | undefined {
    this.#eventSplicer ??= this.#options.splicer?.()
    return this.#eventSplicer
  }
}

const LF = 0x0a

/** A chunk that has its cost set grows by less, so that it is seldom copied. */
const ROOM_FOR_COSTS = 256

/** Reads the usage of a stream that is relayed untouched. */
export function usageTap(): { push(chunk: Uint8Array): void; readonly usage: Usage | undefined } {
  const relay = new SseRelay({ splicer: undefined, shape: 'other', onTruncated: 'length' })
  return {
    push: (chunk) => void relay.push(chunk),
    get usage() {
      return relay.usage
    },
  }
}
