/** Splits a byte stream into lines as defined for server-sent events (WHATWG HTML, section 9.2.6). */

/** A piece of the stream. Bytes and ends of all pieces, joined, are the stream. */
export interface SsePiece {
  /**
   * `line`: a whole line. `tail`: the unfinished last line of the stream. `raw`: bytes that are not looked at: a
   * part of a line over the limit, or the LF of a CRLF whose CR came before.
   */
  readonly kind: 'line' | 'tail' | 'raw'
  readonly bytes: Buffer
  /** CR, LF or CRLF; empty if the line is unfinished. */
  readonly end: Buffer
}

const LF = 0x0a
const CR = 0x0d
const NOTHING = Buffer.alloc(0)
// Shared: a separate buffer for each line end would cost more than the rest of the parsing.
const CR_END = Buffer.from('\r')
const LF_END = Buffer.from('\n')
const CRLF_END = Buffer.from('\r\n')

/** Holds back at most one unfinished line of at most `maxLineBytes`; a longer one is passed on as it arrives. */
export class SseLines {
  readonly #maxLineBytes: number
  #held: Buffer[] = []
  #heldBytes = 0
  /** Whether the current line is over the limit and was partly passed on. */
  #overlong = false
  /** Whether the last byte was a CR: an LF right after it belongs to the same line end. */
  #afterCr = false

  constructor(maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
  }

  /** Whether a line over the limit has been passed on in part and has not ended yet. */
  get insideOverlongLine(): boolean {
    return this.#overlong
  }

  /** Whether the last byte was a CR: an LF that comes next belongs to the same line end. */
  get afterCr(): boolean {
    return this.#afterCr
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
    // Each kind of line end is looked for once: a chunk of nothing but one kind must not be searched again per line.
    let lf = find(text, LF, at)
    let cr = find(text, CR, at)
    while (at < text.length) {
      if (lf < at) lf = find(text, LF, at)
      if (cr < at) cr = find(text, CR, at)
      const end = Math.min(lf, cr)
      if (end === text.length) {
        this.#hold(text.subarray(at), pieces)
        break
      }
      const isCr = end === cr
      const isCrLf = isCr && text[end + 1] === LF
      const next = isCrLf ? end + 2 : end + 1
      this.#afterCr = isCr && next === text.length && !isCrLf
      const lineEnd = isCrLf ? CRLF_END : isCr ? CR_END : LF_END
      if (end > at) this.#hold(text.subarray(at, end), pieces)
      pieces.push(this.#take(lineEnd))
      at = next
    }
    return pieces
  }

  /** The rest when the stream ends. */
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
    const kind = this.#overlong ? 'raw' : 'line'
    this.#overlong = false
    if (this.#heldBytes === 0) return { kind, bytes: NOTHING, end }
    const [first] = this.#held
    const bytes = first && this.#held.length === 1 ? first : Buffer.concat(this.#held)
    this.#held = []
    this.#heldBytes = 0
    return { kind, bytes, end }
  }
}

/** @returns the length of the text when the byte is not found */
function find(text: Buffer, byte: number, from: number): number {
  const at = text.indexOf(byte, from)
  return at < 0 ? text.length : at
}

const BOM = Buffer.from([0xef, 0xbb, 0xbf])
const DATA = Buffer.from('data:')

/**
 * Where the value of a `data:` line starts, a byte order mark and the one blank after the colon skipped.
 * @returns `undefined` for any other line
 */
export function dataStart(line: Buffer, isFirstLine: boolean): number | undefined {
  const from = isFirstLine && isAt(line, 0, BOM) ? BOM.length : 0
  if (!isAt(line, from, DATA)) return undefined
  const start = from + DATA.length
  return line[start] === 0x20 ? start + 1 : start
}

/** As `line.subarray(at).startsWith(word)` would be; making a view of each line costs more than looking at it. */
function isAt(line: Buffer, at: number, word: Buffer): boolean {
  for (let index = 0; index < word.length; index++) if (line[at + index] !== word[index]) return false
  return true
}
