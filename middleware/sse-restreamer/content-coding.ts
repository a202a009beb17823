/** The compressed forms an answer may come in (RFC 9110, 8.4.1; RFC 7932; RFC 8878). */
import type { Transform } from 'node:stream'
import { createBrotliDecompress, createUnzip, createZstdDecompress } from 'node:zlib'
import type { Reply } from '../../src/core/request/exchange.ts'

const DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  // Detects which of the two formats it is: `deflate` is often used for both.
  ['gzip', createUnzip],
  ['x-gzip', createUnzip],
  ['deflate', createUnzip],
  ['br', createBrotliDecompress],
  ['zstd', createZstdDecompress],
])

/** The coding of a body, lower-case; `''` for one that is not encoded. */
export function contentCoding(headers: Reply['headers']): string {
  const value = headers['content-encoding']
  const coding = (typeof value === 'string' ? value : (value ?? []).join(',')).trim().toLowerCase()
  return coding === 'identity' ? '' : coding
}

/** A stream that decodes the bytes; `undefined` for an unknown coding. */
export function decoderFor(coding: string): Transform | undefined {
  return DECODERS.get(coding)?.()
}
