import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { TypedDataDefinition } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import type { SignerReference } from '../../src/core/payer/key-reference.ts'
import { toEip712, type TypedMessage } from '../../src/core/payer/typed-message.ts'
import { sealKeystore } from '../../src/io/signer/new-keystore.ts'
import { openSigner } from '../../src/io/signer/open-signer.ts'
import type { Signer } from '../../src/io/signer/signer.ts'
import { startRemoteSigner, type RemoteSigner } from '../kit/remote-signer.ts'

const never = new AbortController().signal
const key = generatePrivateKey()
const account = privateKeyToAccount(key)
const from = account.address.toLowerCase()

let folder = ''
let remote: RemoteSigner
const signers: Signer[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollway-signers-'))
  remote = await startRemoteSigner([key])
})
afterEach(async () => {
  for (const signer of signers.splice(0)) await signer.close()
  Object.assign(remote.levers, { v: 'high', answer: undefined, hang: false, forge: false, together: 1 })
})
afterAll(async () => {
  await remote.close()
  await rm(folder, { recursive: true, force: true })
})

async function open(reference: SignerReference, timeoutMs?: number): Promise<Signer> {
  const signer = await openSigner(reference, timeoutMs)
  signers.push(signer)
  return signer
}

async function file(content: string, mode = 0o600): Promise<string> {
  const path = join(folder, randomUUID())
  await writeFile(path, content)
  await chmod(path, mode)
  return path
}

async function keystore(password: string, mode?: number): Promise<string> {
  const { text } = sealKeystore(key, password, 1024)
  return await file(text, mode)
}

const domain = { name: 'USDC', version: '2', chainId: 84_532, verifyingContract: `0x${'03'.repeat(20)}` }
const permit2 = {
  from,
  token: domain.verifyingContract,
  amount: '1000',
  nonce: (2n ** 255n + 7n).toString(),
  deadline: '1795247742',
  to: `0x${'90'.repeat(20)}`,
  validAfter: '0',
}
const kinds: readonly TypedMessage[] = [
  {
    kind: 'eip3009',
    domain,
    message: {
      from,
      to: permit2.to,
      value: '1000',
      validAfter: '0',
      validBefore: '1795247742',
      nonce: `0x${'11'.repeat(32)}`,
    },
  },
  { kind: 'permit2_exact', domain: { chainId: 84_532 }, message: permit2 },
  {
    kind: 'permit2_upto',
    domain: { chainId: 84_532 },
    message: { ...permit2, facilitator: `0x${'f0'.repeat(20)}` },
  },
  {
    kind: 'eip2612_permit',
    domain,
    message: { owner: from, value: '1000', nonce: '0', deadline: '1795247742' },
  },
]
const [payment, permit] = kinds
if (!payment || !permit) throw new Error('there are four kinds')

/** What viem signs for the same typed data. */
const byViem = async (typed: TypedMessage): Promise<string> =>
  await account.signTypedData(toEip712(typed) as unknown as TypedDataDefinition)

/** A credential, as a service manager keeps it. */
async function credential(content: string, mode = 0o440): Promise<string> {
  process.env['CREDENTIALS_DIRECTORY'] = folder
  return basename(await file(content, mode))
}

const places: [string, () => Promise<SignerReference>][] = [
  ['a credential', async () => ({ source: 'credential', name: await credential(`${key}\n`) })],
  [
    'a keystore with its password in a credential',
    async () => ({
      source: 'keystore',
      path: await keystore('correct horse'),
      password: { source: 'credential', name: await credential('correct horse\n') },
    }),
  ],
  ['a file', async () => ({ source: 'file', path: await file(key) })],
  [
    'a keystore with its password in a file',
    async () => ({
      source: 'keystore',
      path: await keystore('correct horse'),
      password: { source: 'file', path: await file('correct horse\n') },
    }),
  ],
  [
    'the AgentCash wallet',
    async () => ({
      source: 'agentcash',
      path: await file(JSON.stringify({ privateKey: key, address: account.address })),
    }),
  ],
  ['a remote signer', async () => ({ source: 'remote', url: `${remote.url}/`, token: remote.token })],
]

describe.each(places)('with its key in %s, a signer', (_where, reference) => {
  test('signs each kind of message as viem does', async () => {
    const signer = await open(await reference())
    expect(signer.address).toBe(from)
    for (const typed of kinds) expect(await signer.sign(typed, never)).toBe(await byViem(typed))
  })

  test('signs a batch in order, and tells how far it is', async () => {
    const signer = await open(await reference())
    const many = Array.from({ length: 130 }, (_, nonce): TypedMessage => ({
      ...permit,
      kind: 'permit2_exact',
      domain: { chainId: 84_532 },
      message: { ...permit2, nonce: String(nonce) },
    }))
    const progress: number[] = []
    const signatures = await signer.signMany(many, never, (done) => progress.push(done))
    expect(signatures).toHaveLength(130)
    for (const index of [0, 99, 100, 129]) {
      const one = many[index]
      if (one) expect(signatures[index]).toBe(await byViem(one))
    }
    expect(progress.at(-1)).toBe(130)
    expect(progress).toEqual(progress.toSorted((a, b) => a - b))
  })

  test('signs nothing for another wallet, alone or in a batch', async () => {
    const signer = await open(await reference())
    const foreign: TypedMessage = {
      ...payment,
      kind: 'eip2612_permit',
      domain,
      message: { owner: permit2.to, value: '1', nonce: '0', deadline: '1' },
    }
    await expect(signer.sign(foreign, never)).rejects.toMatchObject({ code: 'signer_unavailable' })
    await expect(signer.signMany([payment, foreign], never)).rejects.toMatchObject({
      code: 'signer_unavailable',
    })
  })

  test('ends a batch when nobody waits any more, and refuses once it is closed', async () => {
    const signer = await open(await reference())
    const gone = AbortSignal.abort(new Error('left'))
    await expect(signer.signMany([payment, permit], gone)).rejects.toThrow('left')
    await signer.close()
    await expect(signer.sign(payment, never)).rejects.toMatchObject({ code: 'signer_unavailable' })
  })
})

describe('a key that cannot be used is refused at the start, with the fix and nothing of the key', () => {
  test.each<[string, () => Promise<SignerReference>, RegExp]>([
    [
      'a wrong password',
      async () => ({
        source: 'keystore',
        path: await keystore('right'),
        password: { source: 'file', path: await file('wrong') },
      }),
      /password is wrong, or the file is damaged/,
    ],
    [
      'an empty password',
      async () => ({
        source: 'keystore',
        path: await keystore('right'),
        password: { source: 'file', path: await file('\n') },
      }),
      /password file .* is empty/,
    ],
    [
      'a keystore everybody can read',
      async () => ({
        source: 'keystore',
        path: await keystore('right', 0o644),
        password: { source: 'file', path: await file('right') },
      }),
      /The keystore .* has mode 0644.*chmod 600/,
    ],
    [
      'a keystore of version 1',
      async () => ({
        source: 'keystore',
        path: await file('{"version":1}'),
        password: { source: 'file', path: await file('right') },
      }),
      /not a version 3 keystore/,
    ],
    [
      'an AgentCash wallet that others can read',
      async () => ({ source: 'agentcash', path: await file(JSON.stringify({ privateKey: key }), 0o640) }),
      /The AgentCash wallet .* has mode 0640/,
    ],
    [
      'an AgentCash wallet with another address',
      async () => ({
        source: 'agentcash',
        path: await file(JSON.stringify({ privateKey: key, address: permit2.to })),
      }),
      /The address in the AgentCash wallet .* is not the address of its key/,
    ],
    [
      'junk for an AgentCash wallet',
      async () => ({ source: 'agentcash', path: await file(`${key}\n`) }),
      /is not an AgentCash wallet/,
    ],
    [
      'a credential that others can read',
      async () => ({ source: 'credential', name: await credential(key, 0o444) }),
      /The credential .* has mode 0444/,
    ],
    [
      'a credential that was not given',
      async () => {
        await credential(key)
        return { source: 'credential', name: 'none' }
      },
      /The credential .*none cannot be read/,
    ],
    [
      'a remote signer without the wanted key',
      async () => ({ source: 'remote', url: remote.url, token: remote.token, address: permit2.to }),
      /has no key for 0x9090/,
    ],
  ])('%s', async (_what, reference, message) => {
    const error: unknown = await open(await reference()).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ name: 'ConfigError' })
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain(key.slice(2))
  })

  test('of several keys of a remote signer none is chosen by itself', async () => {
    const two = await startRemoteSigner([key, generatePrivateKey()])
    try {
      const reference = { source: 'remote', url: two.url, token: two.token } as const
      await expect(openSigner(reference)).rejects.toThrow(/has 2 keys\. Set address to the one that pays: 0x/)
      expect((await open({ ...reference, address: account.address })).address).toBe(from)
    } finally {
      await two.close()
    }
  })

  test('a remote signer that is gone says so before anybody wants to pay', async () => {
    const two = await startRemoteSigner([key])
    const signer = await open({ source: 'remote', url: two.url, token: two.token })
    await signer.check()
    await two.close()
    await expect(signer.check()).rejects.toMatchObject({ code: 'signer_unavailable' })
  })

  test("a keystore's password leaves the environment with the signer's start", async () => {
    vi.stubEnv('TEST_KEYSTORE_PASSWORD', 'correct horse')
    await open({
      source: 'keystore',
      path: await keystore('correct horse'),
      password: { source: 'env', name: 'TEST_KEYSTORE_PASSWORD' },
    })
    expect('TEST_KEYSTORE_PASSWORD' in process.env).toBe(false)
  })
})

describe('a remote signer', () => {
  const reference = (): SignerReference => ({ source: 'remote', url: remote.url, token: remote.token })

  test('may write v as 0 or 1', async () => {
    const signer = await open(reference())
    remote.levers.v = 'low'
    for (const typed of kinds) expect(await signer.sign(typed, never)).toBe(await byViem(typed))
  })

  test.each([
    ['another token', { token: 'other' }, /refused the bearer token \(status 401, UNAUTHORIZED\)/],
    ['an address where nobody listens', { url: 'http://127.0.0.1:9' }, /cannot be reached/],
  ])('is unavailable, not misconfigured, with %s', async (_what, change, message) => {
    const error: unknown = await openSigner({ ...reference(), ...change }).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'signer_unavailable' })
    expect(String(error)).toMatch(message)
  })

  test.each<[string, Partial<RemoteSigner['levers']>, RegExp]>([
    ['signs something else', { forge: true }, /not for this message by this address/],
    [
      'refuses',
      { answer: { status: 500, body: { error: 'secret words', code: 'SIGNING_ERROR' } } },
      /SIGNING_ERROR/,
    ],
    [
      'sends junk',
      { answer: { status: 200, body: { signature: '0x12' } } },
      /did not return a signature of 65 bytes/,
    ],
    ['never answers', { hang: true }, /did not answer within 300 ms/],
  ])('that %s pays nothing, and says why in our own words', async (_what, levers, message) => {
    const signer = await open(reference(), 300)
    Object.assign(remote.levers, levers)
    const error: unknown = await signer.sign(payment, never).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'signer_unavailable' })
    expect(String(error)).toMatch(message)
    expect(String(error)).not.toContain('secret words')
  })

  test.each([
    ['ERC-1271', `0x${'ab'.repeat(97)}`],
    ['ERC-1271', 'cd'.repeat(66)],
    ['ERC-6492', `0x${'ab'.repeat(160)}${'6492'.repeat(16)}`],
  ])(
    'that returns a longer signature (%s) is told as that of a contract wallet, not to be tried again',
    async (kind, signature) => {
      const signer = await open(reference())
      remote.levers.answer = { status: 200, body: { signature } }
      const error: unknown = await signer.sign(payment, never).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'wallet_not_plain', status: 400, headers: {} })
      expect(String(error)).toContain(kind)
      expect(String(error)).toContain('plain wallet')
      expect(String(error)).not.toContain('abababab')
    },
  )

  test('is asked for a few signatures of a batch at a time, and for none after one failed', async () => {
    const signer = await open(reference())
    const batch = Array.from({ length: 64 }, () => payment)
    remote.levers.together = 8
    await signer.signMany(batch, never)
    expect(remote.widest()).toBe(8)
    remote.levers.together = 1
    remote.levers.answer = { status: 500, body: {} }
    const before = remote.asked.length
    await expect(signer.signMany(batch, never)).rejects.toMatchObject({ code: 'signer_unavailable' })
    expect(remote.asked.length - before).toBeLessThanOrEqual(16)
  })
})
