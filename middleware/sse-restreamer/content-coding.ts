/** The compressed forms an answer may come in (RFC 9110, 8.4.1; RFC 7932; RFC 8878). */
import type { Transform } from 'node:stream'
import { createBrotliDecompress, createUnzip, createZstdDecompress } from 'node:zlib'
import type { Reply } from '../../src/core/request/exchange.ts'

const DECODERS: ReadonlyMap<string, () => Transform> = new Map<string, () => Transform>([
  // Finds out by itself which of the two it is: `deflate` is mixed up often enough.
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

/** A stream that takes the encoded bytes and gives the text; `undefined` for a coding that is not known. */
export function decoderFor(coding: string): Transform | undefined {
  return DECODERS.get(coding)?.()
}
