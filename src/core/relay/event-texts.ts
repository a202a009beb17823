/** The data of the events of a stream, as bytes (WHATWG HTML, section 9.2.6): a text of many megabytes is not decoded to find its end. */
import { dataStart, SseLines } from './sse-lines.ts'

/** Longest line that is put together before it is known to be data. */
const MAX_LINE_BYTES = 65_536

const LF = 0x0a
const LINE_END = Buffer.from('\n')

/** One stream, in chunks cut at any byte. */
export class EventTexts {
  readonly #lines = new SseLines(MAX_LINE_BYTES)
  #isFirstLine = true
  /** The pieces of the data of the current event. */
  #data: Buffer[] = []
  /** Whether the long line that is passing is data. */
  #isLongData: boolean | undefined

  /** The data of the events that a chunk completes, each in pieces. */
  push(chunk: Uint8Array): (readonly Buffer[])[] {
    const done: (readonly Buffer[])[] = []
    for (const { kind, bytes, end } of this.#lines.push(chunk)) {
      if (kind === 'raw') this.#long(bytes, end)
      else if (bytes.length > 0) this.#line(bytes)
      else if (this.#data.length > 0) done.push(this.#data.splice(0))
    }
    return done
  }

  #line(bytes: Buffer): void {
    const start = dataStart(bytes, this.#isFirstLine)
    this.#isFirstLine = false
    if (start !== undefined) this.#data.push(bytes.subarray(start), LINE_END)
  }

  #long(bytes: Buffer, end: Buffer): void {
    // The LF of a line end whose CR came before.
    if (this.#isLongData === undefined && bytes.length === 1 && bytes[0] === LF) return
    const start = this.#isLongData === undefined ? dataStart(bytes, this.#isFirstLine) : 0
    this.#isFirstLine = false
    this.#isLongData ??= start !== undefined
    if (this.#isLongData) this.#data.push(bytes.subarray(start))
    if (end.length === 0) return
    if (this.#isLongData) this.#data.push(LINE_END)
    this.#isLongData = undefined
  }
}
