/** Receipts that stand in the answer instead of its headers, in every place where x402 and sellers put them. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import type { IncomingReply } from '../../src/io/transport/upstream.ts'
import { Readable } from 'node:stream'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { signed } from '../store/samples.ts'
import { challenge, NOW, receiptOf, reply, startEngine, type Engine } from '../kit/payment-engine.ts'
import { COMPLETION_JSON } from '../kit/seller-answers.ts'

const HASH = `0x${'ef'.repeat(32)}`
const V2 = { success: true, transaction: HASH, network: 'eip155:84532', payer: '' }
const V1 = {
  success: true,
  txHash: HASH.toUpperCase().replace('X', 'x'),
  networkId: '84532',
  network: 'base-sepolia',
}
const COMPLETION = JSON.parse(COMPLETION_JSON) as object
const REQUEST = {
  method: 'POST',
  url: 'https://seller.test/v1/chat/completions',
  headers: {},
  body: Buffer.from('{"model":"m"}'),
}

const second = {
  kind: 'authorization' as const,
  header: { name: 'payment-signature', value: 'signature-2' },
  record: signed(2, { validBefore: NOW / 1000 + 60 }),
}

/** Pays, and reads the answer to its end. */
async function paid(answer: IncomingReply, store = memoryStore()): Promise<{ engine: Engine; text: string }> {
  const engine = await startEngine({ seller: () => answer, store })
  await new PaidCall(engine.call(), REQUEST).run(challenge(), 0)
  const parts: Uint8Array[] = []
  for await (const part of engine.exchange.relay.reply?.body ?? []) parts.push(part)
  return { engine, text: Buffer.concat(parts).toString() }
}

function inPieces(body: string, size: number, headers: Readonly<Record<string, string>> = {}): IncomingReply {
  const bytes = Buffer.from(body)
  const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  )
  return { ...reply(200, '', headers), body: Readable.from(parts) }
}

const chunk = JSON.stringify({ choices: [{ index: 0, delta: { content: 'hi' } }] })
const stream = (...events: string[]): string => `data: ${chunk}\n\n${events.join('')}data: [DONE]\n\n`

const PLACES: readonly (readonly [string, string])[] = [
  ['payment_response', JSON.stringify({ ...COMPLETION, payment_response: V2 })],
  ['paymentResponse, base64', JSON.stringify({ ...COMPLETION, paymentResponse: encodeBase64Json(V2) })],
  ['X-PAYMENT-RESPONSE, v1', JSON.stringify({ ...COMPLETION, 'X-PAYMENT-RESPONSE': encodeBase64Json(V1) })],
  ['settlement, v1', JSON.stringify({ settlement: V1, ...COMPLETION })],
  ["MCP's _meta", JSON.stringify({ ...COMPLETION, _meta: { 'x402/payment-response': V2 } })],
  [
    "A2A's metadata",
    JSON.stringify({
      ...COMPLETION,
      metadata: { 'x402.payment.receipts': [{ success: false, errorReason: 'expired' }, V2] },
    }),
  ],
  ['x402.receipt', JSON.stringify({ ...COMPLETION, x402: { receipt: V2 } })],
  ['the answer itself, with its network', JSON.stringify({ ...COMPLETION, ...V2 })],
  ['a byte order mark before', `\u{feff}${JSON.stringify({ ...COMPLETION, receipt: V2 })}`],
  ['an event of its own', stream(`event: payment\ndata: ${JSON.stringify(V2)}\n\n`)],
  ['an event of its own, base64', stream(`event: payment-response\ndata: ${encodeBase64Json(V2)}\n\n`)],
  ['the usage chunk', stream(`data: ${JSON.stringify({ choices: [], usage: {}, payment: V2 })}\r\n\r\n`)],
  ['the last event, without an end', `data: ${chunk}\n\ndata: ${JSON.stringify({ x402: V1 })}`],
]

describe('a receipt in a paid answer', () => {
  it.each(PLACES)('rule 4: proves the charge: %s', async (_place, body) => {
    for (const size of [1, 7, 100_000]) {
      const { engine, text } = await paid(inPieces(body, size))
      expect(text).toBe(body)
      expect(engine.exchange.payment.charge).toMatchObject({
        state: 'settled',
        proof: 'receipt',
        transaction: HASH,
      })
      expect(await engine.store.charges()).toMatchObject([{ proof: 'receipt', transaction: HASH }])
    }
  })

  it('rule 4: proves the charge from trailers, in both versions', async () => {
    for (const name of ['payment-response', 'x-payment-response']) {
      const { engine } = await paid({
        ...reply(200, COMPLETION_JSON),
        trailers: { [name]: encodeBase64Json(V2) },
      })
      expect(engine.exchange.payment.charge).toMatchObject({ proof: 'receipt', transaction: HASH })
    }
  })

  it.each<[string, string]>([
    [
      'an answer about another transaction',
      JSON.stringify({ ...COMPLETION, success: true, transaction: HASH }),
    ],
    ['a failed one', JSON.stringify({ ...COMPLETION, receipt: { ...V2, success: false } })],
    ['one without a transaction', JSON.stringify({ ...COMPLETION, payment: { success: true } })],
    [
      'one in the text of the model',
      JSON.stringify({ choices: [{ message: { content: JSON.stringify({ receipt: V2 }) } }] }),
    ],
    [
      'one in the arguments of a tool',
      stream(
        `data: ${JSON.stringify({ choices: [{ delta: { tool_calls: [{ function: { arguments: JSON.stringify(V2) } }] } }] })}\n\n`,
      ),
    ],
    ['one in a comment', stream(`: ${JSON.stringify(V2)}\n\n`)],
    ['junk', `{"receipt":${'['.repeat(500)}`],
    [
      'an event that is too long',
      stream(`data: ${JSON.stringify({ pad: 'x'.repeat(70_000), receipt: V2 })}\n\n`),
    ],
  ])('rule 4: is not taken from %s', async (_what, body) => {
    const { engine, text } = await paid(inPieces(body, 1000))
    expect(text).toBe(body)
    expect(engine.exchange.payment.charge).toMatchObject({
      state: 'settled',
      proof: 'assumed',
      transaction: undefined,
    })
  })

  it('rule 4: does not prove a second charge with the transaction of another', async () => {
    const store = memoryStore()
    await paid(reply(200, JSON.stringify({ receipt: V2 })), store)
    const seller = (): IncomingReply => reply(200, JSON.stringify({ receipt: V2 }))
    const engine = await startEngine({
      seller,
      store,
      payer: { authorize: async () => await Promise.resolve(second) },
    })
    await new PaidCall(engine.call(), REQUEST).run(challenge(), 0)
    for await (const part of engine.exchange.relay.reply?.body ?? []) expect(part).toBeDefined()
    expect(engine.exchange.payment.charge).toMatchObject({ proof: 'assumed', transaction: undefined })
    expect(await store.flags()).toMatchObject([{ flag: 'receipt_reused' }])
  })

  it('gives way to one in the headers', async () => {
    const { engine } = await paid(reply(200, JSON.stringify({ receipt: V2 }), receiptOf(true)))
    expect(engine.exchange.payment.charge).toMatchObject({
      proof: 'receipt',
      transaction: `0x${'ab'.repeat(32)}`,
    })
  })

  it('is booked when the client leaves right behind it', async () => {
    const engine = await startEngine({
      seller: () => inPieces(stream(`data: ${JSON.stringify({ receipt: V2 })}\n\n`), 4096),
    })
    await new PaidCall(engine.call(), REQUEST).run(challenge(), 0)
    for await (const part of engine.exchange.relay.reply?.body ?? []) if (part.length > 0) break
    expect(engine.exchange.payment.charge).toMatchObject({ proof: 'receipt' })
  })

  it('leaves every answer as it is, and settled', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.json(), fc.string(), fc.constant(stream())),
        fc.integer({ min: 1, max: 50 }),
        async (body, size) => {
          const { engine, text } = await paid(inPieces(body, size))
          expect(text).toBe(Buffer.from(body).toString())
          expect(engine.exchange.payment.charge?.state).toBe('settled')
        },
      ),
      { numRuns: 100 },
    )
  })
})
