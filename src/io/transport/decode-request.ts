/** Decodes the compressed body of a request (RFC 9110, 8.4.1; RFC 7932; RFC 8878), off the main thread and within a limit. */
import { promisify } from 'node:util'
import { brotliDecompress, constants, gunzip, inflate, inflateRaw, zstdDecompress } from 'node:zlib'
import { property } from '../../core/property.ts'

type Decode = (bytes: Uint8Array, limit: { readonly maxOutputLength: number }) => Promise<Buffer>

const gunzipped = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(gunzip)
const inflated = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflate)
const inflatedRaw = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw)
const unbrotlied = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(brotliDecompress)
const unzstd = promisify<Uint8Array, { maxOutputLength: number; params: Record<number, number> }, Buffer>(
  zstdDecompress,
)

/** The largest window that zstd may ask for: 8 MB, the least that every decoder has to support (RFC 8878, 3.1.1.1.2). */
const ZSTD_PARAMS = { [constants.ZSTD_d_windowLogMax]: 23 }

/** Ways to decode by coding: the first that succeeds. */
const WAYS: ReadonlyMap<string, readonly Decode[]> = new Map<string, readonly Decode[]>([
  ['gzip', [gunzipped]],
  ['x-gzip', [gunzipped]],
  // Named after zlib's format (RFC 1950), and sent without its frame by many.
  ['deflate', [inflated, inflatedRaw]],
  ['br', [unbrotlied]],
  ['zstd', [(bytes, limit) => unzstd(bytes, { ...limit, params: ZSTD_PARAMS })]],
])

/** More nested codings than this are no honest mistake. */
const MAX_CODINGS = 2

/** The codings that can be decoded, for messages. */
export const REQUEST_CODINGS: readonly string[] = ['gzip', 'deflate', 'br', 'zstd']

/** The decoded bytes, or why there are none. */
export type Decoded = { readonly bytes: Buffer } | { readonly fault: 'unknown' | 'malformed' | 'too_large' }

/** The codings of a request in the order in which they were applied; empty for a body that is as it is. */
export function requestCodings(header: string | undefined): readonly string[] {
  return (header ?? '')
    .split(',')
    .map((coding) => coding.trim().toLowerCase())
    .filter((coding) => coding !== '' && coding !== 'identity')
}

/** @param limit the most bytes that the body may decode to */
export async function decodeRequest(
  body: Buffer,
  codings: readonly string[],
  limit: number,
): Promise<Decoded> {
  if (codings.length > MAX_CODINGS || codings.some((coding) => !WAYS.has(coding))) return { fault: 'unknown' }
  let bytes = body
  for (const coding of codings.toReversed()) {
    const decoded = await decodeOne(bytes, WAYS.get(coding) ?? [], limit)
    if ('fault' in decoded) return decoded
    bytes = decoded.bytes
  }
  return { bytes }
}

async function decodeOne(bytes: Buffer, ways: readonly Decode[], limit: number): Promise<Decoded> {
  for (const decode of ways) {
    try {
      return { bytes: await decode(bytes, { maxOutputLength: limit }) }
    } catch (error) {
      if (property(error, 'code') === 'ERR_BUFFER_TOO_LARGE') return { fault: 'too_large' }
    }
  }
  return { fault: 'malformed' }
}
