/** The gate for sign-ins: only a message for this seller, moment, wallet and network is signed, and it reads as the official one. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSIWxMessage, verifySIWxSignature, type SIWxPayload } from '@x402/extensions/sign-in-with-x'
import { getAddress } from 'viem/utils'
import * as fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { direct } from '../../providers/direct/direct.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { signInText } from '../../src/core/policy/sign-in.ts'
import { VettedSignIn, vetSignIn } from '../../src/core/policy/vet-sign-in.ts'

const NOW = 1_800_000_000_000
const NETWORK = 'eip155:84532'
const url = new URL('https://seller.test:8443/v1/chat/completions')
const address = getAddress(localAccounts().buyer.address)
const at = (ms: number): string => new Date(NOW + ms).toISOString()

const info = {
  domain: 'seller.test:8443',
  uri: 'https://seller.test:8443/v1/chat/completions',
  version: '1',
  nonce: 'abcDEF0123456789',
  issuedAt: at(-1_000),
  expirationTime: at(300_000),
}
const supportedChains = [{ chainId: NETWORK, type: 'eip191' }]

const vet = (change: object = {}, more: object = {}): ReturnType<typeof vetSignIn> =>
  vetSignIn(
    { info: { ...info, ...change }, supportedChains, ...more },
    { url, address, networks: [NETWORK], now: NOW },
  )

function vetted(change: object = {}, more: object = {}): VettedSignIn {
  const result = vet(change, more)
  if ('fault' in result) throw new Error(result.fault)
  return result
}

describe('rule 6: a challenge that is not for this seller, moment, wallet or network is not signed:', () => {
  test.each<[string, object, object, string]>([
    ['another domain', { domain: 'other.test' }, {}, 'domain'],
    ['the domain without its port', { domain: 'seller.test' }, {}, 'domain'],
    ['a domain with a second line', { domain: 'seller.test:8443\nother' }, {}, 'domain'],
    ['another origin', { uri: 'https://other.test/v1' }, {}, 'uri'],
    ['another scheme', { uri: 'http://seller.test:8443/v1' }, {}, 'uri'],
    ['no uri', { uri: undefined }, {}, 'uri'],
    ['a uri with a second line', { uri: 'https://seller.test:8443/\nNonce: x' }, {}, 'uri'],
    ['another version', { version: '2' }, {}, 'version'],
    ['a number as version', { version: 1 }, {}, 'version'],
    ['a short nonce', { nonce: 'abc' }, {}, 'nonce'],
    ['a nonce with other letters', { nonce: 'abcdefgh-1' }, {}, 'nonce'],
    ['no issued-at', { issuedAt: undefined }, {}, 'issued_at'],
    ['an old challenge', { issuedAt: at(-300_001) }, {}, 'issued_at'],
    ['one from the future', { issuedAt: at(60_001) }, {}, 'issued_at'],
    ['a time in words', { issuedAt: 'now' }, {}, 'issued_at'],
    ['an expired one', { expirationTime: at(0) }, {}, 'expiry'],
    ['one for ever', { expirationTime: at(86_400_001) }, {}, 'expiry'],
    ['an expiry that is no time', { expirationTime: 300 }, {}, 'expiry'],
    ['one that is not valid yet', { notBefore: at(1) }, {}, 'not_before'],
    ['a statement of two lines', { statement: 'ok\n\nURI: https://x' }, {}, 'statement'],
    ['a statement with a direction mark', { statement: 'a\u202eb' }, {}, 'statement'],
    ['an empty statement', { statement: '' }, {}, 'statement'],
    ['a request id of two lines', { requestId: 'a\nb' }, {}, 'request_id'],
    ['resources that are none', { resources: ['not a uri'] }, {}, 'resources'],
    ['resources that are a text', { resources: 'https://seller.test' }, {}, 'resources'],
    ['another chain', {}, { supportedChains: [{ chainId: 'eip155:1', type: 'eip191' }] }, 'chain'],
    ['Solana', {}, { supportedChains: [{ chainId: 'solana:x', type: 'ed25519' }] }, 'chain'],
    [
      'a contract wallet',
      {},
      { supportedChains: [{ ...supportedChains[0], signatureScheme: 'eip1271' }] },
      'chain',
    ],
    ['no chains', {}, { supportedChains: undefined }, 'chain'],
    ['no info', {}, { info: undefined }, 'unreadable'],
  ])('%s', (_what, change, more, fault) => {
    expect(vet(change, more)).toEqual({ fault })
  })
})

test('rule 6: only the gate makes sign-ins, and they are frozen', () => {
  const made = vetted()
  expect(VettedSignIn.isVetted(made)).toBe(true)
  expect(VettedSignIn.isVetted({ ...made })).toBe(false)
  expect(() => Object.assign(made.message, { domain: 'other.test' })).toThrow(TypeError)
  expect(() => Reflect.construct(VettedSignIn, [Symbol('x'), made.message, NETWORK])).toThrow(
    'made by the gate',
  )
})

test('the text is the official one, with and without every optional line', () => {
  const line = fc
    .stringMatching(/^[A-Za-z0-9 .,-]{1,60}$/)
    .filter((text) => text.trim() === text && text !== '')
  const optional = fc.record(
    {
      statement: line,
      requestId: fc.stringMatching(/^[a-z0-9]{1,20}$/),
      notBefore: fc.constant(at(-5_000)),
      resources: fc.array(fc.webUrl(), { minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(optional, (change) => {
      const { message } = vetted(change)
      const official = { ...info, ...change, chainId: NETWORK, type: 'eip191' as const }
      expect(signInText(message)).toBe(createSIWxMessage(official, address))
    }),
    { numRuns: 50 },
  )
})

describe('the signing thread', () => {
  let folder: string
  let payer: Provider
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tollway-sign-in-'))
    const path = join(folder, 'key')
    await writeFile(path, `${localAccounts().buyer.privateKey}\n`)
    await chmod(path, 0o600)
    payer = await direct({ key: { source: 'file', path }, networks: ['base-sepolia'] })
  })
  afterAll(async () => {
    await payer.close()
    await rm(folder, { recursive: true, force: true })
  })
  const never = new AbortController().signal

  test('signs a vetted message so that the official seller takes it for this wallet', async () => {
    const made = vetted({ statement: 'Sign in to read your answers' })
    const signature = await payer.signIn?.sign(made, never)
    const payload = { ...made.message, chainId: NETWORK, type: 'eip191', signature } as SIWxPayload
    const verified = await verifySIWxSignature(payload)
    expect(verified).toEqual({ isValid: true, payer: address })
    expect(payer.signIn?.address).toBe(address)
  })

  test('rule 6: refuses what did not pass the gate, and a message of another wallet', async () => {
    const made = vetted()
    await expect(payer.signIn?.sign({ ...made } as VettedSignIn, never)).rejects.toThrow(
      'did not pass the gate',
    )
    const other = vetSignIn(
      { info, supportedChains },
      { url, address: getAddress(localAccounts().seller.address), networks: [NETWORK], now: NOW },
    )
    if ('fault' in other) throw new Error(other.fault)
    await expect(payer.signIn?.sign(other, never)).rejects.toMatchObject({ code: 'signer_unavailable' })
  })
})
