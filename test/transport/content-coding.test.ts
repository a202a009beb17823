/** Short bodies that arrive compressed although nobody asked for it: read within bounds, or left as they are. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decodeBody } from '../../src/io/transport/content-coding.ts'

const TEXT = Buffer.from('{"x402Version":1,"accepts":[]}')
const LIMIT = 65_536

function decoded(coding: string | undefined, bytes: Buffer) {
  const headers: Record<string, string> = coding === undefined ? {} : { 'content-encoding': coding }
  return decodeBody(headers, { bytes, truncated: false }, LIMIT)
}

describe('a short body', () => {
  it.each<[string | undefined, Buffer]>([
    ['gzip', gzipSync(TEXT)],
    ['x-gzip', gzipSync(TEXT)],
    ['GZIP', gzipSync(TEXT)],
    ['br', brotliCompressSync(TEXT)],
    ['deflate', deflateSync(TEXT)],
    ['deflate', deflateRawSync(TEXT)],
    ['deflate', gzipSync(TEXT)],
    ['zstd', zstdCompressSync(TEXT)],
    ['gzip, br', brotliCompressSync(gzipSync(TEXT))],
    ['identity, zstd', zstdCompressSync(TEXT)],
    ['identity', TEXT],
    [undefined, TEXT],
    [undefined, gzipSync(TEXT)],
    [undefined, zstdCompressSync(TEXT)],
    ['gzip', TEXT],
    ['br', TEXT],
    ['unheard-of', TEXT],
  ])('labelled %s is read', (coding, bytes) => {
    expect(decoded(coding, bytes)).toEqual({ bytes: TEXT, truncated: false })
  })

  const bomb = Buffer.alloc(20_000_000)
  it.each<[string, Buffer]>([
    ['gzip', gzipSync(bomb)],
    ['br', brotliCompressSync(bomb)],
    ['deflate', deflateSync(bomb)],
    ['deflate', deflateRawSync(bomb)],
    ['zstd', zstdCompressSync(bomb)],
    ['gzip, gzip', gzipSync(gzipSync(bomb))],
  ])('labelled %s that decodes to 20 MB is not decoded', (coding, bytes) => {
    expect(bytes.length).toBeLessThan(LIMIT)
    expect(decoded(coding, bytes)).toEqual({ bytes: Buffer.alloc(0), truncated: true })
  })

  it('that was cut, or breaks off, is left as it is', () => {
    const cut = gzipSync(TEXT).subarray(0, 20)
    expect(decoded('gzip', cut).bytes).toEqual(cut)
    const body = { bytes: gzipSync(TEXT), truncated: true }
    expect(decodeBody({ 'content-encoding': 'gzip' }, body, LIMIT)).toBe(body)
  })
})
