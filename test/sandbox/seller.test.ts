import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { binaryContent } from '../../src/app/sandbox/sellers/seller.ts'
import { startV1Seller } from '../../src/app/sandbox/sellers/v1-seller.ts'
import { decodeHeader, encodeHeader } from '../kit/seller-answers.ts'
import { chatRequest, officialFetch } from '../kit/official-client.ts'
import { startWorld } from '../../src/app/sandbox/world.ts'
import type { World } from '../../src/app/sandbox/world.ts'

let rig: World
beforeAll(async () => {
  rig = await startWorld()
})
afterAll(() => rig.close())

const OfferV1 = z.object({
  x402Version: z.literal(1),
  error: z.string(),
  accepts: z.array(
    z.looseObject({ maxAmountRequired: z.string(), resource: z.string(), network: z.string() }),
  ),
})

const PaymentV1 = z.looseObject({
  payload: z.looseObject({ authorization: z.record(z.string(), z.string()) }),
})

describe('the sellers', () => {
  it('ask on v2 with the offer in the header and an empty object in the body', async () => {
    for (const seller of [rig.seller, rig.streamingSeller]) {
      const reply = await fetch(`${seller.apiBase}/chat/completions`, chatRequest('price?'))
      expect(reply.status).toBe(402)
      expect(await reply.json()).toEqual({})
      expect(decodeHeader(reply.headers.get('payment-required'))).toMatchObject({
        x402Version: 2,
        accepts: [
          {
            scheme: 'exact',
            network: 'eip155:84532',
            amount: '1000',
            asset: rig.chain.token.address,
            payTo: rig.chain.accounts.seller.address,
            maxTimeoutSeconds: 60,
            extra: { name: 'USDC', version: '2' },
          },
        ],
      })
    }
  })

  it('ask on v1 with the offer in the body', async () => {
    const reply = await fetch(`${rig.v1Seller.apiBase}/chat/completions`, chatRequest('price?'))
    expect(reply.status).toBe(402)
    expect(reply.headers.get('payment-required')).toBeNull()
    const offer = OfferV1.parse(await reply.json())
    expect(offer.accepts).toHaveLength(1)
    expect(offer.accepts[0]).toMatchObject({
      network: 'base-sepolia',
      maxAmountRequired: '1000',
      resource: `${rig.v1Seller.apiBase}/chat/completions`,
    })
  })

  it('refuse on v1 what is not a payment, or is one for less, and say why', async () => {
    const url = `${rig.v1Seller.apiBase}/chat/completions`
    let paid = ''
    await officialFetch(rig.chain, (input, init) => {
      const request = new Request(input, init)
      paid = request.headers.get('x-payment') ?? paid
      return fetch(request)
    })(url, chatRequest('honest'))
    const honest = PaymentV1.parse(decodeHeader(paid))
    const authorization = { ...honest.payload.authorization, value: '999' }
    const cheat = { ...honest, payload: { ...honest.payload, authorization } }
    for (const [header, error] of [
      ['not base64 of JSON', 'invalid_payload'],
      [encodeHeader({ x402Version: 2 }), 'invalid_payload'],
      [encodeHeader(honest), 'invalid_exact_evm_nonce_already_used'],
      [encodeHeader(cheat), 'invalid_exact_evm_signature'],
    ] as const) {
      const headers = { 'content-type': 'application/json', 'x-payment': header }
      const reply = await fetch(url, { ...chatRequest('free?'), headers })
      expect(reply.status).toBe(402)
      expect(reply.headers.get('x-payment-response')).toBeNull()
      expect(OfferV1.parse(await reply.json()).error).toBe(error)
    }
  })

  it('answer a refused settlement with 402 and never run the model when they settle first', async () => {
    const { chain, facilitator } = rig
    const from = chain.accounts.buyer.address
    const before = await chain.transfers({ from })
    for (const seller of [rig.streamingSeller, rig.v1Seller]) {
      facilitator.faults.settle.push({
        status: 200,
        body: { success: false, errorReason: 'no', transaction: '', network: chain.network },
      })
      const reply = await officialFetch(chain)(`${seller.apiBase}/chat/completions`, chatRequest('settle?'))
      expect(reply.status).toBe(402)
      expect(await reply.text()).not.toContain('choices')
    }
    expect(await chain.transfers({ from })).toEqual(before)
  })

  it('write down what they were sent, byte for byte', async () => {
    const body = Buffer.from([0, 255, 128, 10, 13])
    await fetch(`${rig.seller.url}/free/v1/files?a=1`, {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/x-odd' },
    })
    const seen = rig.seller.log.at(-1)
    expect(seen).toMatchObject({ method: 'POST', path: '/free/v1/files?a=1', hadPayment: 'none' })
    expect(seen?.headers['content-type']).toBe('application/x-odd')
    expect(seen?.body.equals(body)).toBe(true)
  })

  it('echo multipart uploads byte for byte, boundary included', async () => {
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('file', new Blob([binaryContent]), 'all-bytes.bin')
    const reply = await fetch(`${rig.seller.url}/free/v1/files`, { method: 'POST', body: form })
    const echoed = Buffer.from(await reply.arrayBuffer())
    const sent = rig.seller.log.at(-1)
    expect(reply.headers.get('content-type')).toBe(sent?.headers['content-type'])
    expect(sent?.body.equals(echoed)).toBe(true)
    expect(echoed.includes(binaryContent)).toBe(true)
  })

  it('serve a binary file that no text decoding survives', async () => {
    const reply = await fetch(`${rig.seller.url}/free/v1/files/x/content`)
    expect(Buffer.from(await reply.arrayBuffer()).equals(binaryContent)).toBe(true)
  })

  it('answer for nothing under /free/v1', async () => {
    const reply = await fetch(`${rig.seller.url}/free/v1/chat/completions`, chatRequest('gratis?'))
    expect(reply.status).toBe(200)
    expect(await reply.text()).toContain('gratis?')
  })

  it('refuse a price that the token cannot express', async () => {
    const options = {
      facilitatorUrl: rig.facilitator.url,
      payTo: rig.chain.accounts.seller.address,
      network: rig.chain.v1Network,
      token: rig.chain.token,
    }
    await expect(startV1Seller({ ...options, priceUsd: '$0.0000001' })).rejects.toThrow(/at most 6 decimals/)
    await expect(startV1Seller({ ...options, priceUsd: '1e-3' })).rejects.toThrow(/like \$0\.001/)
  })
})
