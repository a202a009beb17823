/** Finds the receipt in an answer as it passes: in its JSON, or in an event of its stream. */
import { OPEN_BRACE } from '../json/json-bytes.ts'
import { receiptInAnswer, type Receipt } from './receipt.ts'
import { readBodyJson } from './wire-json.ts'

/** The largest JSON answer that is read for a receipt. */
const MAX_JSON_BYTES = 1_048_576
/** The longest event that is read for one: receipts have a few hundred bytes. */
const MAX_LINE_BYTES = 65_536
const NEWLINE = 0x0a
const DATA = Buffer.from('data:')
/** What JSON with a receipt holds: the member itself, or base64 of `{"`. */
const MARKS = [Buffer.from('"success"'), Buffer.from('eyJ')]

/** Reads one answer. Holds at most 1 MiB of JSON, or 64 KiB of an event. */
export class ReceiptTap {
  /** `undefined` until the first byte that is not blank. */
  #isJson: boolean | undefined
  #held: Uint8Array[] = []
  #size = 0
  #isTooLong = false

  /** @returns the receipt, once an event held it */
  push(chunk: Uint8Array): Receipt | undefined {
    this.#isJson ??= beginsJson(chunk)
    if (this.#isJson === undefined) return undefined
    if (this.#isJson) {
      this.#hold(chunk, MAX_JSON_BYTES)
      return undefined
    }
    let at = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, at)) {
      const found = this.#line(chunk.subarray(at, end))
      if (found) return found
      at = end + 1
    }
    this.#hold(chunk.subarray(at), MAX_LINE_BYTES)
    return undefined
  }

  /** The answer is complete. @returns the receipt in its JSON */
  end(): Receipt | undefined {
    return this.#isJson === true ? read(this.#take()) : this.#line(new Uint8Array())
  }

  #line(rest: Uint8Array): Receipt | undefined {
    this.#hold(rest, MAX_LINE_BYTES)
    const line = this.#take()
    return line.subarray(0, DATA.length).equals(DATA) ? read(line.subarray(DATA.length)) : undefined
  }

  #hold(bytes: Uint8Array, limit: number): void {
    this.#size += bytes.length
    this.#isTooLong ||= this.#size > limit
    if (this.#isTooLong) this.#held = []
    else if (bytes.length > 0) this.#held.push(bytes)
  }

  #take(): Buffer {
    const bytes = Buffer.concat(this.#held)
    this.#held = []
    this.#size = 0
    this.#isTooLong = false
    return bytes
  }
}

function beginsJson(chunk: Uint8Array): boolean | undefined {
  const first = chunk.find((byte) => byte > 0x20 && byte !== 0xef && byte !== 0xbb && byte !== 0xbf)
  return first === undefined ? undefined : first === OPEN_BRACE
}

function read(bytes: Buffer): Receipt | undefined {
  return MARKS.some((mark) => bytes.includes(mark)) ? receiptInAnswer(readBodyJson(bytes)) : undefined
}
