import {
  decodePaymentRequiredHeader,
  decodePaymentSignatureHeader,
  encodePaymentRequiredHeader,
  encodePaymentResponseHeader,
} from '@x402/core/http'
import { PaymentPayloadV1Schema, PaymentPayloadV2Schema, PaymentRequiredV1Schema } from '@x402/core/schemas'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeChallenge, encodePayment } from '../../src/core/x402/x402.ts'
import { decodeReceipt } from '../../src/core/x402/receipt.ts'
import { challengeOf, offerV1, offerV2, origin } from '../kit/quotes.ts'

const resource = { url: `${origin}/v1/chat/completions`, description: 'a chat', mimeType: 'application/json' }
const payload = { signature: `0x${'ab'.repeat(65)}`, authorization: { from: '0x1', value: '1000' } }

describe('what the official packages write', () => {
  test('a v2 challenge is read as the offers in it, each kept verbatim', () => {
    const accepts = [offerV2, { ...offerV2, amount: '2000' }]
    const header = encodePaymentRequiredHeader({
      x402Version: 2,
      error: 'Payment required',
      resource,
      accepts,
    })
    const challenge = decodeChallenge({
      header: (name) => (name === 'payment-required' ? header : undefined),
      body: Buffer.from('{}'),
      truncated: false,
    })
    expect(challenge).toMatchObject({ x402Version: 2, resource, error: 'Payment required', others: [] })
    expect(challenge.offers.map(({ raw }) => raw)).toEqual(accepts)
    expect(challenge.offers.map(({ amount }) => amount)).toEqual(['1000', '2000'])
    expect(challenge.offers.map(({ raw }) => raw)).toEqual(decodePaymentRequiredHeader(header).accepts)
  })

  test('a v1 challenge by their schema is read from the body', () => {
    const message = PaymentRequiredV1Schema.parse({ x402Version: 1, error: 'pay', accepts: [offerV1] })
    const challenge = decodeChallenge({
      header: () => undefined,
      body: Buffer.from(JSON.stringify(message)),
      truncated: false,
    })
    expect(challenge.offers).toHaveLength(1)
    expect(challenge.offers[0]).toMatchObject({
      network: 'eip155:84532',
      amount: '1000',
      payTo: offerV1.payTo,
    })
  })

  test.each([
    ['payment-response', true],
    ['payment-response', false],
    ['x-payment-response', true],
  ])('a receipt in %s (success: %s) is read as it is', (name, success) => {
    const transaction = `0x${'Ab'.repeat(32)}`
    const header = encodePaymentResponseHeader({
      success,
      transaction,
      network: 'eip155:84532',
      payer: offerV2.payTo,
      ...(success ? {} : { errorReason: 'insufficient_funds' }),
    })
    expect(decodeReceipt((asked) => (asked === name ? header : undefined))).toEqual({
      success,
      transaction: transaction.toLowerCase(),
      network: 'eip155:84532',
      payer: offerV2.payTo,
      amount: undefined,
      errorReason: success ? undefined : 'insufficient_funds',
    })
  })
})

describe('what we write', () => {
  test('a v2 payment is read back by the official decoder and passes their schema', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme' }),
        fc.bigInt({ min: 1n, max: 2n ** 256n - 1n }),
        (name, amount) => {
          const accepted = { ...offerV2, amount: amount.toString(), extra: { name, version: '2' } }
          const challenge = challengeOf(2, accepted)
          const [offer] = challenge.offers
          if (!offer) throw new Error('no offer')
          const { name: header, value } = encodePayment(offer, challenge.resource, payload)
          expect(header).toBe('payment-signature')
          const read = PaymentPayloadV2Schema.parse(decodePaymentSignatureHeader(value))
          expect(read).toMatchObject({ x402Version: 2, payload, accepted, resource: challenge.resource })
        },
      ),
    )
  })

  test('a v1 payment passes their schema, under the network name the seller used', () => {
    const [offer] = challengeOf(1, offerV1).offers
    if (!offer) throw new Error('no offer')
    const { name, value } = encodePayment(offer, undefined, payload)
    expect(name).toBe('x-payment')
    const read = PaymentPayloadV1Schema.parse(JSON.parse(Buffer.from(value, 'base64').toString()))
    expect(read).toEqual({ x402Version: 1, scheme: 'exact', network: 'base-sepolia', payload })
  })
})
