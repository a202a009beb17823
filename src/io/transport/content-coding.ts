/** The compressed forms an answer may come in (RFC 9110, 8.4.1; RFC 7932; RFC 8878). Sellers are asked for none, and some send one. */
import type { Transform } from 'node:stream'
import {
  brotliDecompressSync,
  constants,
  createBrotliDecompress,
  createUnzip,
  createZstdDecompress,
  inflateRawSync,
  unzipSync,
  zstdDecompressSync,
} from 'node:zlib'
import type { BoundedBody, IncomingReply } from './upstream.ts'

/** The largest window that zstd may ask for: 8 MB, the least that every decoder has to support (RFC 8878, 3.1.1.1.2). */
const ZSTD = { params: { [constants.ZSTD_d_windowLogMax]: 23 } }

const DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  // Detects which of the two formats it is: `deflate` is often used for both.
  ['gzip', createUnzip],
  ['x-gzip', createUnzip],
  ['deflate', createUnzip],
  ['br', createBrotliDecompress],
  ['zstd', () => createZstdDecompress(ZSTD)],
])

/** The coding of a body, lower-case; `''` for one that is not encoded. */
export function contentCoding(headers: IncomingReply['headers']): string {
  const value = headers['content-encoding']
  const coding = (typeof value === 'string' ? value : (value ?? []).join(',')).trim().toLowerCase()
  return coding === 'identity' ? '' : coding
}

/** A stream that decodes the bytes; `undefined` for an unknown coding. */
export function decoderFor(coding: string): Transform | undefined {
  return DECODERS.get(coding)?.()
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

/** More codings on top of each other are nobody's mistake. */
const MAX_CODINGS = 3

/**
 * Decodes a short body, such as a 402's. A body that its coding does not fit is left as it is: some proxies decode a body and
 * keep its header, others the other way round.
 * @param limit the most bytes that it may decode to; more is `truncated`
 */
export function decodeBody(headers: IncomingReply['headers'], body: BoundedBody, limit: number): BoundedBody {
  if (body.truncated || body.bytes.length === 0) return body
  const named = contentCoding(headers)
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'identity')
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
function codingByBytes([first, second, third, fourth]: Uint8Array): readonly string[] {
  if (first === 0x1f && second === 0x8b) return ['gzip']
  const isZstd = first === 0x28 && second === 0xb5 && third === 0x2f && fourth === 0xfd
  return isZstd ? ['zstd'] : []
}
