/** `tollway init --wallet`: a wallet that exists already pays, and stays where it is. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { openPayers } from '../../src/app/wiring/open-payers.ts'
import { newKeystore } from '../../src/io/signer/new-keystore.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { startRemoteSigner, type RemoteSigner } from '../kit/remote-signer.ts'

const { buyer } = localAccounts()
const address = buyer.address.toLowerCase()

let directory: string
/** Beside the directory of the configuration: a wallet may be anywhere. */
let elsewhere: string
let signer: RemoteSigner | undefined

beforeEach(() => {
  const parent = temporaryDirectory()
  ;[directory, elsewhere] = [join(parent, 'gateway'), join(parent, 'keys')]
  for (const path of [directory, elsewhere]) mkdirSync(path)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await signer?.close()
  signer = undefined
})

function file(name: string, text: string, mode = 0o600): string {
  const path = join(elsewhere, name)
  writeFileSync(path, text)
  chmodSync(path, mode)
  return path
}

async function init(wallet: string, more: readonly string[] = [], env: Record<string, string> = {}) {
  const terminal = new FakeTerminal(env)
  const args = ['init', '--dir', directory, '--wallet', wallet, ...more, '--yes', '--json']
  const code = await run(args, terminal)
  return { code, out: terminal.out, err: terminal.err }
}

/** The address that a gateway with the written configuration pays from. */
async function payingAddress(env: Record<string, string> = {}): Promise<string | undefined> {
  const opened: { close(): Promise<void> }[] = []
  const payers = await openPayers(loadConfig(join(directory, 'tollway.yaml'), env), { opened })
  await Promise.all(opened.map((one) => one.close()))
  return payers.get('wallet')?.address?.toLowerCase()
}

describe('tollway init --wallet', () => {
  it.each([
    ['a key file', () => ({ wallet: `file:${file('key', `${buyer.privateKey}\n`)}` })],
    ['a variable', () => ({ wallet: 'env:MY_KEY', env: { MY_KEY: buyer.privateKey } })],
    [
      "AgentCash's wallet",
      () => ({
        wallet: `agentcash:${file('wallet.json', JSON.stringify({ privateKey: buyer.privateKey, address: buyer.address }))}`,
      }),
    ],
    [
      'a keystore',
      () => ({
        wallet: `keystore:${file('keystore.json', newKeystore('a password', 2).text)}`,
        more: ['--password-file', file('password', 'a password\n')],
      }),
    ],
  ] as const)('%s pays for the written configuration, and no other wallet is made', async (_what, given) => {
    const { wallet, more, env } = { more: [], env: {}, ...given() }
    const ended = await init(wallet, more, env)
    expect(ended.err).toBe('')
    const written = JSON.parse(ended.out) as { address: string; new_wallet: boolean }
    expect(written.new_wallet).toBe(false)
    expect(await payingAddress(env)).toBe(written.address.toLowerCase())
    if (more.length === 0) expect(written.address.toLowerCase()).toBe(address)
    expect(existsSync(join(directory, 'wallet.json'))).toBe(false)
    expect(readFileSync(join(directory, 'tollway.yaml'), 'utf8')).not.toContain(buyer.privateKey)
  })

  it('a remote signer pays, with its token from the environment', async () => {
    signer = await startRemoteSigner([buyer.privateKey])
    const env = { REMOTE_SIGNER_TOKEN: signer.token }
    expect((await init(signer.url, [], env)).code).toBe(0)
    expect(await payingAddress(env)).toBe(address)
    expect(readFileSync(join(directory, 'tollway.yaml'), 'utf8')).not.toContain(signer.token)
  })

  it('a file in the directory is named relative to it', async () => {
    const path = join(directory, 'my.key')
    writeFileSync(path, buyer.privateKey, { mode: 0o600 })
    expect((await init(`file:${path}`)).code).toBe(0)
    expect(readFileSync(join(directory, 'tollway.yaml'), 'utf8')).toContain('${file:./my.key}')
    expect(await payingAddress()).toBe(address)
  })

  it('a keystore takes its password from the variable where no file is given', async () => {
    const keystore = file('keystore.json', newKeystore('a password', 2).text)
    const env = { TOLLWAY_WALLET_PASSWORD: 'a password' }
    expect((await init(`keystore:${keystore}`, [], env)).code).toBe(0)
    expect(await payingAddress(env)).toBeDefined()
  })

  it.each([
    ['a form that is none', () => ({ wallet: 'ledger' }), /names no wallet.*keystore:<file>/],
    ['a private key itself', () => ({ wallet: buyer.privateKey }), /file with mode 0600/],
    ['a file that is missing', () => ({ wallet: 'file:/nowhere/key' }), /nowhere/],
    [
      'a file that others read',
      () => ({ wallet: `file:${file('open', buyer.privateKey, 0o644)}` }),
      /chmod|0600/,
    ],
    ['a variable that is not set', () => ({ wallet: 'env:NOT_SET' }), /NOT_SET/],
    ['a key that is none', () => ({ wallet: `file:${file('bad', 'hello')}` }), /key/],
    [
      'a keystore without a password',
      () => ({ wallet: `keystore:${file('k', newKeystore('a', 2).text)}` }),
      /--password-file/,
    ],
    [
      'a keystore with the wrong password',
      () => ({
        wallet: `keystore:${file('k', newKeystore('a', 2).text)}`,
        more: ['--password-file', file('p', 'b')],
      }),
      /password/,
    ],
    ['a signer that is not there', () => ({ wallet: 'http://127.0.0.1:9' }), /signer/],
    [
      'a password for no keystore',
      () => ({ wallet: '', more: ['--password-file', file('p', 'b')] }),
      /keystore:<file>/,
    ],
  ] as const)('%s is refused, and nothing is written', async (_what, given, why) => {
    const { wallet, more } = { more: [], ...given() }
    const ended = await init(wallet, more)
    expect(ended.code).not.toBe(0)
    expect(ended.err + ended.out).toMatch(why)
    expect(ended.err + ended.out).not.toContain(buyer.privateKey)
    expect(existsSync(join(directory, 'tollway.yaml'))).toBe(false)
  })
})
