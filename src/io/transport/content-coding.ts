/** The compressed forms an answer may come in (RFC 9110, 8.4.1; RFC 7932; RFC 8878). Sellers are asked for none, and some send one. */
import type { Transform } from 'node:stream'
import {
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createInflateRaw,
  createUnzip,
  createZstdDecompress,
  inflateRawSync,
  unzipSync,
  zstdDecompressSync,
} from 'node:zlib'
import { SniffingDecoder } from './sniffing-decoder.ts'
import type { BoundedBody, IncomingReply } from './upstream.ts'

/** The largest window that zstd may ask for: 8 MB, the least that every decoder has to support (RFC 8878, 3.1.1.1.2). */
const ZSTD = { params: { [constants.ZSTD_d_windowLogMax]: 23 } }

const DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  ['gzip', () => new SniffingDecoder(unzipped)],
  ['x-gzip', () => new SniffingDecoder(unzipped)],
  // Named after zlib's format (RFC 1950), and sent without its frame, or as gzip, by many.
  ['deflate', () => new SniffingDecoder((first) => unzipped(first) ?? createInflateRaw())],
  ['br', createBrotliDecompress],
  ['zstd', () => new SniffingDecoder((first) => (isZstd(first) ? createZstdDecompress(ZSTD) : undefined))],
])

/** A decoder for gzip (RFC 1952) or zlib (RFC 1950), which it tells apart; `undefined` for what is neither. */
function unzipped([first = 0, second = 0]: Uint8Array): Transform | undefined {
  const isGzip = first === 0x1f && second === 0x8b
  const isZlib = (first & 0x0f) === 8 && (first * 256 + second) % 31 === 0
  return isGzip || isZlib ? createUnzip() : undefined
}

function isZstd([first, second, third, fourth]: Uint8Array): boolean {
  return first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd
}

/** The coding of a body, lower-case; `''` for one that is not encoded. Several codings are in the order of their use. */
export function contentCoding(headers: IncomingReply['headers']): string {
  const value = headers['content-encoding']
  return codingsIn(typeof value === 'string' ? value : (value ?? []).join(',')).join(', ')
}

function codingsIn(list: string): string[] {
  return list
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
}

/** More nested codings than this are no honest mistake. */
const MAX_CODINGS = 3

/** Streams that decode the bytes one after the other; `undefined` for an unknown coding, or too many. */
export function decodersFor(coding: string): readonly Transform[] | undefined {
  const codings = codingsIn(coding)
  if (codings.length > MAX_CODINGS || codings.some((one) => !DECODERS.has(one))) return undefined
  return codings.toReversed().flatMap((one) => DECODERS.get(one)?.() ?? [])
}

type Decode = (bytes: Uint8Array, limit: { readonly maxOutputLength: number }) => Buffer

/** Ways to decode by coding: the first that succeeds. */
const WAYS: ReadonlyMap<string, readonly Decode[]> = new Map<string, readonly Decode[]>([
  ['gzip', [unzipSync]],
  ['x-gzip', [unzipSync]],
  // Named after zlib's format (RFC 1950), and sent without its frame by many.
  ['deflate', [unzipSync, inflateRawSync]],
  ['br', [brotliDecompressSync]],
  ['zstd', [(bytes, limit) => zstdDecompressSync(bytes, { ...ZSTD, ...limit })]],
])

/**
 * Decodes a short body, such as a 402's. A body that its coding does not fit is left as it is: some proxies decode a body and
 * keep its header, others the other way round.
 * @param limit the most bytes that it may decode to; more is `truncated`
 */
export function decodeBody(headers: IncomingReply['headers'], body: BoundedBody, limit: number): BoundedBody {
  if (body.truncated || body.bytes.length === 0) return body
  const named = codingsIn(contentCoding(headers))
  const codings = named.length > 0 ? named.slice(0, MAX_CODINGS) : codingByBytes(body.bytes)
  let { bytes } = body
  for (const coding of codings.toReversed()) {
    const decoded = decode(WAYS.get(coding) ?? [], bytes, limit)
    if (decoded === 'too large') return { bytes: Buffer.alloc(0), truncated: true }
    if (!decoded) return body
    bytes = decoded
  }
  return { bytes, truncated: false }
}

function decode(ways: readonly Decode[], bytes: Uint8Array, limit: number): Buffer | 'too large' | undefined {
  for (const way of ways) {
    try {
      return way(bytes, { maxOutputLength: limit })
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ERR_BUFFER_TOO_LARGE')
        return 'too large'
    }
  }
  return undefined
}

/** JSON and words begin otherwise. */
function codingByBytes(bytes: Uint8Array): readonly string[] {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return ['gzip']
  return isZstd(bytes) ? ['zstd'] : []
}
