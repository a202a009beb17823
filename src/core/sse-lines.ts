/** Splits a byte stream into lines as server-sent events define them (WHATWG HTML, section 9.2.6). */

/** A piece of the stream. Bytes and ends of all pieces, joined, are the stream. */
export interface SsePiece {
  /**
   * `line`: a whole line. `tail`: the unfinished last line of the stream. `raw`: bytes that are not looked at: a
   * part of a line over the limit, or the LF of a CRLF whose CR came before.
   */
  readonly kind: 'line' | 'tail' | 'raw'
  readonly bytes: Buffer
  /** CR, LF or CRLF; empty where the line is not finished. */
  readonly end: Buffer
}

const LF = 0x0a
const CR = 0x0d
const NOTHING = Buffer.alloc(0)

/** Holds back at most one unfinished line of at most `maxLineBytes`; a longer one is passed on as it comes. */
export class SseLines {
  readonly #maxLineBytes: number
  #held: Buffer[] = []
  #heldBytes = 0
  /** Inside a line over the limit, whose start is gone already. */
  #overlong = false
  /** The last byte was a CR: an LF right after it belongs to the same line end. */
  #afterCr = false

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  /** Whether a line over the limit has been passed on in part and has not ended yet. */
  get insideOverlongLine(): boolean {
    return this.#overlong
  }

  /** The pieces that a chunk completes. */
  push(chunk: Uint8Array): SsePiece[] {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    const pieces: SsePiece[] = []
    let at = 0
    if (this.#afterCr && text.length > 0) {
      this.#afterCr = false
      if (text[0] === LF) {
        pieces.push({ kind: 'raw', bytes: text.subarray(0, 1), end: NOTHING })
        at = 1
      }
    }
    while (at < text.length) {
      const end = lineEnd(text, at)
      if (end < 0) {
        this.#hold(text.subarray(at), pieces)
        break
      }
      const crlf = text[end] === CR && text[end + 1] === LF
      const next = end + (crlf ? 2 : 1)
      this.#hold(text.subarray(at, end), pieces)
      this.#afterCr = text[end] === CR && next === text.length && !crlf
      pieces.push(this.#take(text.subarray(end, next)))
      at = next
    }
    return pieces
  }

  /** What is left when the stream ends. */
  flush(): SsePiece | undefined {
    if (this.#heldBytes === 0) return undefined
    return { ...this.#take(NOTHING), kind: 'tail' }
  }

  #hold(part: Buffer, pieces: SsePiece[]): void {
    if (part.length === 0) return
    if (!this.#overlong && this.#heldBytes + part.length <= this.#maxLineBytes) {
      this.#held.push(part)
      this.#heldBytes += part.length
      return
    }
    this.#overlong = true
    const bytes = Buffer.concat([...this.#held, part])
    this.#held = []
    this.#heldBytes = 0
    pieces.push({ kind: 'raw', bytes, end: NOTHING })
  }

  #take(end: Buffer): SsePiece {
    const [first] = this.#held
    const bytes = first && this.#held.length === 1 ? first : Buffer.concat(this.#held)
    const kind = this.#overlong ? 'raw' : 'line'
    this.#held = []
    this.#heldBytes = 0
    this.#overlong = false
    return { kind, bytes, end }
  }
}

function lineEnd(text: Buffer, from: number): number {
  const lf = text.indexOf(LF, from)
  const cr = text.subarray(from, lf < 0 ? text.length : lf).indexOf(CR)
  return cr < 0 ? lf : from + cr
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const DATA = Buffer.from('data:')

/**
 * Where the value of a `data:` line starts, a byte order mark and the one blank after the colon skipped.
 * @returns `undefined` for any other line
 */
export function dataStart(line: Buffer, isFirstLine: boolean): number | undefined {
  const from = isFirstLine && line.subarray(0, BOM.length).equals(BOM) ? BOM.length : 0
  if (!line.subarray(from, from + DATA.length).equals(DATA)) return undefined
  const start = from + DATA.length
  return line[start] === 0x20 ? start + 1 : start
}
