/** Reads the usage at the top of a JSON answer while it streams through (RFC 8259); nothing else of the answer is kept. */
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
} from '../json/json-bytes.ts'
import { USAGE_MEMBERS, usageIn, type Usage } from './usage.ts'

/** The largest `usage` that is read, longer than any real one. */
const MAX_USAGE_BYTES = 16_384

/** The longest name with every letter as `\uXXXX`. */
const MAX_KEY_BYTES = 192

/** One JSON text. Anything but an object is ignored after its first byte, so any bytes may be pushed. */
export class JsonUsage {
  #place: 'before' | 'inside' | 'past' = 'before'
  /** Open brackets; 1 inside the object itself. */
  #depth = 0
  #inString = false
  #escaped = false
  /** Whether a string that starts at the top level is a key. */
  #expectsKey = true
  /** The bytes of the last top-level key. */
  #key: number[] = []
  #inKey = false
  /** The bytes of the member being read that may hold usage, and its name. */
  #value: number[] | undefined
  #name = ''
  readonly #given: Record<string, unknown> = {}
  #usage: Usage | undefined

  /** The counts so far; the last `usage` counts if there are several, as for JSON parsers. */
  get usage(): Usage | undefined {
    return this.#usage
  }

  /** Reads the next bytes of the text, split at any position. */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    for (let at = 0; at < bytes.length && this.#place !== 'past';) {
      const isRead = this.#value !== undefined || this.#inKey
      if (isRead || (!this.#inString && this.#depth <= 1)) {
        this.#byte(bytes[at] ?? 0)
        at += 1
      } else at = this.#inString ? this.#skipString(bytes, at) : this.#skipNested(bytes, at)
    }
  }

  /** @returns where the text goes on after a string that nobody reads, or the end of these bytes */
  #skipString(bytes: Buffer, from: number): number {
    let at = from
    if (this.#escaped) {
      this.#escaped = false
      at += 1
    }
    for (;;) {
      const quote = bytes.indexOf(QUOTE, at)
      const end = quote === -1 ? bytes.length : quote
      // Each byte is looked at once more at most: a search goes on behind the quote that was escaped.
      let slash = end
      while (slash > at && bytes[slash - 1] === BACKSLASH) slash -= 1
      const isEscaped = (end - slash) % 2 === 1
      if (quote === -1) {
        this.#escaped = isEscaped
        return end
      }
      if (!isEscaped) {
        this.#inString = false
        return quote + 1
      }
      at = quote + 1
    }
  }

  /** @returns where the next string inside a member begins or the member ends, or the end of these bytes */
  #skipNested(bytes: Buffer, from: number): number {
    let depth = this.#depth
    let at = from
    for (; at < bytes.length; at++) {
      const byte = bytes[at] ?? 0
      if (byte === QUOTE) {
        this.#inString = true
        at += 1
        break
      }
      if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1
      else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        depth -= 1
        if (depth === 1) {
          at += 1
          break
        }
      }
    }
    this.#depth = depth
    return at
  }

  #byte(byte: number): void {
    if (this.#inString) return this.#stringByte(byte)
    if (isBlank(byte)) return
    if (this.#place === 'before') {
      this.#place = byte === OPEN_BRACE ? 'inside' : 'past'
      this.#depth = 1
      return
    }
    const isTop = this.#depth === 1
    if (isTop && (byte === COMMA || byte === CLOSE_BRACE)) this.#endValue()
    this.#keep(byte)
    if (byte === QUOTE) {
      this.#inString = true
      this.#inKey = isTop && this.#expectsKey
      if (this.#inKey) this.#key = []
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#depth += 1
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#depth -= 1
      if (this.#depth === 0) this.#place = 'past'
    } else if (isTop && byte === COMMA) {
      this.#expectsKey = true
    } else if (isTop && byte === COLON && this.#expectsKey) {
      this.#expectsKey = false
      const name = usageMember(this.#key)
      this.#value = name === undefined ? undefined : []
      this.#name = name ?? ''
    }
  }

  #stringByte(byte: number): void {
    this.#keep(byte)
    const ends = byte === QUOTE && !this.#escaped
    this.#escaped = byte === BACKSLASH && !this.#escaped
    if (ends) {
      this.#inString = false
      this.#inKey = false
    } else if (this.#inKey && this.#key.length <= MAX_KEY_BYTES) {
      this.#key.push(byte)
    }
  }

  #keep(byte: number): void {
    if (this.#value && this.#value.push(byte) > MAX_USAGE_BYTES) this.#value = undefined
  }

  #endValue(): void {
    if (!this.#value) return
    this.#given[this.#name] = parse(Buffer.from(this.#value).toString('utf8'))
    this.#value = undefined
    this.#usage = usageIn(this.#given) ?? this.#usage
  }
}

function usageMember(key: readonly number[]): string | undefined {
  const name = key.length <= MAX_KEY_BYTES ? parse(`"${Buffer.from(key).toString('utf8')}"`) : undefined
  return typeof name === 'string' && USAGE_MEMBERS.has(name) ? name : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
