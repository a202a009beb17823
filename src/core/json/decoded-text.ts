/** A text as programs read it, with the place of each of its characters: without white space, and with its escapes resolved. */
import { BACKSLASH } from './json-bytes.ts'

/** The characters of a text that count, as bytes, and the offset of each in the text. */
export interface DecodedText {
  readonly bytes: Buffer
  readonly starts: Uint32Array
  /** Behind the last byte of each. */
  readonly ends: Uint32Array
  /** Where an escape begins that the text does not finish; the text's length if there is none. */
  readonly unfinished: number
}

const PERCENT = 0x25
const LOWER_U = 0x75
/** `\n`, `\r` and `\t` stand for white space. */
const BLANK_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('nrt'))
/** A character that no signature has, for those that are not ASCII. */
const OTHER = 0xff

/**
 * Resolves JSON's escapes (however often they were escaped again) and those of URLs, and leaves white space out.
 */
export function decodeText(text: Buffer): DecodedText {
  const bytes = Buffer.alloc(text.length)
  const starts = new Uint32Array(text.length)
  const ends = new Uint32Array(text.length)
  let count = 0
  let at = 0
  let unfinished = text.length
  while (at < text.length) {
    const byte = text[at] ?? 0
    if (byte !== BACKSLASH && byte !== PERCENT) {
      // Nearly every byte: nothing is made for it.
      const end = at + 1
      if (!isSpace(byte)) {
        bytes[count] = byte
        starts[count] = at
        ends[count] = end
        count += 1
      }
      at = end
      continue
    }
    const read = byte === BACKSLASH ? escape(text, at) : percent(text, at)
    if (!read) {
      unfinished = at
      break
    }
    if (!isSpace(read.byte)) {
      bytes[count] = read.byte
      starts[count] = at
      ends[count] = read.end
      count += 1
    }
    at = read.end
  }
  return {
    bytes: bytes.subarray(0, count),
    starts: starts.subarray(0, count),
    ends: ends.subarray(0, count),
    unfinished,
  }
}

interface Read {
  readonly byte: number
  readonly end: number
}

/** @returns `undefined` when more bytes are needed */
function escape(text: Buffer, from: number): Read | undefined {
  let at = from
  while (text[at] === BACKSLASH) at += 1
  const letter = text[at]
  if (letter === undefined) return undefined
  if (BLANK_ESCAPES.has(letter)) return { byte: 0x20, end: at + 1 }
  if (letter !== LOWER_U) return { byte: letter, end: at + 1 }
  const digits = text.toString('latin1', at + 1, at + 5)
  if (!/^[0-9a-f]*$/i.test(digits)) return { byte: letter, end: at + 1 }
  if (digits.length < 4) return undefined
  const code = Number.parseInt(digits, 16)
  return { byte: code < 0x80 ? code : OTHER, end: at + 5 }
}

function percent(text: Buffer, at: number): Read | undefined {
  const digits = text.toString('latin1', at + 1, at + 3)
  if (!/^[0-9a-f]*$/i.test(digits)) return { byte: PERCENT, end: at + 1 }
  return digits.length < 2 ? undefined : { byte: Number.parseInt(digits, 16), end: at + 3 }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)
}
