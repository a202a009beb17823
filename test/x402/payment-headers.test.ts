/** Under which header names a payment goes out, and what it says about the resource. */
import { describe, expect, it } from 'vitest'
import {
  echoedResource,
  furtherNames,
  HEADERS,
  paymentHeaderNames,
  type PaymentHeaderChoice,
} from '../../src/core/x402/payment-headers.ts'
import { decodeChallenge, encodePayment } from '../../src/core/x402/x402.ts'
import { decodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { offerV1, offerV2 } from '../kit/quotes.ts'

const V2 = { x402Version: 2, accepts: [offerV2], resource: { url: 'https://s.test/v1' } }
const OBOL = { ...V2, error: 'Payment required for this resource', extensions: {} }

/** The header names of a payment that answers this 402. */
function names(
  header: object | undefined,
  body: object | string,
  choice?: PaymentHeaderChoice,
): readonly string[] {
  const challenge = decodeChallenge({
    header: (name) => (name === HEADERS.required && header ? encodeBase64Json(header) : undefined),
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    truncated: false,
  })
  const [offer] = challenge.offers
  if (!offer) throw new Error('no offer')
  const payment = encodePayment(offer, challenge.resource, { signature: '0x' })
  return paymentHeaderNames(payment.name, furtherNames(challenge, payment).alsoAs, choice)
}

describe('a payment', () => {
  it.each<[string, object | undefined, object | string]>([
    ['v2 in the header', V2, {}],
    ['v2 in the header, mirrored in the body', V2, V2],
    ['v2 in the header and another v2 in the body', V2, { ...V2, error: 'pay' }],
    ['v2 in the header and v1 in the body', V2, { x402Version: 1, accepts: [offerV1] }],
    ['v2 with the words of Obol in the header alone', OBOL, '<html>'],
    ['v2 with the words of Obol in the body alone', V2, OBOL],
    ['v2 mirrored with the words of Obol and no extensions', { ...OBOL, extensions: undefined }, OBOL],
  ])('goes out under one name, PAYMENT-SIGNATURE, for %s', (_name, header, body) => {
    expect(names(header, body)).toEqual(['payment-signature'])
  })

  it('goes out under X-PAYMENT alone for v1', () => {
    expect(names(undefined, { x402Version: 1, accepts: [offerV1] })).toEqual(['x-payment'])
  })

  it("goes out under both names for Obol's sellers, and for those that know no v2 header", () => {
    expect(names(OBOL, OBOL)).toEqual(['payment-signature', 'x-payment'])
    expect(names(undefined, V2)).toEqual(['payment-signature', 'x-payment'])
  })

  it.each<[PaymentHeaderChoice, readonly string[]]>([
    ['payment-signature', ['payment-signature']],
    ['x-payment', ['x-payment']],
    ['both', ['payment-signature', 'x-payment']],
  ])('goes out as the route says: %s', (choice, expected) => {
    expect(names(OBOL, OBOL, choice)).toEqual(expected)
    expect(names(V2, {}, choice)).toEqual(expected)
    expect(names(undefined, { x402Version: 1, accepts: [offerV1] }, choice)).toEqual(['x-payment'])
  })

  it('fits under a header limit just over one payment, however long the seller describes itself', () => {
    const resource = {
      url: 'https://s.test/v1',
      description: 'd'.repeat(6_000),
      mimeType: 'application/json',
      iconUrl: `data:image/png;base64,${'A'.repeat(4_000)}`,
      serviceName: 's'.repeat(500),
      tags: Array(100).fill('llm'),
    }
    const { value } = encodePayment({ ...decoded(), raw: offerV2 }, resource, { signature: '0x' })
    expect(value.length).toBeLessThan(1_000)
    expect(decodeBase64Json(value)).toMatchObject({
      accepted: offerV2,
      resource: { url: resource.url, mimeType: resource.mimeType },
    })
  })
})

describe('the resource of a payment', () => {
  it.each([
    [{ url: 'u' }, { url: 'u' }],
    [
      { url: 'u', description: 'short', mimeType: 'm', other: 1 },
      { url: 'u', description: 'short', mimeType: 'm' },
    ],
    [{ url: 'u', description: 'd'.repeat(201) }, { url: 'u' }],
    [{ url: 'u', description: {}, mimeType: null }, { url: 'u' }],
    ['https://s.test', undefined],
    [{ description: 'no url' }, undefined],
    [['u'], undefined],
    [null, undefined],
    [undefined, undefined],
  ])('%j is sent back as %j', (resource, echoed) => {
    expect(echoedResource(resource)).toEqual(echoed)
  })
})

function decoded() {
  const [offer] = decodeChallenge({
    header: () => encodeBase64Json(V2),
    body: Buffer.alloc(0),
    truncated: false,
  }).offers
  if (!offer) throw new Error('no offer')
  return offer
}
