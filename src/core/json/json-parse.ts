/**
 * Parses a JSON text (RFC 8259) in steps: `JSON.parse` of tens of megabytes would hold up the only thread for as long as it takes. Gives
 * what `JSON.parse` would give of the text decoded as UTF-8.
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
import { STEP_BYTES } from './json-scan.ts'
import { READABLE_DEPTH } from './json-text.ts'

/** Most values that are built in a step: 64 kB may hold 20,000 objects. */
const STEP_VALUES = 4_096

/**
 * The value of a text, read 64 kB or {@link STEP_VALUES} values in a step.
 * @param maxValues most values that are built: each costs far more memory than its bytes
 * @returns `undefined` for a text that is no JSON, {@link TOO_MUCH} for one that is nested deeper than {@link READABLE_DEPTH} or has
 * more values
 */
export function* parseInSteps(bytes: Uint8Array, maxValues: number): Generator<void, unknown, undefined> {
  const reader = new Reader(bytes, maxValues)
  try {
    while (reader.read()) yield
    return reader.value
  } catch (error) {
    if (error instanceof RangeError) return TOO_MUCH
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** Stands for the value of a text of which more would have to be built than may be. */
export const TOO_MUCH = Symbol('too much')

/** What may come next. */
type Next = 'value' | 'value or ]' | 'key' | 'key or }' | 'colon' | 'behind a value'

/** A list or object that is being read. */
interface Level {
  readonly items: unknown[] | undefined
  /** Grows as it is read: made of its members at its end, an object of thousands would take a step of its own. */
  readonly members: Record<string, unknown>
  name: string
}

class Reader {
  readonly #bytes: Buffer
  #valuesLeft: number
  /** In this step. */
  #built = 0
  #at = 0
  #next: Next = 'value'
  readonly #open: Level[] = []
  /** The pieces of the text that is being read. */
  #pieces: string[] | undefined
  #value: unknown

  constructor(bytes: Uint8Array, maxValues: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#valuesLeft = maxValues
  }

  /** @throws SyntaxError where the text ended too early */
  get value(): unknown {
    if (this.#open.length > 0 || this.#pieces || this.#next !== 'behind a value') throw new SyntaxError()
    return this.#value
  }

  /** Reads a step. @returns whether there is more. @throws SyntaxError, or RangeError for too much */
  read(): boolean {
    const limit = Math.min(this.#at + STEP_BYTES, this.#bytes.length)
    this.#built = 0
    while (this.#at < limit && this.#built < STEP_VALUES) {
      if (this.#pieces) this.#text(this.#pieces, limit)
      else if (isBlank(this.#bytes[this.#at])) this.#at += 1
      else this.#token(this.#bytes[this.#at] ?? 0)
    }
    return this.#at < this.#bytes.length
  }

  #token(byte: number): void {
    const next = this.#next
    if (next === 'value' || (next === 'value or ]' && byte !== CLOSE_BRACKET)) return this.#begin(byte)
    this.#at += 1
    if ((next === 'key' || next === 'key or }') && byte === QUOTE) this.#pieces = []
    else if (next === 'colon' && byte === COLON) this.#next = 'value'
    else if (next === 'behind a value' && byte === COMMA && this.#open.length > 0) {
      this.#next = this.#open.at(-1)?.items ? 'value' : 'key'
    } else this.#close(byte)
  }

  #begin(byte: number): void {
    if (--this.#valuesLeft < 0) throw new RangeError()
    this.#built += 1
    if (byte !== QUOTE && byte !== OPEN_BRACE && byte !== OPEN_BRACKET) return this.#primitive()
    this.#at += 1
    if (byte === QUOTE) {
      this.#pieces = []
      return
    }
    if (this.#open.length >= READABLE_DEPTH) throw new RangeError()
    const isList = byte === OPEN_BRACKET
    this.#open.push({ items: isList ? [] : undefined, members: {}, name: '' })
    this.#next = isList ? 'value or ]' : 'key or }'
  }

  /** A number or a literal: nothing but what ends it tells where. */
  #primitive(): void {
    const from = this.#at
    let at = from
    while (at < this.#bytes.length && !endsPrimitive(this.#bytes[at])) at += 1
    if (at - from > STEP_BYTES) throw new SyntaxError()
    this.#at = at
    this.#put(JSON.parse(this.#bytes.toString('latin1', from, at)) as unknown)
  }

  /** Reads a text on to its end, or a piece of it that ends behind a whole character. */
  #text(pieces: string[], limit: number): void {
    const bytes = this.#bytes
    const from = this.#at
    let at = from
    let isEscaped = false
    while (at < limit && bytes[at] !== QUOTE) {
      const byte = bytes[at] ?? 0
      if (byte < 0x20) throw new SyntaxError()
      isEscaped ||= byte === BACKSLASH
      at += byte !== BACKSLASH ? 1 : bytes[at + 1] === LOWER_U ? UNICODE_ESCAPE_BYTES : 2
    }
    const isEnd = at < limit
    if (!isEnd) while (isInsideCharacter(bytes[at])) at += 1
    const piece = bytes.toString('utf8', from, at)
    pieces.push(isEscaped ? String(JSON.parse(`"${piece}"`)) : piece)
    this.#at = at
    if (!isEnd) return
    this.#at += 1
    this.#pieces = undefined
    this.#textDone(pieces.join(''))
  }

  #textDone(text: string): void {
    const level = this.#open.at(-1)
    if (this.#next !== 'key' && this.#next !== 'key or }') return this.#put(text)
    if (level) level.name = text
    this.#next = 'colon'
  }

  #put(value: unknown): void {
    const level = this.#open.at(-1)
    if (!level) this.#value = value
    else if (level.items) level.items.push(value)
    else setMember(level.members, level.name, value)
    this.#next = 'behind a value'
  }

  #close(byte: number): void {
    const level = this.#open.at(-1)
    const mayClose =
      this.#next === 'behind a value' || this.#next === 'value or ]' || this.#next === 'key or }'
    if (!level || !mayClose || byte !== (level.items ? CLOSE_BRACKET : CLOSE_BRACE)) throw new SyntaxError()
    this.#open.pop()
    this.#put(level.items ?? level.members)
  }
}

/** As `JSON.parse` does: a member of any name is the object's own. */
function setMember(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') object[name] = value
  else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
}

const LOWER_U = 0x75
/** `\u` and four digits. */
const UNICODE_ESCAPE_BYTES = 6

/** Bytes of a UTF-8 character behind its first. */
function isInsideCharacter(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

function endsPrimitive(byte: number | undefined): boolean {
  return byte === COMMA || byte === CLOSE_BRACKET || byte === CLOSE_BRACE || isBlank(byte)
}
