/**
 * Reads one JSON text (RFC 8259) in chunks of any size as they arrive, and reports whether it is complete. Nothing is built: a text of
 * many megabytes costs the depth of its nesting.
 */
import {
  BACKSLASH,
  CLOSE_BRACE,
  CLOSE_BRACKET,
  COLON,
  COMMA,
  isBlank,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
} from './json-bytes.ts'

/** Arrays and objects inside one another that every client reads: Python's parser gives up at about a thousand. */
export const READABLE_DEPTH = 512

/** What may come next. A number's parts are states of their own, because a number ends with what follows it. */
type State =
  | 'value'
  | 'value or ]'
  | 'key'
  | 'key or }'
  | 'colon'
  | 'behind a value'
  | 'string'
  | 'escape'
  | 'hex'
  | 'literal'
  | 'minus'
  | 'zero'
  | 'digits'
  | 'point'
  | 'fraction'
  | 'exponent'
  | 'exponent sign'
  | 'exponent digits'
  | 'broken'

/** States in which a number may end. */
const NUMBER_ENDS: ReadonlySet<State> = new Set<State>(['zero', 'digits', 'fraction', 'exponent digits'])

const ESCAPES: ReadonlySet<number> = new Set(Buffer.from('"\\/bfnrt'))
const LITERALS = ['true', 'false', 'null'].map((word) => Buffer.from(word))
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf]
const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30
const LOWER_E = 0x65
const LOWER_U = 0x75

/** The state of a number after one more byte; `undefined` when the number ended before it. */
const IN_NUMBER: Readonly<Partial<Record<State, (byte: number) => State | undefined>>> = {
  minus: (byte) => (byte === ZERO ? 'zero' : isDigit(byte) ? 'digits' : 'broken'),
  zero: behindInteger,
  digits: (byte) => (isDigit(byte) ? 'digits' : behindInteger(byte)),
  point: (byte) => (isDigit(byte) ? 'fraction' : 'broken'),
  fraction: (byte) => (isDigit(byte) ? 'fraction' : isE(byte) ? 'exponent' : undefined),
  exponent: (byte) => (byte === PLUS || byte === MINUS ? 'exponent sign' : exponentDigit(byte)),
  'exponent sign': exponentDigit,
  'exponent digits': (byte) => (isDigit(byte) ? 'exponent digits' : undefined),
}

/** One JSON text that is arriving. A leading UTF-8 byte order mark is skipped, as clients do. */
export class JsonText {
  readonly #maxDepth: number
  readonly #open: number[] = []
  #state: State = 'value'
  #isKey = false
  #hexDigits = 0
  #literal: Uint8Array = new Uint8Array()
  #literalAt = 0
  #values = 0
  /** Bytes seen of a byte order mark; 3 when there can be none any more. */
  #marks = 0

  constructor(maxDepth: number = READABLE_DEPTH) {
    this.#maxDepth = maxDepth
  }

  /** Whether the chunks so far are exactly one complete JSON text. */
  get isWhole(): boolean {
    return this.#open.length === 0 && (this.#state === 'behind a value' || NUMBER_ENDS.has(this.#state))
  }

  /** How many values have begun: what parsing it would cost. */
  get values(): number {
    return this.#values
  }

  /** @returns whether it can still become one */
  push(chunk: Uint8Array): boolean {
    for (let at = this.#skipMark(chunk); at < chunk.length && this.#state !== 'broken'; at++) {
      if (this.#state === 'string') at = this.#string(chunk, at)
      else this.#byte(chunk[at] ?? 0)
    }
    return this.#state !== 'broken'
  }

  #skipMark(chunk: Uint8Array): number {
    let at = 0
    while (this.#marks < 3 && at < chunk.length) {
      if (chunk[at] !== BYTE_ORDER_MARK[this.#marks]) {
        if (this.#marks > 0) this.#state = 'broken'
        this.#marks = 3
        return at
      }
      this.#marks += 1
      at++
    }
    return at
  }

  /** @returns the offset of the last byte that was read */
  #string(chunk: Uint8Array, from: number): number {
    for (let at = from; at < chunk.length; at++) {
      const byte = chunk[at] ?? 0
      if (byte !== QUOTE && byte !== BACKSLASH && byte >= 0x20) continue
      if (byte === QUOTE) this.#state = this.#isKey ? 'colon' : 'behind a value'
      else this.#state = byte === BACKSLASH ? 'escape' : 'broken'
      return at
    }
    return chunk.length - 1
  }

  #byte(byte: number): void {
    if (this.#state === 'escape') {
      this.#hexDigits = 0
      this.#state = byte === LOWER_U ? 'hex' : ESCAPES.has(byte) ? 'string' : 'broken'
      return
    }
    if (this.#state === 'hex') {
      this.#hexDigits += 1
      if (!isHexDigit(byte)) this.#state = 'broken'
      else if (this.#hexDigits === 4) this.#state = 'string'
      return
    }
    if (this.#state === 'literal') {
      if (byte !== this.#literal[this.#literalAt]) this.#state = 'broken'
      else if (++this.#literalAt === this.#literal.length) this.#state = 'behind a value'
      return
    }
    const next = IN_NUMBER[this.#state]?.(byte)
    if (next !== undefined) {
      this.#state = next
      return
    }
    // A number has ended with this byte, which is read like any other behind a value.
    if (NUMBER_ENDS.has(this.#state)) this.#state = 'behind a value'
    if (!isBlank(byte)) this.#structure(byte)
  }

  #structure(byte: number): void {
    const state = this.#state
    if (state === 'value or ]' && byte === CLOSE_BRACKET) this.#close(byte)
    else if (state === 'key or }' && byte === CLOSE_BRACE) this.#close(byte)
    else if (state === 'value' || state === 'value or ]') this.#value(byte)
    else if (state === 'key' || state === 'key or }') this.#key(byte)
    else if (state === 'colon') this.#state = byte === COLON ? 'value' : 'broken'
    else this.#behind(byte)
  }

  #value(byte: number): void {
    this.#values += 1
    if (byte === QUOTE) {
      this.#isKey = false
      this.#state = 'string'
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#open.push(byte)
      const state = byte === OPEN_BRACE ? 'key or }' : 'value or ]'
      this.#state = this.#open.length > this.#maxDepth ? 'broken' : state
    } else if (byte === MINUS) this.#state = 'minus'
    else if (byte === ZERO) this.#state = 'zero'
    else if (isDigit(byte)) this.#state = 'digits'
    else {
      const literal = LITERALS.find((word) => word[0] === byte)
      this.#literal = literal ?? this.#literal
      this.#literalAt = 1
      this.#state = literal ? 'literal' : 'broken'
    }
  }

  #key(byte: number): void {
    this.#isKey = true
    this.#state = byte === QUOTE ? 'string' : 'broken'
  }

  #behind(byte: number): void {
    const container = this.#open.at(-1)
    if (container === undefined) this.#state = 'broken'
    else if (byte === COMMA) this.#state = container === OPEN_BRACE ? 'key' : 'value'
    else this.#close(byte)
  }

  /** The closing bracket of either kind is two above the opening one in ASCII. */
  #close(byte: number): void {
    this.#state = this.#open.pop() === byte - 2 ? 'behind a value' : 'broken'
  }
}

function behindInteger(byte: number): State | undefined {
  if (byte === POINT) return 'point'
  return isE(byte) ? 'exponent' : undefined
}

function exponentDigit(byte: number): State {
  return isDigit(byte) ? 'exponent digits' : 'broken'
}

function isE(byte: number): boolean {
  return (byte | 0x20) === LOWER_E
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39
}

function isHexDigit(byte: number): boolean {
  const lower = byte | 0x20
  return isDigit(byte) || (lower >= 0x61 && lower <= 0x66)
}
