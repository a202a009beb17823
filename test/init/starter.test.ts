/** `tollway init`: from an empty directory to a configuration that pays. */
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { loadConfig } from '../../src/app/config/load.ts'
import { start } from '../../src/app/init/starter.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { openPayers } from '../../src/app/wiring/open-payers.ts'
import { newKeystore } from '../../src/io/signer/new-keystore.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { challengeV2, completion, json, OFFER } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

let directory: string
let seller: ScriptedSeller
/** Cheap to open, so that tests need not wait for a strong password hash. */
const cheap = (password: string) => newKeystore(password, 2)
/** A key file that a person has already. */
let key: string
const FACTS = { network: 'base-sepolia', dailyUsd: '5.00', ceilingUsd: '0.10', models: [], force: false }

beforeEach(async () => {
  directory = temporaryDirectory()
  key = join(temporaryDirectory(), 'my.key')
  writeFileSync(key, localAccounts().buyer.privateKey, { mode: 0o600 })
  seller = await startScriptedSeller()
  // A wallet that is cheap to make: a strong password hash would only cost time. The first test makes its own.
  start({ ...FACTS, directory }, cheap)
  for (const name of ['tollway.yaml', '.env']) rmSync(at(name))
})
afterEach(() => seller.close())

const at = (name: string): string => join(directory, name)
const read = (name: string): string => readFileSync(at(name), 'utf8')

async function init(line = '', terminal = new FakeTerminal()) {
  const args = line.split(' ').filter((word) => word !== '')
  const code = await run(['init', '--dir', directory, ...args], terminal)
  return { code, out: terminal.out, err: terminal.err }
}

/** A terminal with a person who types these lines. */
function person(...lines: readonly string[]) {
  const asked: string[] = []
  const ask = (question: string): Promise<string> => {
    asked.push(question)
    return Promise.resolve(lines[asked.length - 1] ?? '')
  }
  return Object.assign(new FakeTerminal(), { isInteractive: true, ask, asked })
}

describe('tollway init', () => {
  it('makes a wallet that opens, and a configuration that is valid and says what was given', async () => {
    for (const name of ['wallet.json', 'wallet.password']) rmSync(at(name))
    const ended = await init(`--seller ${seller.apiBase} --daily-usd 2.5 --ceiling-usd $0.02 --yes`)
    expect(ended.err).toBe('')
    expect(ended.code).toBe(0)
    const config = loadConfig(at('tollway.yaml'), {})
    expect(config.budgets).toMatchObject([{ name: 'all', limit: 2_500_000n, window: 'day' }])
    expect(config.policy.maxMicroUsd).toBe(20_000n)
    expect(config.routes).toMatchObject([
      { modelName: 'paid/*', model: '*', apiBase: seller.apiBase, payer: 'wallet' },
    ])
    const opened: { close(): Promise<void> }[] = []
    const payers = await openPayers(config, { opened })
    const address = payers.get('wallet')?.address ?? 'none'
    await Promise.all(opened.map((one) => one.close()))
    expect(ended.out).toContain(`New wallet: ${address}`)
    expect(ended.out).toContain(`Send USDC on base-sepolia to this address`)
    expect(seller.payments).toHaveLength(0)
    // As hard to guess as geth's own.
    expect(JSON.parse(read('wallet.json'))).toMatchObject({
      crypto: { kdfparams: { n: 262_144, r: 8, p: 1 } },
    })
  })

  it('keeps its files to their owner', async () => {
    for (const name of ['wallet.json', 'wallet.password']) rmSync(at(name))
    start({ ...FACTS, directory }, cheap)
    for (const name of ['tollway.yaml', 'wallet.json', 'wallet.password', '.env'])
      expect([name, statSync(at(name)).mode & 0o777]).toEqual([name, 0o600])
    expect(read('wallet.json')).not.toContain(read('wallet.password').trim())
  })

  it('changes nothing where there is a configuration, and replaces it with --force but never the wallet', async () => {
    const first = start({ ...FACTS, directory }, cheap)
    const wallet = read('wallet.json')
    writeFileSync(at('tollway.yaml'), 'listen: 127.0.0.1:1\n')
    writeFileSync(at('.env'), 'MINE=1\n')
    const refused = await init('--yes')
    expect([refused.code, read('tollway.yaml')]).toEqual([2, 'listen: 127.0.0.1:1\n'])
    expect(refused.err).toContain('--force')
    const again = await init('--yes --force --json')
    expect(again.code).toBe(0)
    expect(JSON.parse(again.out)).toMatchObject({
      address: first.address,
      new_wallet: false,
      backup: at('tollway.yaml.1.bak'),
    })
    expect([read('wallet.json'), read('.env'), read('tollway.yaml.1.bak')]).toEqual([
      wallet,
      'MINE=1\n',
      'listen: 127.0.0.1:1\n',
    ])
  })

  it.each(['wallet.json', 'wallet.password'])('changes nothing when only %s is missing', async (name) => {
    rmSync(at(name))
    const ended = await init('--yes')
    expect(ended.code).toBe(2)
    expect(ended.err).toMatch(new RegExp(`${name.replace('.', '\\.')} is missing`))
    expect(existsSync(at(name)) || existsSync(at('tollway.yaml'))).toBe(false)
  })

  it('asks a person for what is missing, and shows a code to scan', async () => {
    const terminal = person(seller.apiBase, '', '0.05')
    const ended = await init('', terminal)
    expect(ended.code).toBe(0)
    expect(terminal.asked).toHaveLength(3)
    expect(read('tollway.yaml')).toContain('limit_usd: "5.00"')
    expect(read('tollway.yaml')).toContain('max_usd_per_request: "0.05"')
    expect(ended.out).toMatch(/[▀▄█]{5}/)
  })

  it('asks for a wallet where there is none, and makes one for an empty line', async () => {
    for (const name of ['wallet.json', 'wallet.password']) rmSync(at(name))
    const terminal = person(`file:${key}`, '', '', '')
    expect((await init('', terminal)).code).toBe(0)
    expect(terminal.asked[0]).toContain('keystore:<file>')
    expect(existsSync(at('wallet.json'))).toBe(false)
  })

  it('writes nothing when a person types an amount that is none', async () => {
    const ended = await init('', person('', 'much'))
    expect(ended.code).toBe(2)
    expect(existsSync(at('tollway.yaml'))).toBe(false)
  })

  it('takes the network and the models of a storefront', async () => {
    const services = {
      services: [
        { name: 'Qwen', type: 'inference', model: 'qwen3.5:9b', endpoint: '/services/qwen' },
        { name: 'Weather', type: 'http', endpoint: '/services/weather' },
      ],
    }
    seller.follow(({ url }) =>
      url === '/api/services.json'
        ? json(services)
        : url.endsWith('/chat/completions')
          ? challengeV2([
              { ...OFFER, network: 'eip155:8453', asset: '0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913' },
            ])
          : json({}),
    )
    const ended = await init(`--seller ${seller.url} --yes --json`)
    expect(JSON.parse(ended.out)).toMatchObject({ network: 'base', warning: null })
    expect(loadConfig(at('tollway.yaml'), {}).routes).toMatchObject([
      { modelName: 'paid/qwen3.5:9b', model: 'qwen3.5:9b', apiBase: `${seller.url}/services/qwen/v1` },
    ])
  })

  it.each([
    ['asks for no payment', completion(), /asked for no payment/],
    ['takes unknown tokens only', challengeV2([{ ...OFFER, asset: `0x${'12'.repeat(20)}` }]), /token/],
  ])('writes its files and a note when the seller %s', async (_case, unpaid, note) => {
    seller.follow({ unpaid })
    const ended = await init(`--seller ${seller.apiBase} --yes --json`)
    expect(ended.code).toBe(0)
    expect((JSON.parse(ended.out) as { warning: string }).warning).toMatch(note)
    expect(loadConfig(at('tollway.yaml'), {}).routes).toHaveLength(1)
  })

  it.each([
    ['--network base-seplia', 'base-sepolia'],
    ['--daily-usd 0', 'decimal amount'],
    ['--ceiling-usd -1', 'decimal amount'],
    ['--seller ftp://x', 'http or https'],
  ])('%s is refused, and nothing is written', async (line, words) => {
    const ended = await init(`${line} --yes`)
    expect(ended.code).toBe(2)
    expect(ended.err).toContain(words)
    expect(existsSync(at('tollway.yaml'))).toBe(false)
  })
})
