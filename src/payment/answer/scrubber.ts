/**
 * Finds texts in a body that comes in chunks, however they are escaped or broken by white space. Every byte is read once: a
 * seller that sends a megabyte one byte at a time costs no more than one that sends it whole.
 */
import { decodeText, type DecodedText } from '../../core/json/decoded-text.ts'
import { BACKSLASH } from '../../core/json/json-bytes.ts'

const STAR = 0x2a

/** How long a beginning must be to become stars when what follows it is held back for too long. */
const LONG_BEGINNING = 16
/** Most bytes that are held back: white space in a secret may be of any length. */
const MAX_HELD_BYTES = 65_536

const HEX = /^(?:0x)?[0-9a-f]+$/i

/** What is looked for, made once for all parts of a reply. */
export interface Patterns {
  /** Hex, in lower case. */
  readonly folded: readonly Buffer[]
  /** All others, in the usual alphabet of base64. */
  readonly exact: readonly Buffer[]
  /** Bytes of the shortest of all. */
  readonly shortest: number
}

/** Prepares the texts to look for. */
export function patternsOf(secrets: readonly string[]): Patterns {
  const decoded = secrets.map((secret) => decodeText(Buffer.from(secret, 'latin1')).bytes.toString('latin1'))
  const folded = unique(decoded.filter((secret) => HEX.test(secret)).map((secret) => secret.toLowerCase()))
  const exact = unique(decoded.filter((secret) => !HEX.test(secret)).map(usualAlphabet))
  return { folded, exact, shortest: Math.min(...[...folded, ...exact].map(({ length }) => length)) }
}

/** Whether a text that stands alone holds one of them. */
export function holdsPattern(text: Buffer, patterns: Patterns): boolean {
  const { bytes } = decodeText(text)
  const [folded, exact] = [lowerCase(bytes), usual(bytes)]
  return (
    patterns.folded.some((secret) => folded.includes(secret)) ||
    patterns.exact.some((secret) => exact.includes(secret))
  )
}

/** A body on its way: what may be the beginning of a secret is held back until more comes. */
export class Scrubber {
  readonly #patterns: Patterns
  readonly #decode: typeof decodeText
  /** What is held back, with stars where a secret was found; grows by doubling. */
  #raw = Buffer.alloc(0)
  #from = 0
  #end = 0
  /** The characters of it, with their places in `#raw`. */
  #text = NO_TEXT
  /** Where an escape begins that is not finished; `#end` when there is none. */
  #decodedTo = 0
  /** Where decoding goes on: at the last backslash of a run, which means the same as the run. */
  #resumesAt = 0

  /** @param decode replaced in tests, to count what it reads */
  constructor(patterns: Patterns, decode: typeof decodeText = decodeText) {
    this.#patterns = patterns
    this.#decode = decode
  }

  /** @returns what may pass now: as many bytes in all as came, those of secrets as stars */
  push(chunk: Uint8Array): Buffer {
    this.#append(chunk)
    this.#read()
    const { begins, length } = this.#beginning()
    if (this.#end - begins <= MAX_HELD_BYTES) return this.#pass(begins)
    if (length >= LONG_BEGINNING) this.#raw.fill(STAR, begins, this.#end)
    return this.#pass(this.#end)
  }

  /** What is still held back. */
  flush(): Buffer {
    return this.#pass(this.#end)
  }

  #append(chunk: Uint8Array): void {
    const length = this.#end + chunk.length
    if (length > this.#raw.length) {
      const larger = Buffer.alloc(Math.max(length, this.#raw.length * 2))
      this.#raw.copy(larger, 0, 0, this.#end)
      this.#raw = larger
    }
    this.#raw.set(chunk, this.#end)
    this.#end = length
  }

  /** Decodes what came, and covers every secret that ends in it. */
  #read(): void {
    const base = this.#resumesAt
    const more = this.#decode(this.#raw.subarray(base, this.#end))
    const known = this.#text.count
    this.#text = joined(this.#text, more, base)
    // The character of an escape begins where its run of backslashes does.
    if (more.starts[0] === 0) this.#text.starts[known] = this.#decodedTo
    if (more.unfinished > 0) {
      this.#decodedTo = base + more.unfinished
      this.#resumesAt = this.#decodedTo
    }
    while (this.#raw[this.#resumesAt] === BACKSLASH && this.#isBackslash(this.#resumesAt + 1))
      this.#resumesAt += 1
    const { folded, exact, starts, ends, count } = this.#text
    for (const [secrets, read] of [
      [this.#patterns.folded, folded.subarray(0, count)],
      [this.#patterns.exact, exact.subarray(0, count)],
    ] as const) {
      for (const secret of secrets) {
        const first = Math.max(0, known - secret.length + 1)
        // Those that overlap too: what is covered does not depend on how the body was cut.
        for (let at = read.indexOf(secret, first); at !== -1; at = read.indexOf(secret, at + 1)) {
          this.#raw.fill(STAR, starts[at] ?? 0, ends[at + secret.length - 1] ?? this.#end)
        }
      }
    }
  }

  #isBackslash(at: number): boolean {
    return at < this.#end && this.#raw[at] === BACKSLASH
  }

  /** Where the beginning of a secret stands at the end, or an escape that is not finished, and how much of a secret it is. */
  #beginning(): { readonly begins: number; readonly length: number } {
    const { folded, exact, starts, count } = this.#text
    let begins = this.#decodedTo
    let longest = 0
    for (const [secrets, read] of [
      [this.#patterns.folded, folded],
      [this.#patterns.exact, exact],
    ] as const) {
      for (const secret of secrets) {
        const length = beginningAtEnd(read.subarray(0, count), secret)
        if (length === 0) continue
        begins = Math.min(begins, starts[count - length] ?? begins)
        longest = Math.max(longest, length)
      }
    }
    return { begins, length: longest }
  }

  /** Lets everything pass up to there, and forgets it. */
  #pass(to: number): Buffer {
    const passed = Buffer.from(this.#raw.subarray(this.#from, to))
    this.#from = to
    if (to === this.#end) {
      this.#from = 0
      this.#end = 0
      this.#decodedTo = 0
      this.#resumesAt = 0
      this.#text = NO_TEXT
    } else if (to * 2 > this.#end) this.#compact()
    return passed
  }

  /** Moves what is held to the front. Only when more than half is free, so that no byte is moved often. */
  #compact(): void {
    const shift = this.#from
    this.#raw.copyWithin(0, shift, this.#end)
    this.#text = after(this.#text, shift)
    this.#from = 0
    this.#end -= shift
    this.#decodedTo -= shift
    this.#resumesAt -= shift
  }
}

/** Decoded characters in both spellings that are compared; the buffers may be longer than `count`. */
interface Text {
  readonly folded: Buffer
  readonly exact: Buffer
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  readonly count: number
}

const NO_TEXT: Text = {
  folded: Buffer.alloc(0),
  exact: Buffer.alloc(0),
  starts: new Uint32Array(0),
  ends: new Uint32Array(0),
  count: 0,
}

/** @param base the place of the first of `more` */
function joined(text: Text, more: DecodedText, base: number): Text {
  const [folded, exact] = [lowerCase(more.bytes), usual(more.bytes)]
  if (text.count === 0 && base === 0)
    return { folded, exact, starts: more.starts, ends: more.ends, count: more.bytes.length }
  const count = text.count + more.bytes.length
  const larger = count <= text.folded.length ? text : grown(text, Math.max(count, text.folded.length * 2))
  larger.folded.set(folded, text.count)
  larger.exact.set(exact, text.count)
  for (let at = 0; at < more.bytes.length; at += 1) {
    larger.starts[text.count + at] = (more.starts[at] ?? 0) + base
    larger.ends[text.count + at] = (more.ends[at] ?? 0) + base
  }
  return { ...larger, count }
}

function grown({ folded, exact, starts, ends, count }: Text, capacity: number): Text {
  const larger = {
    folded: Buffer.alloc(capacity),
    exact: Buffer.alloc(capacity),
    starts: new Uint32Array(capacity),
    ends: new Uint32Array(capacity),
    count,
  }
  larger.folded.set(folded.subarray(0, count))
  larger.exact.set(exact.subarray(0, count))
  larger.starts.set(starts.subarray(0, count))
  larger.ends.set(ends.subarray(0, count))
  return larger
}

/** The characters from a place on, which becomes the first. */
function after({ folded, exact, starts, ends, count }: Text, place: number): Text {
  let first = count
  while (first > 0 && (starts[first - 1] ?? 0) >= place) first -= 1
  return {
    folded: Buffer.from(folded.subarray(first, count)),
    exact: Buffer.from(exact.subarray(first, count)),
    starts: starts.subarray(first, count).map((start) => start - place),
    ends: ends.subarray(first, count).map((end) => end - place),
    count: count - first,
  }
}

function unique(texts: readonly string[]): readonly Buffer[] {
  return [...new Set(texts)].map((text) => Buffer.from(text, 'latin1'))
}

function usualAlphabet(text: string): string {
  return text.replaceAll('-', '+').replaceAll('_', '/')
}

function lowerCase(bytes: Buffer): Buffer {
  const lower = Buffer.from(bytes)
  // Every byte of every paid answer passes here: loops, not functions per byte.
  for (let at = 0; at < lower.length; at += 1) {
    const byte = lower[at] ?? 0
    if (byte >= 0x41 && byte <= 0x5a) lower[at] = byte | 0x20
  }
  return lower
}

function usual(bytes: Buffer): Buffer {
  const usualBytes = Buffer.from(bytes)
  for (let at = 0; at < usualBytes.length; at += 1) {
    const byte = usualBytes[at]
    if (byte === 0x2d) usualBytes[at] = 0x2b
    else if (byte === 0x5f) usualBytes[at] = 0x2f
  }
  return usualBytes
}

/** How many of the last bytes are the beginning of the secret; never all of it. */
function beginningAtEnd(bytes: Buffer, secret: Buffer): number {
  const first = secret[0] ?? 0
  let at = bytes.indexOf(first, Math.max(0, bytes.length - secret.length + 1))
  while (at !== -1) {
    const length = bytes.length - at
    if (bytes.compare(secret, 0, length, at) === 0) return length
    at = bytes.indexOf(first, at + 1)
  }
  return 0
}
