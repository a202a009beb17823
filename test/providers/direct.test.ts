import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodePaymentSignatureHeader } from '@x402/core/http'
import { PaymentPayloadV1Schema, PaymentPayloadV2Schema } from '@x402/core/schemas'
import { recoverTypedDataAddress } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { direct, type DirectOptions } from '../../providers/direct/direct.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import { TRANSFER_WITH_AUTHORIZATION } from '../../src/core/payer/typed-message.ts'
import { ConfigError } from '../../src/core/errors.ts'
import type { Authorization, Provider } from '../../src/core/payer/provider.ts'
import { vetOffers, type Quote } from '../../src/core/policy/gate.ts'
import { decodeChallenge } from '../../src/core/x402/x402.ts'
import { decodeReceipt } from '../../src/core/x402/receipt.ts'
import { chatRequest } from '../kit/official-client.ts'
import { offerV2, origin, quoteOf } from '../kit/quotes.ts'
import { describeProvider } from './conformance.ts'

const never = new AbortController().signal
const { buyer } = localAccounts()
const Hex = z.templateLiteral(['0x', z.string()])
const Payload = z.object({
  signature: Hex,
  authorization: z.object({
    from: Hex,
    to: Hex,
    value: z.string(),
    validAfter: z.string(),
    validBefore: z.string(),
    nonce: Hex,
  }),
})

let folder = ''
let keyPath = ''
const providers: Provider[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollway-direct-'))
  keyPath = join(folder, 'key')
  await writeFile(keyPath, `${buyer.privateKey}\n`)
  await chmod(keyPath, 0o600)
})
afterEach(async () => {
  for (const provider of providers.splice(0)) await provider.close()
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function payer(options: Partial<Omit<DirectOptions, 'key' | 'account'>> = {}): Promise<Provider> {
  const provider = await direct({
    key: { source: 'file', path: keyPath },
    networks: ['base-sepolia'],
    ...options,
  })
  providers.push(provider)
  return provider
}

describeProvider('direct', () =>
  direct({ key: { source: 'file', path: keyPath }, networks: ['base-sepolia'] }),
)

/** Who signed a payload, under the domain of USDC on Base Sepolia. */
function signerOf({ signature, authorization }: z.output<typeof Payload>): Promise<string> {
  return recoverTypedDataAddress({
    domain: { name: 'USDC', version: '2', chainId: 84_532, verifyingContract: Hex.parse(offerV2.asset) },
    types: { TransferWithAuthorization: TRANSFER_WITH_AUTHORIZATION },
    primaryType: 'TransferWithAuthorization',
    message: {
      ...authorization,
      value: BigInt(authorization.value),
      validAfter: BigInt(authorization.validAfter),
      validBefore: BigInt(authorization.validBefore),
    },
    signature,
  })
}

describe('a payment by direct', () => {
  test('is a v2 payload by the official schema, signed by the wallet, with the accepted entry verbatim', async () => {
    const provider = await payer({ clock: { now: () => 1_700_000_000_500 } })
    const { header, record } = await provider.authorize(quoteOf(), 'chg_1', never)
    expect(header.name).toBe('payment-signature')
    const message = PaymentPayloadV2Schema.parse(decodePaymentSignatureHeader(header.value))
    expect(message.accepted).toEqual(offerV2)
    expect(message.resource).toEqual({ url: `${origin}/v1/chat/completions` })
    const payload = Payload.parse(message.payload)
    expect(payload.authorization).toEqual({
      from: buyer.address.toLowerCase(),
      to: offerV2.payTo.toLowerCase(),
      value: '1000',
      validAfter: '0',
      validBefore: '1700000060',
      nonce: record.nonce,
    })
    expect(record).toEqual({
      from: buyer.address.toLowerCase(),
      nonce: record.nonce,
      validAfter: 0,
      validBefore: 1_700_000_060,
    })
    expect(await signerOf(payload)).toBe(privateKeyToAccount(buyer.privateKey).address)
  })

  test('is a v1 payload by the official schema where the offer is v1', async () => {
    const provider = await payer({ clock: { now: () => 1_700_000_000_500 } })
    const { header } = await provider.authorize(quoteOf(1), 'chg_1', never)
    expect(header.name).toBe('x-payment')
    const message = PaymentPayloadV1Schema.parse(JSON.parse(Buffer.from(header.value, 'base64').toString()))
    expect(message).toMatchObject({ x402Version: 1, scheme: 'exact', network: 'base-sepolia' })
    const payload = Payload.parse(message.payload)
    expect(payload.authorization).toMatchObject({ validAfter: '1699999400', validBefore: '1700000060' })
    expect(await signerOf(payload)).toBe(privateKeyToAccount(buyer.privateKey).address)
  })

  test('is signed under the domain of our own table, whatever the offer calls the token', async () => {
    const provider = await payer()
    const lying = quoteOf(2, { extra: { name: 'Fake', version: '9' } })
    const { header } = await provider.authorize(lying, 'chg_1', never)
    const { payload } = PaymentPayloadV2Schema.parse(decodePaymentSignatureHeader(header.value))
    expect(await signerOf(Payload.parse(payload))).toBe(privateKeyToAccount(buyer.privateKey).address)
  })

  test('is refused on a network that is not its own', async () => {
    const provider = await payer()
    const base = BUILT_IN_ASSETS.find(({ network }) => network === 'eip155:8453')
    const quote = quoteOf(2, { network: 'eip155:8453', asset: base?.address })
    await expect(provider.authorize(quote, 'chg_1', never)).rejects.toMatchObject({
      code: 'no_supported_offer',
    })
  })

  test('is refused in a token without an EIP-3009 domain', async () => {
    const provider = await payer()
    const assets = BUILT_IN_ASSETS.map((asset) => ({ ...asset, domain: undefined }))
    const quote = quoteOf(2, {}, { assets })
    await expect(provider.authorize(quote, 'chg_1', never)).rejects.toMatchObject({
      code: 'no_supported_offer',
    })
  })

  test('is refused when the nonce source returns too few bytes', async () => {
    const provider = await payer({ random: () => new Uint8Array(8) })
    await expect(provider.authorize(quoteOf(), 'chg_1', never)).rejects.toThrow(/returned 8 bytes/)
  })

  test('is refused as signer_unavailable once the payer is closed', async () => {
    const provider = await payer()
    await provider.close()
    await expect(provider.authorize(quoteOf(), 'chg_1', never)).rejects.toMatchObject({
      code: 'signer_unavailable',
      status: 503,
    })
  })
})

describe('what direct supports', () => {
  test.each([
    ['no method and no flow', {}, true],
    ['eip3009', { extra: { assetTransferMethod: 'eip3009' } }, true],
    ['the authorization flow', { extra: { paymentFlow: 'authorization' } }, true],
    ['the upfront flow', { extra: { paymentFlow: 'upfront' } }, true],
    ['escrow', { extra: { paymentFlow: 'escrow' } }, false],
    ['an unknown flow', { extra: { paymentFlow: 'x' } }, false],
    ['permit2', { extra: { assetTransferMethod: 'permit2' } }, true],
    ['erc7710', { extra: { assetTransferMethod: 'erc7710' } }, false],
    ['another scheme', { scheme: 'deferred' }, false],
    ['Solana', { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' }, false],
  ])('%s', async (_what, change, expected) => {
    const provider = await payer()
    const { offer } = quoteOf()
    expect(provider.supports({ ...offer, ...change })).toBe(expected)
    expect(provider.supports({ ...quoteOf(1).offer, ...change })).toBe(expected)
  })
})

describe('the options of direct', () => {
  const file = { source: 'file', path: '/nowhere' }
  test.each([
    [
      'a key in place of its reference',
      { key: `0x${'ab'.repeat(32)}`, networks: ['base'] },
      /key: name where the key is.*never the key itself/,
    ],
    [
      'a key as the variable name',
      { key: { source: 'env', name: `0x${'ab'.repeat(32)}` }, networks: ['base'] },
      /key\.name: give the name of an environment variable/,
    ],
    ['no networks', { key: file, networks: [] }, /networks: list at least one network/],
    [
      'an unknown network',
      { key: file, networks: ['bse'] },
      /networks\.0: unknown network "bse"\. Did you mean "base"\?/,
    ],
    [
      'an unknown option',
      { key: file, networks: ['base'], privateKey: 'x' },
      /"privateKey" is not an option\. Known: key/,
    ],
    [
      'an unknown option of the key',
      { key: { ...file, mode: 1 }, networks: ['base'] },
      /"key\.mode" is not an option/,
    ],
    ['no options', undefined, /direct\(\)/],
  ])('that are wrong (%s) are named with the fix, and no key is quoted', async (_what, options, message) => {
    const error: unknown = await Reflect.apply(direct, undefined, [options]).catch(
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(ConfigError)
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('abab')
  })

  test('accept networks by alias or CAIP-2 id and drop duplicates', async () => {
    const provider = await payer({ networks: ['base-sepolia', 'eip155:84532', 'base'] })
    expect(provider.networks).toEqual(['eip155:84532', 'eip155:8453'])
  })
})

/** Asks, is told to pay, pays, and asks again with the payment. */
async function pay(
  apiBase: string,
): Promise<{ quote: Quote; authorization: Authorization; reply: Response }> {
  const url = `${apiBase}/chat/completions`
  const unpaid = await fetch(url, chatRequest('hello'))
  expect(unpaid.status).toBe(402)
  const challenge = decodeChallenge({
    header: (name) => unpaid.headers.get(name) ?? undefined,
    body: Buffer.from(await unpaid.arrayBuffer()),
    truncated: false,
  })
  const provider = await payer()
  const sellerOrigin = new URL(url).origin
  const quote = vetOffers(challenge, sellerOrigin, {
    networks: provider.networks,
    assets: BUILT_IN_ASSETS,
    origins: new Set([sellerOrigin]),
    maxMicroUsd: 100_000n,
    maxValiditySeconds: 600,
    payees: () => undefined,
    supports: (offer) => provider.supports(offer),
  })[0]
  const authorization = await provider.authorize(quote, 'chg_1', never)
  const request = chatRequest('hello')
  const { name, value } = authorization.header
  const reply = await fetch(url, {
    ...request,
    headers: { 'content-type': 'application/json', [name]: value },
  })
  return { quote, authorization, reply }
}

describe('direct in the local payment world', () => {
  let rig: World

  beforeAll(async () => {
    rig = await startWorld()
  })
  afterAll(() => rig.close())

  test.each([
    ['the official v2 seller', (): string => rig.seller.apiBase],
    ['the official v2 seller that streams', (): string => rig.streamingSeller.apiBase],
    ['a v1 seller on the official facilitator', (): string => rig.v1Seller.apiBase],
  ])('pays %s, and the chain has exactly that authorization used', async (_who, apiBase) => {
    const before = await rig.chain.balanceOf(rig.chain.accounts.seller.address)
    const { quote, authorization, reply } = await pay(apiBase())
    expect(reply.status).toBe(200)
    await reply.text()
    const receipt = decodeReceipt((name) => reply.headers.get(name) ?? undefined)
    expect(receipt).toMatchObject({ success: true, transaction: expect.stringMatching(/^0x[0-9a-f]{64}$/) })
    const nonce = Hex.parse(authorization.record.nonce)
    expect(await rig.chain.authorizationState(rig.chain.accounts.buyer.address, nonce)).toBe(true)
    const after = await rig.chain.balanceOf(rig.chain.accounts.seller.address)
    expect(after - before).toBe(quote.amount)
  })
})
