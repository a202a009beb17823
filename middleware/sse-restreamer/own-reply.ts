/** Answers of an application's own upstream, in the form that the relay reads. */
import { Readable } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import type { Reply } from '../../src/core/request/exchange.ts'
import { property } from '../../src/core/property.ts'

/** An answer of your own upstream: of `fetch`, of undici's `request`, or put together by hand. */
export interface OwnReply {
  /** HTTP status; undici calls it `statusCode`. */
  readonly status?: number | undefined
  readonly statusCode?: number | undefined
  readonly headers?:
    | Iterable<readonly [string, string]>
    | Readonly<Record<string, string | readonly string[] | undefined>>
    | undefined
  /** Chunks as they arrive; text is sent as UTF-8. `null` for an answer without a body. */
  readonly body?:
    | AsyncIterable<Uint8Array | string>
    | Iterable<Uint8Array | string>
    | string
    | null
    | undefined
}

/** @throws TypeError for what is no answer */
export function replyOf(own: OwnReply): Reply {
  const status = own.status ?? own.statusCode
  if (!Number.isInteger(status) || status === undefined || status < 200 || status > 599) {
    throw new TypeError('restream(): give the answer of fetch or undici, or { status, headers, body }.')
  }
  const headers = headersOf(own.headers)
  // fetch decodes bodies, and keeps the headers of the encoded ones.
  if (typeof property(own, 'bodyUsed') === 'boolean' && headers['content-encoding'] !== undefined) {
    delete headers['content-encoding']
    delete headers['content-length']
  }
  return { status, headers, body: bodyOf(own.body), kind: 'unpaid' }
}

function headersOf(headers: OwnReply['headers'] = {}): Record<string, string | readonly string[]> {
  const entries: Iterable<readonly [string, unknown]> =
    Symbol.iterator in headers ? headers : Object.entries(headers)
  // A header may be named like a member that every object has.
  const found = new Map<string, string[]>()
  for (const [name, value] of entries) {
    const key = name.toLowerCase()
    const texts = (Array.isArray(value) ? value : [value]).filter((text) => typeof text === 'string')
    if (texts.length > 0) found.set(key, [...(found.get(key) ?? []), ...texts])
  }
  // Of the two lengths of a body the one that its chunks say counts (RFC 9112, section 6.3).
  if (found.has('transfer-encoding')) found.delete('content-length')
  return Object.fromEntries(
    [...found].map(([name, all]) => [name, all.length === 1 && all[0] !== undefined ? all[0] : all]),
  )
}

function bodyOf(body: OwnReply['body']): Reply['body'] {
  if (body instanceof Readable) return body
  if (body === null || body === undefined) return Readable.from([])
  if (typeof body === 'string') return Readable.from([Buffer.from(body)])
  // Its own reader is cancelled at once; an iteration over it would wait for the next piece first.
  if (body instanceof ReadableStream) return Readable.fromWeb(body)
  return Readable.from(body, { objectMode: false })
}
