/** Turns the bytes of a seller's event stream into the bytes for the client: the same, but for `usage.cost`. */
import { spliceCostAt } from '../src/core/json-scan.ts'
import { dataStart, SseLines, type SsePiece } from '../src/core/sse-lines.ts'
import type { Usage } from '../src/core/usage.ts'
import { AnswerProgress } from './answer-progress.ts'
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
  /** A JSON number put into every usage object; `undefined` leaves the events as they are. */
  readonly costText: string | undefined
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

  /** The bytes a chunk brings; at most one unfinished line is held back. */
  push(chunk: Uint8Array): Buffer {
    const parts: Buffer[] = []
    for (const piece of this.#lines.push(chunk)) {
      if (this.#sellerError !== undefined) break
      this.#relay(piece, parts)
    }
    return Buffer.concat(parts)
  }

  /**
   * Ends the stream.
   * @param broken the seller's stream did not end by itself
   */
  end(broken: boolean, fallback: TruncationFallback): SseEnd {
    const { shape } = this.#options
    const tail = this.#sellerError === undefined ? this.#lines.flush() : undefined
    if (shape === 'other') {
      const parts: Buffer[] = []
      if (tail && !broken) this.#relay(tail, parts)
      return { bytes: Buffer.concat(parts), truncated: broken, cut: broken }
    }
    const parts: Buffer[] = []
    // A last line without its line end counts when it is whole: the answer may be complete with it.
    const tailIsWhole = tail !== undefined && this.#relay(tail, parts) === 'whole'
    const failed = broken || this.#sellerError !== undefined
    if (this.#progress.complete && !failed)
      return { bytes: Buffer.concat(parts), truncated: false, cut: false }
    if (!tailIsWhole) parts.length = 0
    const open = this.#eventOpen || this.#lines.insideOverlongLine || parts.length > 0
    // Two line ends: the first may merge with a CR sent before.
    const gap = open ? '\n\n' : ''
    if (this.#progress.complete) {
      const text = this.#progress.done ? gap : `${gap}${DONE_EVENT}`
      return { bytes: Buffer.concat([...parts, Buffer.from(text)]), truncated: false, cut: false }
    }
    const last =
      this.#options.onTruncated === 'error' ? errorEnd() : truncatedEnd(shape, this.#progress, fallback)
    return { bytes: Buffer.concat([...parts, Buffer.from(`${gap}${last}`)]), truncated: true, cut: false }
  }

  /** @returns `whole` for a data line that was understood */
  #relay(piece: SsePiece, parts: Buffer[]): 'whole' | 'other' {
    if (piece.kind === 'raw') {
      parts.push(piece.bytes, piece.end)
      // The LF after a CR is part of a line end seen before; anything else is part of a line.
      if (piece.bytes.length > 1 || piece.bytes[0] !== 0x0a) this.#eventOpen = true
      return 'other'
    }
    const { bytes, end } = piece
    const start = dataStart(bytes, this.#isFirstLine)
    this.#isFirstLine = false
    if (start === undefined) {
      if (piece.kind === 'line') this.#eventOpen = bytes.length > 0
      parts.push(bytes, end)
      return 'other'
    }
    const value = bytes.subarray(start)
    const read = this.#progress.read(value)
    if (typeof read === 'object' && this.#options.shape !== 'other') {
      this.#sellerError = read.error
      return 'other'
    }
    if (piece.kind === 'line') this.#eventOpen = true
    const spliced = read === 'partial' ? undefined : this.#spliced(value)
    if (spliced) parts.push(bytes.subarray(0, start), spliced, end)
    else parts.push(bytes, end)
    return read === 'partial' ? 'other' : 'whole'
  }

  /** Chat and text chunks and Anthropic's `message_delta` tell usage at the top, Responses in `response.usage`. */
  #spliced(value: Buffer): Buffer | undefined {
    const { costText } = this.#options
    if (costText === undefined) return undefined
    const own = spliceCostAt(value, ['usage'], costText)
    return spliceCostAt(own ?? value, ['response', 'usage'], costText) ?? own
  }
}

/** Reads the usage of a stream that is relayed untouched. */
export function usageTap(): { push(chunk: Uint8Array): void; readonly usage: Usage | undefined } {
  const relay = new SseRelay({ costText: undefined, shape: 'other', onTruncated: 'length' })
  return {
    push: (chunk) => void relay.push(chunk),
    get usage() {
      return relay.usage
    },
  }
}
