import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { sealKeystore } from '../../src/io/signer/new-keystore.ts'
import { walletPayer } from '../kit/gateway.ts'
import { startRemoteSigner } from '../kit/remote-signer.ts'
import { describePaying, type PayerSubject } from './paying.ts'

let rig: World
let folder = ''

beforeAll(async () => {
  rig = await startWorld()
  folder = await mkdtemp(join(tmpdir(), 'tollway-paying-'))
})
afterAll(async () => {
  await rig?.close()
  await rm(folder, { recursive: true, force: true })
})

const world = (): World => rig

/** A file with mode 0600. */
async function file(content: string): Promise<string> {
  const path = join(folder, randomUUID())
  await writeFile(path, content, { mode: 0o600 })
  return path
}

const subject = (key: object): PayerSubject => ({
  payer: { kind: 'direct', networks: ['base-sepolia'], ...key },
})

describePaying('direct, its key from the environment', {
  world,
  start: ({ world: { chain } }) => Promise.resolve({ payer: walletPayer(chain) }),
})

describePaying('direct, its key from a file', {
  world,
  start: async ({ world: { chain } }) =>
    subject({ key: `\${file:${await file(`${chain.accounts.buyer.privateKey}\n`)}}` }),
})

describePaying('direct, its key from an encrypted keystore', {
  world,
  start: async ({ world: { chain } }) => {
    // Few rounds: how long scrypt takes is not what is tried here.
    const { text } = sealKeystore(chain.accounts.buyer.privateKey, 'correct horse', 2048)
    return subject({
      keystore: { path: await file(text), password: `\${file:${await file('correct horse\n')}}` },
    })
  },
})

describePaying('direct, its key from the AgentCash wallet', {
  world,
  start: async ({ world: { chain } }) => {
    const { privateKey, address } = chain.accounts.buyer
    const wallet = JSON.stringify({ privateKey, address, createdAt: '2026-11-21T00:00:00.000Z' })
    return subject({ agentcash_wallet: await file(wallet) })
  },
})

describePaying('direct, signed by a remote signer', {
  world,
  start: async ({ world: { chain } }) => {
    const signer = await startRemoteSigner([chain.accounts.buyer.privateKey])
    const name = `TEST_TOKEN_${randomUUID().replaceAll('-', '').toUpperCase()}`
    process.env[name] = signer.token
    return {
      ...subject({ signer: { url: signer.url, token: `\${env:${name}}` } }),
      close: () => signer.close(),
    }
  },
})
