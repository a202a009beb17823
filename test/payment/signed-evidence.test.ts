/** What sellers sign (extension `offer-receipt`), made by the official package. */
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import {
  createEIP712OfferReceiptIssuer,
  createJWSOfferReceiptIssuer,
  type OfferReceiptIssuer,
} from '@x402/extensions/offer-receipt'
import { describe, expect, it, vi } from 'vitest'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { PaidCall } from '../../src/payment/paid-call.ts'
import { NOW, reply, startEngine, type Engine } from '../kit/payment-engine.ts'
import { offerV2 } from '../kit/quotes.ts'
import { signed } from '../store/samples.ts'

const URL_CALLED = 'https://seller.test/v1/chat/completions'
const HASH = `0x${'ef'.repeat(32)}`
const SECRET = `0x${'5a'.repeat(65)}`
const REQUEST = { method: 'POST', url: URL_CALLED, headers: {}, body: Buffer.from('{"model":"m"}') }

const payee = privateKeyToAccount(generatePrivateKey())
const OFFER = { ...offerV2, payTo: payee.address }
const PAYER = signed(1).from

const issuerOf = (account: typeof payee): OfferReceiptIssuer =>
  createEIP712OfferReceiptIssuer(`did:pkh:eip155:1:${account.address}`, (typed) =>
    account.signTypedData(typed),
  )
const byPayee = issuerOf(payee)

interface Signs {
  readonly offer?: unknown
  readonly receipt?: unknown
}

/** The official issuer's statements about {@link OFFER}; the instant of the receipt is the engine's. */
async function statements(issuer: OfferReceiptIssuer): Promise<{ offer: object; receipt: object }> {
  const { scheme, network, asset, payTo, amount } = OFFER
  const terms = { acceptIndex: 0, scheme, network, asset, payTo, amount, offerValiditySeconds: 1e9 }
  const now = vi.spyOn(Date, 'now').mockReturnValue(NOW)
  try {
    const receipt = issuer.issueReceipt(URL_CALLED, PAYER, network, HASH)
    return { offer: await issuer.issueOffer(URL_CALLED, terms), receipt: await receipt }
  } finally {
    now.mockRestore()
  }
}

async function pay({ offer, receipt }: Signs): Promise<Engine> {
  const settled = {
    success: true,
    transaction: HASH,
    network: OFFER.network,
    payer: PAYER,
    extensions: receipt === undefined ? {} : { 'offer-receipt': { info: { receipt } } },
  }
  const engine = await startEngine({
    seller: () => reply(200, '{}', { 'payment-response': encodeBase64Json(settled) }),
    payer: {
      authorize: async () => ({
        kind: 'authorization',
        header: {
          name: 'payment-signature',
          value: encodeBase64Json({ payload: { signature: SECRET } }),
        },
        record: signed(1, { validBefore: NOW / 1000 + 60 }),
      }),
    },
  })
  const required = {
    x402Version: 2,
    accepts: [OFFER],
    resource: { url: URL_CALLED },
    extensions: offer === undefined ? {} : { 'offer-receipt': { info: { offers: [offer] } } },
  }
  const asked = reply(402, '{}', { 'payment-required': encodeBase64Json(required) })
  await new PaidCall(engine.call(), REQUEST).run(asked, 0)
  return engine
}

const detailsOf = ({ exchange }: Engine): Readonly<Record<string, unknown>> => exchange.record.details

describe('a seller that signs its offer and its receipt', () => {
  it('is evidence in the audit record when the payee signed it, and the answer says so', async () => {
    const { offer, receipt } = await statements(byPayee)
    const engine = await pay({ offer, receipt })
    expect(detailsOf(engine)).toMatchObject({
      signed_offer_check: 'verified',
      signed_receipt_check: 'verified',
      signed_offer: JSON.stringify(offer),
      signed_receipt: JSON.stringify(receipt),
    })
    expect(engine.exchange.payment).toMatchObject({
      evidence: 'offer=verified, receipt=verified',
      charge: { state: 'settled', proof: 'receipt' },
    })
    expect(await engine.store.flags()).toEqual([])
  })

  it('is not evidence when another key signed it, and nothing is wrong with it', async () => {
    const engine = await pay(await statements(issuerOf(privateKeyToAccount(generatePrivateKey()))))
    expect(engine.exchange.payment.evidence).toBe('offer=other_signer, receipt=other_signer')
    expect(detailsOf(engine)).not.toHaveProperty('signed_receipt')
    expect(await engine.store.flags()).toEqual([])
  })

  it.each(['offer', 'receipt'] as const)('may sign its %s alone', async (kind) => {
    const all = await statements(byPayee)
    const engine = await pay({ [kind]: all[kind] })
    expect(engine.exchange.payment.evidence).toBe(`${kind}=verified`)
  })

  it('says nothing where nothing is signed', async () => {
    const engine = await pay({})
    expect([engine.exchange.payment.evidence, Object.keys(detailsOf(engine))]).toEqual([undefined, []])
  })
})

describe('a signed statement that contradicts what was paid', () => {
  const change = (statement: object, members: object): object => ({
    ...statement,
    payload: { ...(statement as { payload: object }).payload, ...members },
  })

  it.each<[string, 'offer' | 'receipt', object, string]>([
    ['another amount', 'offer', { amount: '999' }, 'amount'],
    ['another payee', 'offer', { payTo: `0x${'11'.repeat(20)}` }, 'payTo'],
    ['another asset', 'offer', { asset: `0x${'11'.repeat(20)}` }, 'asset'],
    ['an offer that was over long ago', 'offer', { validUntil: 1 }, 'validUntil'],
    ['another resource', 'offer', { resourceUrl: 'https://seller.test/other' }, 'resourceUrl'],
    ['another payer', 'receipt', { payer: `0x${'11'.repeat(20)}` }, 'payer'],
    ['another network', 'receipt', { network: 'eip155:1' }, 'network'],
    ['another transaction', 'receipt', { transaction: `0x${'12'.repeat(32)}` }, 'transaction'],
    ['another time', 'receipt', { issuedAt: 1 }, 'issuedAt'],
    ['another version', 'receipt', { version: 2 }, 'version'],
  ])('is flagged and not kept: %s', async (_what, kind, members, name) => {
    const all = await statements(byPayee)
    const engine = await pay({ [kind]: change(all[kind], members) })
    const { charge } = engine.exchange.payment
    expect(engine.exchange.payment.evidence).toBe(`${kind}=wrong`)
    expect(await engine.store.flags()).toMatchObject([
      { charge: charge?.id, flag: 'evidence_wrong', detail: expect.stringContaining(name) },
    ])
    expect(detailsOf(engine)).not.toHaveProperty(`signed_${kind}`)
    expect(charge).toMatchObject({ state: 'settled' })
  })

  it.each<[string, unknown]>([
    ['a text', 'signed'],
    ['no signature', { format: 'eip712', payload: {} }],
    ['an unknown member', { format: 'eip712', payload: { more: 1 }, signature: SECRET }],
    ['two parts of a JWS', { format: 'jws', signature: 'e30.e30' }],
    ['a JWS of nothing', { format: 'jws', signature: '..' }],
  ])('is flagged when it cannot be read: %s', async (_what, receipt) => {
    const engine = await pay({ receipt })
    expect(await engine.store.flags()).toMatchObject([
      { flag: 'evidence_wrong', detail: expect.stringContaining('cannot be read') },
    ])
  })
})

describe('a statement as JWS', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')
  const didKey = `did:key:z${encodeBase58(Buffer.concat([Buffer.from('ed01', 'hex'), raw]))}`
  const jws = (kid: string, isRight = true): OfferReceiptIssuer =>
    createJWSOfferReceiptIssuer(kid, {
      kid,
      format: 'jws',
      algorithm: 'EdDSA',
      sign: async (bytes) =>
        sign(null, isRight ? bytes : Buffer.from('other'), privateKey).toString('base64url'),
    })

  it('is checked against the key that it carries, which is not the payee here', async () => {
    const engine = await pay(await statements(jws(`${didKey}#key-1`)))
    expect(engine.exchange.payment.evidence).toBe('offer=other_signer, receipt=other_signer')
  })

  it('is flagged when its signature is wrong', async () => {
    const { receipt } = await statements(jws(didKey, false))
    const engine = await pay({ receipt })
    expect(await engine.store.flags()).toMatchObject([{ flag: 'evidence_wrong' }])
  })

  it('is told as unresolved when its key would have to be fetched: nothing is', async () => {
    const engine = await pay(await statements(jws('did:web:seller.test#key-1')))
    expect(engine.exchange.payment.evidence).toBe('offer=not_resolved, receipt=not_resolved')
    expect(await engine.store.flags()).toEqual([])
  })

  it('is evidence when its secp256k1 key is the key of the payee', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    const jwk = pair.privateKey.export({ format: 'jwk' })
    const account = privateKeyToAccount(`0x${Buffer.from(jwk.d ?? '', 'base64url').toString('hex')}`)
    const { kty, crv, x, y } = jwk
    const kid = `did:jwk:${Buffer.from(JSON.stringify({ kty, crv, x, y })).toString('base64url')}`
    const issuer = createJWSOfferReceiptIssuer(kid, {
      kid,
      format: 'jws',
      algorithm: 'ES256K',
      sign: async (bytes) => {
        const key = createPrivateKey({ key: jwk, format: 'jwk' })
        return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')
      },
    })
    const { receipt } = await statements(issuer)
    const { checkOf } = await payeeIs(account.address, receipt)
    expect(checkOf).toBe('verified')
  })
})

/** The same receipt where this address is the payee. */
async function payeeIs(payTo: string, receipt: object): Promise<{ readonly checkOf: unknown }> {
  const previous = OFFER.payTo
  Object.assign(OFFER, { payTo })
  try {
    return { checkOf: detailsOf(await pay({ receipt }))['signed_receipt_check'] }
  } finally {
    Object.assign(OFFER, { payTo: previous })
  }
}

describe('rule 8: what a payee signs around our payment', () => {
  it('is not kept when our signature stands in it, however it is broken up', async () => {
    const hex = SECRET.slice(2)
    const host = `${hex.slice(0, 60)}.${hex.slice(60, 120)}.${hex.slice(120)}.test`
    const now = vi.spyOn(Date, 'now').mockReturnValue(NOW)
    const url = `https://${host}/v1/chat/completions`
    const receipt = await byPayee.issueReceipt(url, PAYER, OFFER.network, HASH)
    now.mockRestore()
    const engine = await pay({ receipt })
    expect(engine.exchange.payment.evidence).toBe('receipt=verified')
    expect(JSON.stringify(detailsOf(engine))).not.toContain('5a5a5a')
  })
})
