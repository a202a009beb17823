import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import {
  decodeChallenge,
  encodePayment,
  MAX_CHALLENGE_BYTES,
  type Challenge,
} from '../../src/core/x402/x402.ts'
import { decodeReceipt } from '../../src/core/x402/receipt.ts'
import { decodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'

const v2Offer = {
  scheme: 'exact',
  network: 'eip155:84532',
  amount: '1000',
  asset: '0xA',
  payTo: '0xB',
  maxTimeoutSeconds: 60,
  extra: {},
}
const v1Offer = {
  scheme: 'exact',
  network: 'base-sepolia',
  maxAmountRequired: '1000',
  asset: '0xA',
  payTo: '0xB',
  maxTimeoutSeconds: 60,
  resource: 'u',
}

function decode(headers: Record<string, string>, body: unknown = {}, truncated = false): Challenge {
  const bytes = typeof body === 'string' ? Buffer.from(body) : Buffer.from(JSON.stringify(body))
  return decodeChallenge({ header: (name) => headers[name], body: bytes, truncated })
}

function code(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof TollwayError) return error.code
    throw error
  }
  return 'none'
}

describe('decoding a 402', () => {
  test('reads v2 from the header and v1 from the body, networks in one spelling', () => {
    const v2 = decode({
      'payment-required': encodeBase64Json({ x402Version: 2, accepts: [v2Offer], resource: { url: 'u' } }),
    })
    const v1 = decode({}, { x402Version: 1, error: 'pay', accepts: [v1Offer] })
    expect(v2).toMatchObject({
      x402Version: 2,
      resource: { url: 'u' },
      offers: [{ network: 'eip155:84532', amount: '1000' }],
    })
    expect(v1).toMatchObject({
      x402Version: 1,
      error: 'pay',
      offers: [{ network: 'eip155:84532', amount: '1000' }],
    })
  })

  test('the header wins over the body', () => {
    const header = encodeBase64Json({ x402Version: 2, accepts: [v2Offer] })
    expect(decode({ 'payment-required': header }, { x402Version: 1, accepts: [v1Offer] }).x402Version).toBe(2)
  })

  test('v2 in the body alone is read too', () => {
    expect(decode({}, { x402Version: 2, accepts: [v2Offer] }).offers).toHaveLength(1)
  })

  test.each<[string, () => unknown, string]>([
    ['malformed base64', () => decode({ 'payment-required': '%%%not base64%%%' }), 'offer_undecodable'],
    [
      'base64 of no JSON',
      () => decode({ 'payment-required': Buffer.from('hello').toString('base64') }),
      'offer_undecodable',
    ],
    ['a body that is no JSON', () => decode({}, '<html>'), 'offer_undecodable'],
    ['an empty object', () => decode({}, {}), 'offer_undecodable'],
    ['a version nobody knows', () => decode({}, { x402Version: 3, accepts: [v2Offer] }), 'offer_undecodable'],
    ['accepts that is no list', () => decode({}, { x402Version: 2, accepts: {} }), 'offer_undecodable'],
    [
      'offers none of which can be read',
      () => decode({}, { x402Version: 2, accepts: [{ scheme: 'exact' }] }),
      'offer_undecodable',
    ],
    ['no offers', () => decode({}, { x402Version: 2, accepts: [] }), 'offer_empty'],
    ['a cut body', () => decode({}, 'x', true), 'offer_too_large'],
    [
      'a header over the cap',
      () => decode({ 'payment-required': 'A'.repeat(MAX_CHALLENGE_BYTES + 1) }),
      'offer_too_large',
    ],
    [
      'MPP alone',
      () => decode({ 'www-authenticate': 'Payment id="1", method="solana"' }, { error: 'x' }),
      'no_supported_offer',
    ],
    [
      'SIWX alone',
      () => decode({}, { x402Version: 2, accepts: [], extensions: { 'sign-in-with-x': {} } }),
      'no_supported_offer',
    ],
  ])('%s is refused with its code', (_what, run, expected) => {
    expect(code(run)).toBe(expected)
  })

  test.each([
    ['Payment id="1", method="tempo", intent="charge"', "tempo/charge: no payer signs Tempo's transactions"],
    [
      'Bearer realm="a", Payment intent=charge, id="1", method=evm, Payment method="solana", intent="session"',
      'evm/charge: its challenge has no id or no realm; solana/session: sessions pay from a deposit, which no budget here bounds',
    ],
    [
      'Payment method="tempo", intent="charge", Payment method="tempo", intent="charge"',
      "tempo/charge: no payer signs Tempo's transactions",
    ],
    ['Payment id="1", description="\u001b[31m"', 'no readable method'],
    ['Payment method="<b>", intent="charge"', 'no readable method'],
  ])('a 402 of MPP alone is refused with the methods that it offers: %s', (header, named) => {
    expect(() => decode({ 'www-authenticate': header }, { error: 'x' })).toThrow(
      `The seller offers only MPP (WWW-Authenticate: Payment; ${named}), which no payer supports. Nothing was signed.`,
    )
  })

  test('any bytes whatever give a challenge or a TollwayError, never a crash', () => {
    const json = fc.oneof(
      fc.json(),
      fc
        .record({ x402Version: fc.constantFrom(1, 2, 3), accepts: fc.anything() })
        .map((value) => JSON.stringify(value) ?? ''),
    )
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), json),
        fc.option(
          fc.oneof(
            fc.base64String(),
            json.map((text) => Buffer.from(text).toString('base64')),
          ),
        ),
        (body, header) => {
          code(() => decode(header === null ? {} : { 'payment-required': header }, body))
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('receipts', () => {
  test('reads either header and keeps only a well-formed transaction', () => {
    const hash = `0x${'Ab'.repeat(32)}`
    const value = encodeBase64Json({
      success: true,
      transaction: hash,
      payer: '0x1',
      network: 'eip155:84532',
    })
    for (const name of ['payment-response', 'x-payment-response']) {
      expect(decodeReceipt((asked) => (asked === name ? value : undefined))).toMatchObject({
        success: true,
        transaction: hash.toLowerCase(),
      })
    }
    const odd = encodeBase64Json({ success: true, transaction: 'evil\r\nheader: x' })
    expect(decodeReceipt(() => odd)).toMatchObject({ success: true, transaction: undefined })
  })

  test.each(['', '%%', encodeBase64Json({ success: 'yes' }), encodeBase64Json([]), encodeBase64Json(null)])(
    'junk %j is no receipt',
    (value) => {
      expect(decodeReceipt(() => value)).toBeUndefined()
    },
  )
})

describe('encoding a payment', () => {
  test('v2 carries the accepted entry verbatim, v1 the scheme and network as offered', () => {
    const [v2] = decode({}, { x402Version: 2, accepts: [{ ...v2Offer, odd: [1] }] }).offers
    const [v1] = decode({}, { x402Version: 1, accepts: [v1Offer] }).offers
    if (!v2 || !v1) throw new Error('no offers')
    const paid2 = encodePayment(v2, { url: 'u' }, { signature: '0x' })
    expect(paid2.name).toBe('payment-signature')
    expect(decodeBase64Json(paid2.value)).toEqual({
      x402Version: 2,
      payload: { signature: '0x' },
      resource: { url: 'u' },
      accepted: { ...v2Offer, odd: [1] },
    })
    const paid1 = encodePayment(v1, undefined, { signature: '0x' })
    expect(paid1.name).toBe('x-payment')
    expect(decodeBase64Json(paid1.value)).toEqual({
      x402Version: 1,
      scheme: 'exact',
      network: 'base-sepolia',
      payload: { signature: '0x' },
    })
  })

  test('base64 JSON reads back whatever was written', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(decodeBase64Json(encodeBase64Json(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
