import { verify } from 'node:crypto'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createKeyPairSignerFromBytes } from '@solana/kit'
import { bytesToHex } from 'viem'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { addressBytes } from '../../src/core/solana/address.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { paymentAccounts, paymentMessage, type SolanaPayment } from '../../src/core/solana/payment.ts'
import { TOKEN_PROGRAM } from '../../src/core/solana/programs.ts'
import { sealKeystore } from '../../src/io/signer/new-keystore.ts'
import { startSolanaSigner, type SolanaSigner } from '../../src/io/signer/solana/solana-signer.ts'
import type { KeyReference } from '../../src/core/payer/key-reference.ts'
import { createWallet, sha256, type TestWallet } from '../kit/solana/chain.ts'

const never = new AbortController().signal

let folder = ''
const signers: SolanaSigner[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollway-solana-signer-'))
})
afterEach(async () => {
  for (const signer of signers.splice(0)) await signer.close()
  await rm(folder, { recursive: true, force: true })
})

async function start(key: KeyReference): Promise<SolanaSigner> {
  const signer = await startSolanaSigner({ key })
  signers.push(signer)
  return signer
}

async function file(content: string, mode = 0o600): Promise<string> {
  const path = join(folder, 'key')
  await writeFile(path, content)
  await chmod(path, mode)
  return path
}

function paymentFrom(owner: string, change: Partial<SolanaPayment> = {}): SolanaPayment {
  return {
    kind: 'solana_exact',
    owner,
    feePayer: createWallet().address,
    payTo: createWallet().address,
    mint: createWallet().address,
    tokenProgram: TOKEN_PROGRAM,
    amount: '1000',
    decimals: 6,
    memo: 'order-42',
    blockhash: createWallet().address,
    unitLimit: 20_000,
    unitPrice: 1,
    ...change,
  }
}

function signIn(address: string, change: object = {}): object {
  const message = {
    domain: 'seller.test',
    address,
    uri: 'https://seller.test/v1',
    version: '1',
    network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
    nonce: 'abcdefgh12345678',
    issuedAt: '2026-11-30T12:00:00.000Z',
    ...change,
  }
  return { kind: 'sign_in', message }
}

async function expectOwn(signer: SolanaSigner, wallet: TestWallet): Promise<void> {
  expect(signer.address).toBe(wallet.address)
  const payment = paymentFrom(wallet.address)
  const signature = await signer.sign(payment, never)
  const message = paymentMessage(payment, paymentAccounts(payment, sha256))
  const spki = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), addressBytes(wallet.address)])
  expect(verify(undefined, message, { key: spki, format: 'der', type: 'spki' }, signature)).toBe(true)
}

describe('the key is taken from', () => {
  test('the file that solana-keygen writes, and the address is what the official library derives', async () => {
    const wallet = createWallet()
    expect((await createKeyPairSignerFromBytes(wallet.secret)).address).toBe(wallet.address)
    const signer = await start({
      source: 'file',
      path: await file(`${JSON.stringify([...wallet.secret])}\n`),
    })
    await expectOwn(signer, wallet)
  })

  test.each([
    ['64 bytes, as wallets export them', (wallet: TestWallet) => encodeBase58(wallet.secret)],
    ['the 32 bytes of a seed', (wallet: TestWallet) => encodeBase58(wallet.secret.subarray(0, 32))],
    ['64 bytes and a line end', (wallet: TestWallet) => `${encodeBase58(wallet.secret)}\n`],
    ['the list of solana-keygen', (wallet: TestWallet) => JSON.stringify([...wallet.secret])],
  ])('a variable that holds %s, and the variable is gone', async (_name, write) => {
    const wallet = createWallet()
    process.env['TEST_SOLANA_KEY'] = write(wallet)
    const signer = await start({ source: 'env', name: 'TEST_SOLANA_KEY' })
    await expectOwn(signer, wallet)
    expect(process.env['TEST_SOLANA_KEY']).toBeUndefined()
  })

  test('an encrypted keystore whose 32 bytes are the seed', async () => {
    const wallet = createWallet()
    const seed = bytesToHex(wallet.secret.slice(0, 32))
    const sealed = sealKeystore(seed, 'correct horse', 1024)
    process.env['TEST_SOLANA_PASSWORD'] = 'correct horse'
    const password = { source: 'env', name: 'TEST_SOLANA_PASSWORD' } as const
    await expectOwn(await start({ source: 'keystore', path: await file(sealed.text), password }), wallet)
  })

  test("AgentCash's Solana wallet", async () => {
    const wallet = createWallet()
    const privateKey = encodeBase58(wallet.secret.subarray(0, 32))
    const content = { privateKey, address: wallet.address, createdAt: '2026-11-30T00:00:00.000Z' }
    const path = await file(JSON.stringify(content))
    await expectOwn(await start({ source: 'agentcash', path }), wallet)
  })
})

describe('a key is refused, without being quoted, that', () => {
  const wallet = createWallet()
  const other = createWallet()
  const mixed = [...wallet.secret.subarray(0, 32), ...other.secret.subarray(32)]
  test.each([
    ['is empty', ''],
    ['is the hex of an EVM key', `0x${'11'.repeat(32)}`],
    ['is a list of 63 numbers', JSON.stringify([...wallet.secret].slice(1))],
    ['is a list with a number over 255', JSON.stringify([...wallet.secret.subarray(1), 256])],
    ['is a list with a text', '["1"]'],
    ['is 64 bytes whose halves do not match', JSON.stringify(mixed)],
    ['is base58 of 33 bytes', encodeBase58(new Uint8Array(33).fill(9))],
    ['has a space in front', ` ${encodeBase58(wallet.secret)}`],
  ])('%s', async (_name, content) => {
    const path = await file(content)
    const failure = await startSolanaSigner({ key: { source: 'file', path } }).catch(
      (error: unknown) => error,
    )
    expect(failure).toMatchObject({ name: 'ConfigError' })
    const { message } = failure as Error
    expect(message).toContain(path)
    if (content.length > 10) expect(message).not.toContain(content.slice(0, 10))
  })

  test('is in a file that others can read', async () => {
    const path = await file(JSON.stringify([...wallet.secret]), 0o644)
    await expect(startSolanaSigner({ key: { source: 'file', path } })).rejects.toThrow('chmod 600')
  })

  test('is in an AgentCash wallet with the address of another key', async () => {
    const privateKey = encodeBase58(wallet.secret.subarray(0, 32))
    const path = await file(JSON.stringify({ privateKey, address: other.address }))
    const started = startSolanaSigner({ key: { source: 'agentcash', path } })
    await expect(started).rejects.toThrow('is not the address of its key')
  })
})

describe('the thread that holds the key signs nothing', () => {
  test.each<[string, (owner: string) => object]>([
    ['from another wallet', () => paymentFrom(createWallet().address)],
    ['whose fee it would pay itself', (owner) => paymentFrom(owner, { feePayer: owner })],
    ['that pays itself', (owner) => paymentFrom(owner, { payTo: owner })],
    ['of zero', (owner) => paymentFrom(owner, { amount: '0' })],
    [
      'by another token program',
      (owner) => ({ ...paymentFrom(owner), tokenProgram: createWallet().address }),
    ],
    ['with more fields', (owner) => ({ ...paymentFrom(owner), instructions: [] })],
    ['that is raw bytes', () => ({ kind: 'raw', message: 'AAAA' })],
    ['with a price above what facilitators take', (owner) => paymentFrom(owner, { unitPrice: 5_000_001 })],
    ['as a sign-in of another wallet', () => signIn(createWallet().address)],
    ['as a sign-in on an EVM chain', (owner) => signIn(owner, { network: 'eip155:8453' })],
    ['as a sign-in with a second line', (owner) => signIn(owner, { statement: 'a\nb' })],
    ['as a sign-in whose domain is no printable text', (owner) => signIn(owner, { domain: '\u0001\u0002' })],
  ])('%s', async (_name, made) => {
    const wallet = createWallet()
    const signer = await start({ source: 'file', path: await file(JSON.stringify([...wallet.secret])) })
    await expect(signer.sign(made(wallet.address) as SolanaPayment, never)).rejects.toMatchObject({
      code: 'signer_unavailable',
    })
    await expectOwn(signer, wallet)
  })
})
