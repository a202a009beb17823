/** What goes back of a seller's extensions with the payment: held against the official seller's own checks. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodePaymentSignatureHeader } from '@x402/core/http'
import { x402ResourceServer } from '@x402/core/server'
import type { PaymentPayload, PaymentRequired } from '@x402/core/types'
import {
  declarePaymentIdentifierExtension,
  extractAndValidatePaymentIdentifier,
  validatePaymentIdentifierRequirement,
} from '@x402/extensions/payment-identifier'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { direct } from '../../providers/direct/direct.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { vetOffers, type Quote } from '../../src/core/policy/gate.ts'
import { echoedExtensions, paymentExtensions } from '../../src/core/x402/extensions.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { decodeChallenge } from '../../src/core/x402/x402.ts'
import { offerV1, offerV2, origin } from '../kit/quotes.ts'

const CHARGE = 'chg_01hzy3k5q8w7e6r5t4y3u2i1'
const never = new AbortController().signal
let folder = ''
let payer: Provider

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollway-extensions-'))
  const path = join(folder, 'key')
  await writeFile(path, `${localAccounts().buyer.privateKey}\n`)
  await chmod(path, 0o600)
  payer = await direct({ key: { source: 'file', path }, networks: ['base-sepolia'] })
})
afterAll(async () => {
  await payer.close()
  await rm(folder, { recursive: true, force: true })
})

function required(extensions: unknown, version: 1 | 2 = 2): PaymentRequired {
  const accepts = [version === 2 ? offerV2 : offerV1]
  return {
    x402Version: version,
    accepts,
    resource: { url: `${origin}/v1` },
    extensions,
  } as unknown as PaymentRequired
}

function quoteWith(extensions: unknown, version: 1 | 2 = 2): Quote {
  const message = required(extensions, version)
  const challenge = decodeChallenge({
    header: (name) => (version === 2 && name === 'payment-required' ? encodeBase64Json(message) : undefined),
    body: Buffer.from(version === 1 ? JSON.stringify(message) : '{}'),
    truncated: false,
  })
  return vetOffers(challenge, origin, {
    networks: [offerV2.network],
    assets: BUILT_IN_ASSETS,
    origins: new Set([origin]),
    maxMicroUsd: 100_000n,
    maxValiditySeconds: 600,
    payees: () => undefined,
    supports: () => true,
  })[0]
}

async function paymentFor(extensions: unknown, charge = CHARGE): Promise<PaymentPayload> {
  const { header } = await payer.authorize(quoteWith(extensions), charge, never)
  return decodePaymentSignatureHeader(header.value)
}

const isEchoed = (extensions: unknown, payload: PaymentPayload): unknown =>
  new x402ResourceServer().validateExtensions(required(extensions), payload)

describe('payment-identifier', () => {
  test.each([true, false])(
    'carries the id of the charge, required: %s, as the official seller checks it',
    async (isRequired) => {
      const extensions = { 'payment-identifier': declarePaymentIdentifierExtension(isRequired) }
      const payload = await paymentFor(extensions)
      expect(extractAndValidatePaymentIdentifier(payload)).toEqual({
        id: CHARGE,
        validation: { valid: true },
      })
      expect(validatePaymentIdentifierRequirement(payload, isRequired)).toEqual({ valid: true })
      expect(isEchoed(extensions, payload)).toEqual({ valid: true })
    },
  )

  test('is the same for a second signature of the same charge, and another for another charge', async () => {
    const extensions = { 'payment-identifier': declarePaymentIdentifierExtension() }
    const idOf = async (charge: string): Promise<unknown> =>
      extractAndValidatePaymentIdentifier(await paymentFor(extensions, charge)).id
    expect([await idOf(CHARGE), await idOf(CHARGE)]).toEqual([CHARGE, CHARGE])
    expect(await idOf(`${CHARGE}x`)).toBe(`${CHARGE}x`)
  })

  test.each<[string, unknown]>([
    ['an id of the seller', { info: { required: false, id: 'seller_chose_this_one' } }],
    ['no info', { schema: {} }],
    ['a text', 'yes'],
    ['null', null],
    ['a list as info', { info: [1] }],
  ])('leaves %s as it came', async (_what, extension) => {
    const extensions = { 'payment-identifier': extension }
    const payload = await paymentFor(extensions)
    expect(payload.extensions).toEqual(extensions)
    expect(isEchoed(extensions, payload)).toEqual({ valid: true })
  })

  test('is not sent to a seller that does not ask for it, nor in version 1', async () => {
    expect((await paymentFor(undefined)).extensions).toBeUndefined()
    expect((await paymentFor({})).extensions).toBeUndefined()
    const quote = quoteWith({ 'payment-identifier': declarePaymentIdentifierExtension() }, 1)
    const { header } = await payer.authorize(quote, CHARGE, never)
    expect(Buffer.from(header.value, 'base64').toString()).not.toContain('payment-identifier')
  })
})

describe('other extensions', () => {
  const builder = { info: { a: 'app_1', s: ['x'] }, schema: { type: 'object' } }

  test('go back as they came', async () => {
    const extensions = { 'builder-code': builder, custom: { info: { token: 'abc' } }, bare: 7 }
    const payload = await paymentFor(extensions)
    expect(payload.extensions).toEqual(extensions)
    expect(isEchoed(extensions, payload)).toEqual({ valid: true })
  })

  test('a sign-in challenge and large ones are left out; the identifier goes first', async () => {
    const large = { info: { text: 'x'.repeat(5_000) } }
    const extensions = {
      large,
      'sign-in-with-x': { info: { nonce: 'n'.repeat(16) } },
      'builder-code': builder,
      'payment-identifier': declarePaymentIdentifierExtension(),
    }
    const payload = await paymentFor(extensions)
    expect(Object.keys(payload.extensions ?? {}).toSorted()).toEqual(['builder-code', 'payment-identifier'])
    expect(isEchoed(extensions, payload)).toEqual({ valid: true })
  })

  test('what the payer signed goes before what the seller sent under the same name', () => {
    const signed = { eip2612GasSponsoring: { info: { signature: '0x1' } } }
    expect(paymentExtensions({ eip2612GasSponsoring: {}, a: 1 }, CHARGE, signed)).toEqual({ ...signed, a: 1 })
  })

  test('whatever a seller sends, the official check of the echo passes and the echo is bounded', () => {
    // The official check looks names up in a plain object, and breaks off at those that every object has.
    const name = fc.string({ maxLength: 30 }).filter((text) => !(text in {}))
    const extensions = fc.dictionary(name, fc.jsonValue(), { maxKeys: 8 })
    fc.assert(
      fc.property(extensions, (sent) => {
        const asked = JSON.parse(JSON.stringify(sent)) as Record<string, unknown>
        const echo = paymentExtensions(echoedExtensions(asked), CHARGE, undefined)
        expect(JSON.stringify(echo ?? {}).length).toBeLessThan(2_200)
        expect(isEchoed(asked, { x402Version: 2, extensions: echo } as unknown as PaymentPayload)).toEqual({
          valid: true,
        })
      }),
    )
  })
})

describe('rule 6: an extension that the seller insists on and no payer serves is refused by name before signing:', () => {
  test.each<[string, unknown]>([
    ['http-message-signatures', { info: { required: true } }],
    ['operation-binding', { required: true, info: {} }],
    ['kyc', { info: { required: 'true' } }],
    ['erc20ApprovalGasSponsoring', { info: { required: true } }],
    ['sign-in-with-x', { info: { required: true } }],
  ])('%s', (name, extension) => {
    expect(() => quoteWith({ [name]: extension })).toThrow(
      expect.objectContaining({
        code: 'no_supported_offer',
        message: expect.stringContaining(`the extension ${name},`),
      }),
    )
  })

  test('but not one that is optional, nor one that an echo serves', () => {
    const extensions = {
      kyc: { info: { required: false } },
      other: { info: { required: 0 } },
      'builder-code': { info: { required: true } },
      'payment-identifier': { info: { required: true } },
    }
    expect(quoteWith(extensions).amount).toBe(1000n)
  })
})
