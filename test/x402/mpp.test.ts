/** The challenges of MPP: what is read of them, and which of them become offers. */
import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { Challenge as Official, Credential } from 'mppx'
import { describe, expect, test } from 'vitest'
import { TollwayError } from '../../src/core/errors.ts'
import { vetOffers } from '../../src/core/policy/gate.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { encodeMppCredential } from '../../src/core/x402/mpp-charge.ts'
import { readPaymentChallenges } from '../../src/core/x402/mpp-challenge.ts'
import { paymentSecrets } from '../../src/core/x402/payment-secrets.ts'
import { decodeReceipt } from '../../src/core/x402/receipt.ts'
import { RememberedTerms } from '../../src/core/x402/remembered-terms.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { decodeChallenge, type Challenge } from '../../src/core/x402/x402.ts'
import { fitCharges } from '../../src/payment/mpp/fit-charges.ts'
import { offerV2, origin, payee } from '../kit/quotes.ts'

const DATE = 'Tue, 01 Dec 2026 00:00:00 GMT'
const REQUEST = {
  amount: '1000',
  currency: offerV2.asset,
  recipient: payee,
  methodDetails: { chainId: 84532, credentialTypes: ['authorization'], decimals: 6 },
}

/** As the official package writes it. */
function headerOf(change: object = {}, request: object = {}): string {
  return Official.serialize(
    Official.from({
      id: 'the-id',
      realm: 'seller.test',
      method: 'evm',
      intent: 'charge',
      request: { ...REQUEST, ...request },
      expires: '2026-12-01T00:05:00.000Z',
      ...change,
    }),
  )
}

function decode(header: string, more: Record<string, string> = {}): Challenge {
  const headers: Record<string, string> = { 'www-authenticate': header, date: DATE, ...more }
  return decodeChallenge({ header: (name) => headers[name], body: Buffer.from('{}'), truncated: false })
}

const both = (header: string, ...accepts: object[]): Challenge =>
  decode(header, { 'payment-required': encodeBase64Json({ x402Version: 2, accepts }) })

const policy = {
  networks: ['eip155:84532'],
  assets: BUILT_IN_ASSETS,
  origins: new Set([origin]),
  maxMicroUsd: 100_000n,
  maxValiditySeconds: 600,
  payees: () => undefined,
  supports: () => true,
}

const messageOf = (run: () => unknown): string => {
  try {
    run()
  } catch (error) {
    if (error instanceof TollwayError) return `${error.code}: ${error.message}`
    throw error
  }
  return 'none'
}

describe('an evm/charge', () => {
  test('is an offer with its own amount, payee, token and chain, for as long as its seller says', () => {
    const [quote] = vetOffers(decode(headerOf()), origin, policy)
    expect(quote).toMatchObject({
      amount: 1000n,
      payTo: payee.toLowerCase(),
      method: 'eip3009',
      validitySeconds: 300,
    })
    expect(quote.asset.network).toBe('eip155:84532')
  })

  test('rule 6: it is signed for no longer than the policy allows, however late it ends', () => {
    const [quote] = vetOffers(decode(headerOf({ expires: '2027-12-01T00:00:00Z' })), origin, policy)
    expect(quote.validitySeconds).toBe(600)
    const [open] = vetOffers(decode(headerOf({ expires: undefined })), origin, policy)
    expect(open.validitySeconds).toBe(600)
  })

  test.each<[string, object, object, string]>([
    [
      'splits',
      {},
      { methodDetails: { ...REQUEST.methodDetails, splits: [{ amount: '1', recipient: payee }] } },
      'splits the money',
    ],
    [
      'other credentials',
      {},
      { methodDetails: { ...REQUEST.methodDetails, credentialTypes: ['permit2'] } },
      'takes no EIP-3009',
    ],
    ['no credential types', {}, { methodDetails: { chainId: 84532 } }, 'takes no EIP-3009'],
    ['no chain', {}, { methodDetails: { credentialTypes: ['authorization'] } }, 'names no chain'],
    [
      'a chain in words',
      {},
      { methodDetails: { ...REQUEST.methodDetails, chainId: '84532' } },
      'names no chain',
    ],
    ['no recipient', {}, { recipient: undefined }, 'names no token or no recipient'],
    ['another header', { header: 'X-Pay' }, {}, 'another header'],
    ['an end in the past', { expires: '2026-11-30T23:59:59Z' }, {}, 'has expired'],
    ['more than can be sent back', { description: 'x'.repeat(9_000) }, {}, 'too long'],
  ])('with %s is not paid, and the refusal says why', (_what, change, request, why) => {
    expect(messageOf(() => decode(headerOf(change, request)))).toMatch(
      new RegExp(`^no_supported_offer: .*evm/charge: .*${why}`),
    )
  })

  test.each<[string, object, RegExp]>([
    ['a fraction', { amount: '1.5' }, /amount_invalid/],
    ['a number', { amount: 1000 }, /amount_invalid/],
    ['zero', { amount: '0' }, /amount_zero/],
    ['more than the ceiling', { amount: '100001' }, /price_above_limit/],
    ['another token', { currency: `0x${'ab'.repeat(20)}` }, /asset_not_allowed/],
    ['another chain', { methodDetails: { ...REQUEST.methodDetails, chainId: 8453 } }, /network_not_allowed/],
    ['the token as payee', { recipient: offerV2.asset }, /payee_not_allowed/],
    ['no address as payee', { recipient: '0xB' }, /payee_not_allowed/],
  ])('rule 6: with %s it does not pass the gate', (_what, request, code) => {
    expect(messageOf(() => vetOffers(decode(headerOf({}, request)), origin, policy))).toMatch(code)
  })

  test('is never signed in advance', () => {
    const message = messageOf(() => vetOffers(decode(headerOf()), origin, { ...policy, lifeSeconds: 60 }))
    expect(message).toMatch(/no_supported_offer: .*nothing can be signed in advance/)
  })

  test('for another body, or beside credentials of the request, is left out', () => {
    const body = Buffer.from('{"model":"m"}')
    const digest = `sha-256=${createHash('sha256').update(body).digest('base64')}`
    const challenge = decode(headerOf({ digest }))
    expect(fitCharges(challenge, { headers: {}, body }).offers).toHaveLength(1)
    expect(messageOf(() => fitCharges(challenge, { headers: {}, body: Buffer.from('{}') }))).toMatch(
      /another body/,
    )
    expect(messageOf(() => fitCharges(challenge, { headers: { Authorization: 'Bearer x' }, body }))).toMatch(
      /takes the header Authorization/,
    )
    const kept = fitCharges(both(headerOf({ digest }), offerV2), { headers: {}, body: undefined })
    expect(kept.offers.map(({ scheme }) => scheme)).toEqual(['exact'])
  })
})

describe('a 402 with x402 and MPP', () => {
  test('is paid by x402 at the same price, and by MPP where that is cheaper or nothing else is payable', () => {
    const schemes = (challenge: Challenge) =>
      vetOffers(challenge, origin, policy).map(({ offer }) => offer.scheme)
    expect(schemes(both(headerOf(), offerV2))).toEqual(['exact', 'charge'])
    expect(schemes(both(headerOf({}, { amount: '900' }), offerV2))).toEqual(['charge', 'exact'])
    expect(schemes(both(headerOf(), { ...offerV2, network: 'eip155:1' }))).toEqual(['charge'])
    expect(schemes(both(headerOf(), { scheme: 'exact' }))).toEqual(['charge'])
  })

  test('names the methods that are not paid beside the offers', () => {
    const challenge = both(
      `${headerOf()}, Payment id="2", realm="r", method="stripe", intent="charge", request="e30"`,
      offerV2,
    )
    expect(challenge.others).toEqual([
      'MPP (WWW-Authenticate: Payment; stripe/charge: it needs an account at Stripe)',
    ])
  })

  test('is remembered by its x402 offer alone, and never where MPP asks for something else', () => {
    const remember = (make: (n: number) => Challenge): number | undefined => {
      const terms = new RememberedTerms()
      const question = (size: number) => ({ seller: 's', key: 'k', shape: 'x', size })
      for (let n = 1; n <= 6; n += 1) terms.note(question(n), make(n), undefined, n)
      return terms.recall(question(9), 7)?.challenge.offers.length
    }
    expect(remember((n) => both(headerOf({ id: `id-${n}` }), offerV2))).toBe(1)
    expect(remember((n) => both(headerOf({ id: `id-${n}` }, { amount: '900' }), offerV2))).toBeUndefined()
    expect(remember((n) => decode(headerOf({ id: `id-${n}` })))).toBeUndefined()
  })
})

describe('the wire', () => {
  test('a credential is read by the official package as it was challenged', () => {
    const description = 'a "quoted" \\ text with \u20ac'
    const header = headerOf({ description, meta: { order: '7' } })
    const [params] = readPaymentChallenges(header)
    const { name, value } = encodeMppCredential(
      { params: Object.fromEntries(params ?? []) },
      { type: 'authorization' },
      'did:pkh:eip155:84532:0xA',
    )
    expect(name).toBe('authorization')
    const read = Credential.deserialize(value)
    expect(read.challenge).toMatchObject({
      id: 'the-id',
      realm: 'seller.test',
      description,
      request: REQUEST,
    })
    expect(read).toMatchObject({ source: 'did:pkh:eip155:84532:0xA', payload: { type: 'authorization' } })
  })

  test('any list of challenges is read as the official package reads it, beside other schemes', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', 'Z', '"', '\\', ',', ' ', '=', 'Payment ', '\u20ac'),
      maxLength: 12,
    })
    const list = fc.array(
      fc.record({ id: text.filter((one) => one !== ''), realm: text, description: text }),
      {
        minLength: 1,
        maxLength: 4,
      },
    )
    fc.assert(
      fc.property(list, fc.boolean(), (all, isBehind) => {
        const written = all.map((one) =>
          Official.serialize(Official.from({ ...one, method: 'evm', intent: 'charge', request: REQUEST })),
        )
        const header = [
          ...(isBehind ? ['Bearer realm="Payment id=1"', 'Negotiate abc=='] : []),
          ...written,
        ].join(', ')
        const read = readPaymentChallenges(header)
        expect(read.map((one) => one?.get('id'))).toEqual(all.map(({ id }) => id))
        expect(read.map((one) => one?.get('realm'))).toEqual(all.map(({ realm }) => realm))
      }),
    )
  })

  test.each([
    ['a parameter twice', 'Payment id="1", id="2", realm="r", method="evm", intent="charge"'],
    ['a text that breaks off', 'Payment id="1", realm="r'],
    ['a text without a name', 'Payment id="1", "x", realm="r"'],
  ])('a challenge with %s is unreadable', (_what, header) => {
    expect(readPaymentChallenges(header)).toEqual([undefined])
    expect(messageOf(() => decode(header))).toMatch(/no_supported_offer: .*Payment; unreadable/)
  })

  test('any text whatever is read within its length, and never a crash', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('Payment', ' ', '"', '\\', '=', ',', 'a', '\n'), maxLength: 60 }),
        (header) => {
          expect(readPaymentChallenges(header).length).toBeLessThanOrEqual(32)
        },
      ),
    )
    expect(readPaymentChallenges('Payment a="x", '.repeat(20_000)).length).toBe(32)
  })

  test('a receipt is read from Payment-Receipt, and only about a success', () => {
    const hash = `0x${'AB'.repeat(32)}`
    const encode = (receipt: object) => Buffer.from(JSON.stringify(receipt)).toString('base64url')
    const read = (receipt: object) =>
      decodeReceipt((name) => (name === 'payment-receipt' ? encode(receipt) : undefined))
    expect(read({ status: 'success', method: 'evm', reference: hash, timestamp: 'x' })).toMatchObject({
      success: true,
      transaction: hash.toLowerCase(),
    })
    expect(read({ status: 'success', reference: 7 })).toMatchObject({ success: true, transaction: undefined })
    expect(read({ status: 'failed', reference: hash })).toBeUndefined()
  })

  test('rule 8: the signature in a credential is among the texts that are money', () => {
    const signature = `0x${'12'.repeat(65)}`
    const { value } = encodeMppCredential({ params: { id: 'a' } }, { signature }, 'did:x')
    const secrets = paymentSecrets(value)
    expect(secrets).toContain(signature)
    expect(secrets).toContain(value.slice('Payment '.length))
  })
})
