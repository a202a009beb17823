/** Where and in which spelling sellers put offers and receipts: of several places the readable one counts. */
import { describe, expect, it } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { decodeReceipt, receiptInBody } from '../../src/core/x402/receipt.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { decodeChallenge, type Challenge } from '../../src/core/x402/x402.ts'
import { offerV1, offerV2 } from '../kit/quotes.ts'

const V2 = { x402Version: 2, accepts: [offerV2], resource: { url: 'https://s.test/v1' }, error: 'müssen' }
const V1 = { x402Version: 1, accepts: [offerV1] }
const JSON_V2 = JSON.stringify(V2)
const BASE64 = encodeBase64Json(V2)
const URL_SAFE = Buffer.from(JSON_V2).toString('base64url')
const EMPTY = { ...V2, accepts: [] }
const UNREADABLE = { ...V2, accepts: [{ scheme: 'exact' }] }

function decode(headers: Readonly<Record<string, string>>, body: string | Uint8Array = '{}'): Challenge {
  return decodeChallenge({ header: (name) => headers[name], body: Buffer.from(body), truncated: false })
}

describe('offers are read', () => {
  it.each<[string, string]>([
    ['base64', BASE64],
    ['base64 without padding', BASE64.replace(/=+$/, '')],
    ['base64 with more padding than it needs', `${BASE64.replace(/=+$/, '')}===`],
    ['base64url', URL_SAFE],
    ['base64url with padding', `${URL_SAFE}==`.slice(0, Math.ceil(URL_SAFE.length / 4) * 4)],
    ['base64 in quotes', `"${BASE64}"`],
    ['base64url in single quotes', `'${URL_SAFE}'`],
    ['base64 as a structured field', `:${BASE64}:`],
    ['base64 with blanks in it', ` ${BASE64.slice(0, 76)} ${BASE64.slice(76)} `],
    ['base64 of JSON behind a byte order mark', Buffer.from(`\u{feff}${JSON_V2}`).toString('base64')],
    ['plain JSON', JSON_V2],
    ['plain JSON behind blanks', `  ${JSON_V2}`],
    ['plain JSON in quotes', JSON.stringify(JSON_V2)],
    ['percent-encoded JSON', encodeURIComponent(JSON_V2)],
    ['two headers, the first of them junk', `junk!, ${BASE64}`],
    ['two headers of plain JSON', `${JSON_V2}, ${JSON_V2}`],
  ])('from a header of %s', (_name, value) => {
    expect(decode({ 'payment-required': value })).toMatchObject({
      x402Version: 2,
      offers: [{ raw: offerV2 }],
    })
    expect(decode({ 'x-payment-required': value }).offers).toHaveLength(1)
  })

  it.each<[string, Record<string, string>, unknown, 1 | 2]>([
    ['the second header beside junk', { 'payment-required': '%%%', 'x-payment-required': BASE64 }, {}, 2],
    ['a v2 body beside junk', { 'payment-required': 'junk' }, V2, 2],
    ['a v1 body beside a junk header', { 'payment-required': 'junk' }, V1, 1],
    ['a v1 body beside a header without offers', { 'payment-required': encodeBase64Json(EMPTY) }, V1, 1],
    ['a v1 body beside unreadable offers', { 'payment-required': encodeBase64Json(UNREADABLE) }, V1, 1],
    [
      'a v1 body beside a version of the future',
      { 'payment-required': encodeBase64Json({ ...V2, x402Version: 3 }) },
      V1,
      1,
    ],
    ['a v1 body beside a header that is too large', { 'payment-required': 'A'.repeat(70_000) }, V1, 1],
    ['the header first, though the body is readable', { 'payment-required': BASE64 }, V1, 2],
    ["FastAPI's detail", {}, { detail: V1 }, 1],
    ['an error that wraps it', {}, { error: V2 }, 2],
    ['a version that is a text', {}, { ...V2, x402Version: '2' }, 2],
  ])('from %s', (_name, headers, body, version) => {
    const challenge = decode(headers, JSON.stringify(body))
    expect([challenge.x402Version, challenge.offers.length]).toEqual([version, 1])
  })

  it.each<[string, Uint8Array]>([
    ['UTF-8 with a byte order mark', Buffer.from(`\u{feff}${JSON_V2}`)],
    ['UTF-16 with a byte order mark, little-endian', Buffer.from(`\u{feff}${JSON_V2}`, 'utf16le')],
    ['UTF-16 with a byte order mark, big-endian', Buffer.from(`\u{feff}${JSON_V2}`, 'utf16le').swap16()],
    ['UTF-16 without one', Buffer.from(JSON_V2, 'utf16le')],
    ['big-endian UTF-16 without one', Buffer.from(JSON_V2, 'utf16le').swap16()],
    ['base64', Buffer.from(BASE64)],
    ['a JSON text of base64', Buffer.from(JSON.stringify(BASE64))],
  ])('from a body of %s', (_name, body) => {
    expect(decode({}, body)).toMatchObject({ error: 'müssen', offers: [{ raw: offerV2 }] })
  })

  it('and the payment is sent under both names to sellers that do not send the header of v2', () => {
    expect(decode({ 'x-payment-required': BASE64 }).readsXPayment).toBe(true)
    expect(decode({ 'payment-required': 'junk' }, JSON_V2).readsXPayment).toBe(false)
  })

  it.each<[string, unknown]>([
    ['a number', 1000],
    ['a number in a text with a sign', '+1000'],
    ['hexadecimal', '0x3e8'],
    ['a decimal fraction', '1000.0'],
    ['spaced', ' 1000 '],
  ])('and amounts stay strict: %s is kept as it came, for the gate to refuse', (_name, amount) => {
    const [offer] = decode({
      'payment-required': JSON.stringify({ ...V2, accepts: [{ ...offerV2, amount }] }),
    }).offers
    expect(offer?.amount).toBe(amount)
  })

  it.each<[string, Record<string, string>, string, RegExp]>([
    ['the header', { 'payment-required': 'junk' }, '{}', /PAYMENT-REQUIRED header/],
    ['the second header', { 'x-payment-required': '"junk"' }, '{}', /X-PAYMENT-REQUIRED header/],
    ['the body', {}, 'junk', /its body/],
    ['a cut spelling', { 'payment-required': '%7Bjunk%' }, '', /PAYMENT-REQUIRED header/],
  ])('and of unreadable ones the first place is named: %s', (_name, headers, body, told) => {
    expect(() => decode(headers, body)).toThrow(TollwayError)
    expect(() => decode(headers, body)).toThrow(told)
  })
})

const HASH = `0x${'Ab'.repeat(32)}`
const PAID = { success: true, transaction: HASH, network: offerV2.network }
const FAILED = { success: false, errorReason: 'settlement_pending', transaction: HASH }

describe('receipts are read', () => {
  const read = (headers: Record<string, string>) => decodeReceipt((name) => headers[name])

  it.each<[string, Record<string, string>]>([
    [
      'the older header beside junk',
      { 'payment-response': '%%', 'x-payment-response': encodeBase64Json(PAID) },
    ],
    [
      'the older header beside JSON that is no receipt',
      { 'payment-response': encodeBase64Json({ ok: 1 }), 'x-payment-response': encodeBase64Json(PAID) },
    ],
    [
      'the header that says paid, of two that differ',
      { 'payment-response': encodeBase64Json(FAILED), 'x-payment-response': encodeBase64Json(PAID) },
    ],
    ['plain JSON', { 'payment-response': JSON.stringify(PAID) }],
    [
      'base64url in quotes',
      { 'x-payment-response': `"${Buffer.from(JSON.stringify(PAID)).toString('base64url')}"` },
    ],
    ['the second of two values', { 'payment-response': `junk, ${encodeBase64Json(PAID)}` }],
    [
      'a transaction under another name',
      { 'payment-response': encodeBase64Json({ success: true, txHash: HASH }) },
    ],
  ])('from %s', (_name, headers) => {
    expect(read(headers)).toMatchObject({ success: true, transaction: HASH.toLowerCase() })
  })

  it.each<[string, unknown, object | undefined]>([
    ['a bare receipt', PAID, { success: true }],
    ['a receipt inside', { error: 'upstream failed', paymentResponse: PAID }, { success: true }],
    [
      'a failed one with its reason',
      { receipt: { success: false, errorReason: 'expired' } },
      { success: false },
    ],
    ['a pending one', { settlement: FAILED }, { transaction: HASH.toLowerCase() }],
    ['success of something else', { success: true, data: [] }, undefined],
    ['failure of something else', { success: false, error: 'bad model' }, undefined],
    ['a claim without a transaction', { success: true, transaction: 'soon' }, undefined],
    ['a list', [PAID], undefined],
  ])('from a body: %s', (_name, body, found) => {
    const receipt = receiptInBody(Buffer.from(JSON.stringify(body)))
    if (found) expect(receipt).toMatchObject(found)
    else expect(receipt).toBeUndefined()
  })
})

it.each(['Base-Sepolia', 'BASE-SEPOLIA', 'EIP155:84532', ' eip155:84532 '])(
  'a network is known in any case, and echoed as it was written: %j',
  (network) => {
    const body = Buffer.from(JSON.stringify({ x402Version: 2, accepts: [{ ...offerV2, network }] }))
    const [offer] = decodeChallenge({ header: () => undefined, body, truncated: false }).offers
    expect([offer?.network, offer?.raw['network']]).toEqual(['eip155:84532', network])
  },
)
