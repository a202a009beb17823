import { Readable } from 'node:stream'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { newExchange } from '../../src/core/request/exchange.ts'
import { decodedReply } from '../../middleware/sse-restreamer/paid-answer.ts'
import { paymentSecrets } from '../../src/core/x402/payment-secrets.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { redactReply } from '../../src/payment/answer/redact-payment.ts'

const signature = `0x${'5a'.repeat(65)}`
const header = encodeBase64Json({ x402Version: 2, payload: { signature } })

describe('a compressed answer that sends the payment back', () => {
  test.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['zstd', zstdCompressSync],
  ])('rule 8: loses it when it is decoded (%s)', async (coding, compress) => {
    const answer = `{"choices":[{"message":{"content":"${signature} and ${header}"}}]}`
    const reply = {
      status: 200,
      headers: { 'content-type': 'application/json', 'content-encoding': coding },
      body: Readable.from([compress(Buffer.from(answer))]),
    }
    const paid = { ...redactReply(reply, paymentSecrets(header)), kind: 'paid' } as const
    const exchange = { ...newExchange({ id: 'r', startedAt: 0, begunAt: 0 }), endpoint: '/chat/completions' }
    const chunks: Uint8Array[] = []
    for await (const chunk of decodedReply(exchange, paid).body) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    expect(text).toHaveLength(answer.length)
    expect(text).toContain('"choices"')
    expect(text).not.toContain(signature.slice(2))
    expect(text).not.toContain(header)
  })
})
