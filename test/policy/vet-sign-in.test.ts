/** The gate for sign-ins: only a message for this seller, moment, wallet and network is signed, and it reads as the official one. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createSIWxMessage, verifySIWxSignature, type SIWxPayload } from '@x402/extensions/sign-in-with-x'
import { getAddress } from 'viem/utils'
import * as fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { privateKeyToAccount } from 'viem/accounts'
import { agentcashWallet } from '../../providers/agentcash/wallet.ts'
import { direct } from '../../providers/direct/direct.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { signInText } from '../../src/core/policy/sign-in.ts'
import { VettedSignIn, vetSignIn } from '../../src/core/policy/vet-sign-in.ts'
import { startRemoteSigner, type RemoteSigner } from '../kit/remote-signer.ts'

const NOW = 1_800_000_000_000
const NETWORK = 'eip155:84532'
const DEVNET = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
const MAINNET = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
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

describe('rule 6: a wallet on Solana', () => {
  const wallet = 'Fy3YmS2ZcBF2WcdPQmbnbQxYmzpfHzLZTXgLaXxmKAnd'
  const chain = { chainId: DEVNET, type: 'ed25519' }
  const vetOn = (chains: unknown, change: object = {}): ReturnType<typeof vetSignIn> =>
    vetSignIn(
      { info: { ...info, ...change }, supportedChains: chains },
      { url, address: wallet, networks: [DEVNET], now: NOW },
    )

  test.each<[string, unknown]>([
    ['only EVM chains', supportedChains],
    ['another network of Solana', [{ chainId: MAINNET, type: 'ed25519' }]],
    ['its network with the signature of another kind', [{ chainId: DEVNET, type: 'eip191' }]],
    ['its network with another scheme', [{ ...chain, signatureScheme: 'eip191' }]],
    ['an EVM network that claims ed25519', [{ chainId: NETWORK, type: 'ed25519' }]],
    ['the name of its network instead of the id', [{ chainId: 'solana-devnet', type: 'ed25519' }]],
  ])('does not sign in where the seller takes %s', (_what, chains) => {
    expect(vetOn(chains)).toEqual({ fault: 'chain' })
  })

  test.each<[string, unknown]>([
    ['alone', [chain]],
    ['behind an EVM chain', [...supportedChains, chain]],
    ['with its scheme', [{ ...chain, signatureScheme: 'siws' }]],
  ])('signs in where its network is offered %s', (_what, chains) => {
    expect(vetOn(chains)).toMatchObject({ message: { address: wallet, network: DEVNET } })
  })

  test('is held to domain, moment and nonce as any other', () => {
    expect(vetOn([chain], { domain: 'other.test' })).toEqual({ fault: 'domain' })
    expect(vetOn([chain], { expirationTime: at(-1) })).toEqual({ fault: 'expiry' })
    expect(vetOn([chain], { nonce: 'a b' })).toEqual({ fault: 'nonce' })
  })
})

test.each([
  ['EVM', NETWORK, 'eip191', address],
  ['Solana', DEVNET, 'ed25519', 'Fy3YmS2ZcBF2WcdPQmbnbQxYmzpfHzLZTXgLaXxmKAnd'],
] as const)(
  'the text is the official one on %s, with and without every optional line',
  (_name, chainId, type, wallet) => {
    const line = fc
      .stringMatching(/^[A-Za-z0-9 .,-]{1,60}$/)
      .filter((text) => text.trim() === text && text !== '')
    const optional = fc.record(
      {
        statement: line,
        requestId: fc.stringMatching(/^[a-z0-9]{1,20}$/),
        notBefore: fc.constant(at(-5_000)),
        resources: fc.array(fc.webUrl(), { maxLength: 3 }),
      },
      { requiredKeys: [] },
    )
    fc.assert(
      fc.property(optional, (change) => {
        const made = vetSignIn(
          { info: { ...info, ...change }, supportedChains: [{ chainId, type }] },
          { url, address: wallet, networks: [chainId], now: NOW },
        )
        if ('fault' in made) throw new Error(made.fault)
        const { resources = [], ...others } = change
        const listed = resources.length === 0 ? {} : { resources }
        const official = { ...info, ...others, ...listed, chainId, type }
        expect(signInText(made.message)).toBe(createSIWxMessage(official, wallet))
      }),
      { numRuns: 50 },
    )
  },
)

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

describe('who signs in', () => {
  const { buyer } = localAccounts()
  const account = privateKeyToAccount(buyer.privateKey)
  const never = new AbortController().signal

  async function verified(payer: Provider): Promise<unknown> {
    const made = vetted({ statement: 'Sign in to read your answers' })
    const signature = await payer.signIn?.sign(made, never)
    const { network: chainId, ...fields } = made.message
    return await verifySIWxSignature({ ...fields, chainId, type: 'eip191', signature } as SIWxPayload)
  }

  test('an account of the program that signs texts, as the official seller checks it', async () => {
    const payer = await direct({ account, networks: ['base-sepolia'] })
    expect(await verified(payer)).toEqual({ isValid: true, payer: address })
    await payer.close()
  })

  test('not an account that signs typed data only', async () => {
    const typedOnly = { address: account.address, signTypedData: async () => '0x' }
    const payer = await direct({ account: typedOnly, networks: ['base-sepolia'] })
    expect(payer.signIn).toBeUndefined()
    await payer.close()
  })

  test.each<[string, () => Promise<string>]>([
    ['signs another text', async () => await account.signMessage({ message: 'x' })],
    ['returns the signature of a contract wallet', async () => `0x${'ab'.repeat(200)}`],
    ['throws', () => Promise.reject(new Error('secret words'))],
  ])('rule 6: no signature is used of an account that %s', async (_case, signMessage) => {
    const signTypedData = async (): Promise<string> => '0x'
    const payer = await direct({
      account: { address: account.address, signTypedData, signMessage },
      networks: ['base-sepolia'],
    })
    const error: unknown = await payer.signIn?.sign(vetted(), never).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'signer_unavailable' })
    expect(String(error)).not.toMatch(/secret|abab/)
    await payer.close()
  })

  describe('a remote signer', () => {
    let remote: RemoteSigner
    let payer: Provider
    beforeAll(async () => {
      remote = await startRemoteSigner([buyer.privateKey])
      const key = { source: 'remote', url: remote.url, token: remote.token } as const
      payer = await direct({ key, networks: ['base-sepolia'] })
    })
    afterEach(() => {
      Object.assign(remote.levers, { answer: undefined, forge: false })
    })
    afterAll(async () => {
      await payer.close()
      await remote.close()
    })

    test('signs the text, as the official seller checks it', async () => {
      expect(await verified(payer)).toEqual({ isValid: true, payer: address })
      expect(remote.asked).toEqual(['message'])
    })

    test.each<[string, Partial<RemoteSigner['levers']>]>([
      ['signs another text', { forge: true }],
      ['does not know the way to sign texts', { answer: { status: 404, body: { error: 'no such path' } } }],
      ['answers without a signature', { answer: { status: 200, body: {} } }],
    ])('rule 6: gives nothing that is used when it %s', async (_case, levers) => {
      Object.assign(remote.levers, levers)
      await expect(payer.signIn?.sign(vetted(), never)).rejects.toMatchObject({ code: 'signer_unavailable' })
    })
  })

  test("AgentCash's wallet", async () => {
    const folder = await mkdtemp(join(tmpdir(), 'tollway-sign-in-'))
    const wallet = join(folder, 'wallet.json')
    await writeFile(wallet, JSON.stringify({ privateKey: buyer.privateKey, address: buyer.address }), {
      mode: 0o600,
    })
    const payer = await agentcashWallet({ wallet, networks: ['base-sepolia'] })
    expect(await verified(payer)).toEqual({ isValid: true, payer: address })
    await payer.close()
    await rm(folder, { recursive: true, force: true })
  })
})
