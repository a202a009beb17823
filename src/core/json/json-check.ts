/**
 * Checks JSON (RFC 8259) in its raw bytes without building its value: a hostile body of a few tens of megabytes costs
 * `JSON.parse` seconds and a gigabyte of memory, this check a fraction of a second and no memory.
 */
import { BACKSLASH, COLON, COMMA, isBlank, OPEN_BRACE, OPEN_BRACKET, QUOTE } from './json-bytes.ts'

/** The result of {@link checkJsonObject}. */
export type JsonVerdict = 'object' | 'not_json' | 'too_many_members' | 'too_deep'

/** Limits on an object. */
export interface JsonBounds {
  /** Members of the top-level object; duplicate keys count separately. */
  readonly maxMembers: number
  /** Nesting depth of arrays and objects, including the top-level object. */
  readonly maxDepth: number
}

const MINUS = 0x2d
const POINT = 0x2e
const ZERO = 0x30

/** The letters that form an escape with a backslash. */
const PLAIN_ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))

const LITERALS = ['true', 'false', 'null'].map((word) => Buffer.from(word))

/**
 * Whether the bytes are one JSON object within the bounds. Bytes above 0x7f are not checked: the caller must make sure that
 * they are valid UTF-8.
 */
export function checkJsonObject(bytes: Uint8Array, bounds: JsonBounds): JsonVerdict {
  const { maxMembers, maxDepth } = bounds
  const open: number[] = []
  let members = 0
  let at = skipBlank(bytes, 0)
  if (bytes[at] !== OPEN_BRACE) return 'not_json'
  for (;;) {
    // A value begins here.
    const first = bytes[at]
    let isOpened = false
    if (first === OPEN_BRACE || first === OPEN_BRACKET) {
      if (open.length >= maxDepth) return 'too_deep'
      open.push(first)
      at = skipBlank(bytes, at + 1)
      isOpened = true
    } else {
      at = skipScalar(bytes, at)
      if (at < 0) return 'not_json'
      at = skipBlank(bytes, at)
    }
    // After a value, or inside a container that has just been opened.
    for (;;) {
      const container = open.at(-1)
      if (container === undefined) return at === bytes.length ? 'object' : 'not_json'
      // The closing bracket of either kind is two above the opening one in ASCII.
      if (bytes[at] === container + 2) {
        open.pop()
        isOpened = false
        at = skipBlank(bytes, at + 1)
        continue
      }
      if (!isOpened) {
        if (bytes[at] !== COMMA) return 'not_json'
        at = skipBlank(bytes, at + 1)
      }
      if (container === OPEN_BRACE) {
        if (open.length === 1 && ++members > maxMembers) return 'too_many_members'
        at = skipKey(bytes, at)
        if (at < 0) return 'not_json'
      }
      break
    }
  }
}

/** @returns the offset of the value after `"key" :`, or -1 */
function skipKey(bytes: Uint8Array, from: number): number {
  if (bytes[from] !== QUOTE) return -1
  const end = skipString(bytes, from)
  if (end < 0) return -1
  const colon = skipBlank(bytes, end)
  return bytes[colon] === COLON ? skipBlank(bytes, colon + 1) : -1
}

/** @returns the offset after the value, or -1 */
function skipScalar(bytes: Uint8Array, from: number): number {
  const first = bytes[from]
  if (first === QUOTE) return skipString(bytes, from)
  if (first === MINUS || isDigit(first)) return skipNumber(bytes, from)
  const literal = LITERALS.find((word) => word[0] === first)
  if (!literal) return -1
  return literal.every((byte, index) => bytes[from + index] === byte) ? from + literal.length : -1
}

function skipNumber(bytes: Uint8Array, from: number): number {
  let at = bytes[from] === MINUS ? from + 1 : from
  if (bytes[at] === ZERO) at++
  else at = skipDigits(bytes, at)
  if (at >= 0 && bytes[at] === POINT) at = skipDigits(bytes, at + 1)
  // `e` or `E`
  if (at >= 0 && ((bytes[at] ?? 0) | 0x20) === 0x65) {
    const sign = bytes[at + 1]
    at = skipDigits(bytes, sign === MINUS || sign === 0x2b ? at + 2 : at + 1)
  }
  return at
}

/** @returns the offset after one or more digits, or -1 */
function skipDigits(bytes: Uint8Array, from: number): number {
  let at = from
  while (isDigit(bytes[at])) at++
  return at === from ? -1 : at
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= 0x39
}

/** @returns the offset after the closing quote, or -1 */
function skipString(bytes: Uint8Array, from: number): number {
  for (let at = from + 1; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte === QUOTE) return at + 1
    if (byte < 0x20) return -1
    if (byte === BACKSLASH) {
      at = skipEscape(bytes, at + 1)
      if (at < 0) return -1
    }
  }
  return -1
}

/** @returns the offset of the last byte of the escape whose letter is at `from`, or -1 */
function skipEscape(bytes: Uint8Array, from: number): number {
  const letter = bytes[from] ?? 0
  if (PLAIN_ESCAPES.has(letter)) return from
  if (letter !== 0x75) return -1 // u
  for (let at = from + 1; at <= from + 4; at++) if (!isHexDigit(bytes[at])) return -1
  return from + 4
}

function isHexDigit(byte: number | undefined): boolean {
  const lower = (byte ?? 0) | 0x20
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}

function skipBlank(bytes: Uint8Array, from: number): number {
  let at = from
  while (isBlank(bytes[at])) at++
  return at
}
