/**
 * Takes a payment out of the answer to it. A signature that was not used yet is money (rule 8), and a seller that sends it
 * back would have us hand it to a client.
 */
import { Readable } from 'node:stream'
import type { Reply } from '../../core/request/exchange.ts'
import type { IncomingReply } from '../../io/transport/upstream.ts'
import { decodeText } from '../../core/json/decoded-text.ts'
import { readAhead } from './read-ahead.ts'

const STAR = 0x2a

/**
 * The reply without these texts, however they are escaped or broken by white space: headers that hold one are dropped, in the body its bytes become stars, so lengths stay.
 */
export function redactReply(reply: IncomingReply, secrets: readonly string[]): Omit<Reply, 'kind'> {
  const patterns = patternsOf(secrets)
  const alone = new Scrubber(patterns)
  const headers = Object.entries(reply.headers).filter(([, value]) => {
    const text = typeof value === 'string' ? value : value.join('\n')
    // Resolving escapes never makes a text longer.
    return text.length < patterns.shortest || alone.isClean(Buffer.from(text, 'latin1'))
  })
  return {
    ...reply,
    headers: Object.fromEntries(headers),
    body: redactWith(readAhead(reply.body), patterns),
    redactDecoded: (body) => redactWith(body, patterns),
  }
}

/** The body without these texts. At most the beginning of one is held back until more comes. */
export function redactBody(body: Reply['body'], secrets: readonly string[]): Reply['body'] {
  return redactWith(body, patternsOf(secrets))
}

function redactWith(body: Reply['body'], patterns: Patterns): Reply['body'] {
  if (body instanceof Readable) body.on('error', () => {})
  return {
    async *[Symbol.asyncIterator]() {
      const scrub = new Scrubber(patterns)
      for await (const chunk of body) {
        // In pieces: whoever reads slowly, a turn for each, does not wait for the whole of what the socket gave.
        for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
          const clean = scrub.push(chunk.subarray(at, at + PIECE_BYTES))
          if (clean.length > 0) yield clean
        }
      }
      const rest = scrub.flush()
      if (rest.length > 0) yield rest
    },
    destroy: (error) => body.destroy(error),
  }
}

const PIECE_BYTES = 16_384

/** How long a beginning must be to become stars when what follows it is held back for too long. */
const LONG_BEGINNING = 16
/** Most bytes that are held back: white space in a secret may be of any length. */
const MAX_HELD_BYTES = 65_536

const HEX = /^(?:0x)?[0-9a-f]+$/i

/** What is looked for, made once for all parts of a reply. */
interface Patterns {
  /** Hex, in lower case. */
  readonly folded: readonly Buffer[]
  /** All others, in the usual alphabet of base64. */
  readonly exact: readonly Buffer[]
  /** Bytes of the shortest of all. */
  readonly shortest: number
}

function patternsOf(secrets: readonly string[]): Patterns {
  const decoded = secrets.map((secret) => decodeText(Buffer.from(secret, 'latin1')).bytes.toString('latin1'))
  const folded = unique(decoded.filter((secret) => HEX.test(secret)).map((secret) => secret.toLowerCase()))
  const exact = unique(decoded.filter((secret) => !HEX.test(secret)).map(usualAlphabet))
  return { folded, exact, shortest: Math.min(...[...folded, ...exact].map(({ length }) => length)) }
}

class Scrubber {
  readonly #patterns: Patterns
  #held = Buffer.alloc(0)

  constructor(patterns: Patterns) {
    this.#patterns = patterns
  }

  /** Whether a text that stands alone holds nothing of it. */
  isClean(text: Buffer): boolean {
    return this.#find(text).spans.length === 0
  }

  push(chunk: Uint8Array): Buffer {
    const bytes = Buffer.concat([this.#held, chunk])
    const { spans, begins, length } = this.#find(bytes)
    if (bytes.length - begins > MAX_HELD_BYTES) {
      this.#held = Buffer.alloc(0)
      return cover(bytes, length >= LONG_BEGINNING ? [...spans, [begins, bytes.length]] : spans)
    }
    // What is held back is read again with what follows: a secret in it may be a part of a longer one.
    this.#held = Buffer.from(bytes.subarray(begins))
    const passing = spans.filter(([start]) => start < begins)
    const end = Math.max(begins, ...passing.map(([, behind]) => behind))
    cover(this.#held, [[0, end - begins]])
    return cover(bytes, passing).subarray(0, begins)
  }

  flush(): Buffer {
    return cover(this.#held, this.#find(this.#held).spans)
  }

  /** Every secret, and where the beginning of one stands at the end, and how much of it. */
  #find(text: Buffer): { readonly spans: readonly Span[]; readonly begins: number; readonly length: number } {
    const { bytes, starts, ends, unfinished } = decodeText(text)
    const spans: Span[] = []
    let begins = unfinished
    let longest = 0
    for (const [secrets, read] of [
      [this.#patterns.folded, lowerCase(bytes)],
      [this.#patterns.exact, usual(bytes)],
    ] as const) {
      for (const secret of secrets) {
        for (let at = read.indexOf(secret); at !== -1; at = read.indexOf(secret, at + secret.length)) {
          spans.push([starts[at] ?? 0, ends[at + secret.length - 1] ?? text.length])
        }
        const length = beginningAtEnd(read, secret)
        if (length === 0) continue
        begins = Math.min(begins, starts[bytes.length - length] ?? begins)
        longest = Math.max(longest, length)
      }
    }
    return { spans, begins, length: longest }
  }
}

/** Where a secret stands, and behind its last byte. */
type Span = readonly [start: number, end: number]

function cover(text: Buffer, spans: readonly Span[]): Buffer {
  for (const [start, end] of spans) if (end > start) text.fill(STAR, start, end)
  return text
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
