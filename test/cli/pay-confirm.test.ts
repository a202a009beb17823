/** `tollway pay` asks a person before it pays for more than reading, and takes its limit in USDC. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { run } from '../../src/app/cli/run.ts'
import { hasWallet, loadCommandConfig } from '../../src/app/config/command-config.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { temporaryDirectory } from '../config/config-file.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, OFFER } from '../kit/seller-answers.ts'
import { FakeTerminal } from './fake-terminal.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function startSeller(...offers: object[]): Promise<ScriptedSeller> {
  const seller = await startScriptedSeller(offers.length === 0 ? {} : { unpaid: challengeV2(offers) })
  ends.push(() => seller.close())
  return seller
}

interface Asked extends FakeTerminal {
  readonly code: number
  readonly questions: readonly string[]
}

/** @param answer of the person at the terminal; `undefined` when nobody is there */
async function pay(args: readonly string[], answer?: string, policy = ''): Promise<Asked> {
  const directory = temporaryDirectory()
  const config = join(directory, 'tollway.yaml')
  const payers = 'payers: { base: { kind: direct, key: "${env:KEY}", networks: [base-sepolia] } }\n'
  writeFileSync(config, `${payers}${policy}`)
  const questions: string[] = []
  const terminal = new FakeTerminal({ KEY: localAccounts().buyer.privateKey })
  const ask = (question: string): Promise<string> => {
    questions.push(question)
    return Promise.resolve(answer ?? '')
  }
  const code = await run(
    ['pay', ...args, '--config', config],
    Object.assign(terminal, answer === undefined ? {} : { ask }),
  )
  return Object.assign(terminal, { code, questions })
}

describe('a POST on a terminal', () => {
  it.each(['y', 'Yes', ' y '])('is paid when the person answers %j', async (answer) => {
    const seller = await startSeller()
    const { code, questions } = await pay([`${seller.url}/send`, '-d', '{}', '--max-usd', '0.01'], answer)
    expect([code, questions]).toEqual([0, [`Pay up to $0.01 for POST ${seller.url}/send? [y/N] `]])
    expect(seller.payments).toHaveLength(1)
  })

  it.each(['', 'n', 'yess', 'no'])('is not paid when the person answers %j', async (answer) => {
    const seller = await startSeller()
    const { code, err } = await pay([`${seller.url}/send`, '-d', '{}'], answer)
    expect([code, err]).toEqual([1, expect.stringContaining('Not approved; nothing was paid.')])
    expect(seller.payments).toHaveLength(0)
  })

  it('is paid without a question with --yes', async () => {
    const seller = await startSeller()
    const { code, questions } = await pay([`${seller.url}/send`, '-d', '{}', '--yes'], 'n')
    expect([code, questions, seller.payments.length]).toEqual([0, [], 1])
  })

  it('asks where nobody named the method and the seller describes a POST', async () => {
    const info = { input: { type: 'http', method: 'POST' } }
    const seller = await startScriptedSeller({
      unpaid: challengeV2([OFFER], { extensions: { bazaar: { info } } }),
    })
    ends.push(() => seller.close())
    const { questions } = await pay([`${seller.url}/send`], 'n')
    expect(questions).toHaveLength(1)
    expect(seller.payments).toHaveLength(0)
  })
})

it('a GET on a terminal, and a POST without one, are paid without a question', async () => {
  const seller = await startSeller()
  expect((await pay([`${seller.url}/read`], 'n')).questions).toEqual([])
  await pay([`${seller.url}/send`, '-d', '{}'])
  expect(seller.payments).toHaveLength(2)
})

describe('a price above policy.approve_above_usd', () => {
  const POLICY = 'policy: { approve_above_usd: "0.0009" }\n'

  it('is paid for a GET only when the person agrees to it', async () => {
    const seller = await startSeller()
    const paid = await pay([`${seller.url}/read`], 'y', POLICY)
    expect([paid.code, paid.questions]).toEqual([
      0,
      [`${seller.url} asks $0.001, above policy.approve_above_usd. Pay it? [y/N] `],
    ])
    const refused = await pay([`${seller.url}/read`], 'n', POLICY)
    expect([refused.code, refused.err]).toEqual([
      1,
      expect.stringContaining('Not approved; nothing was paid.'),
    ])
    expect(seller.payments).toHaveLength(1)
  })

  it('is refused where nobody can be asked, and paid with --yes', async () => {
    const seller = await startSeller()
    const refused = await pay([`${seller.url}/read`], undefined, POLICY)
    expect([refused.code, refused.err]).toEqual([
      3,
      expect.stringContaining("A payment of $0.001 needs a person's approval"),
    ])
    expect(seller.payments).toHaveLength(0)
    expect((await pay([`${seller.url}/read`, '--yes'], undefined, POLICY)).code).toBe(0)
  })
})

describe('--max-usdc', () => {
  it('pays up to it, and not one unit more', async () => {
    const seller = await startSeller({ ...OFFER, amount: '10000' })
    expect((await pay([`${seller.url}/read`, '--max-usdc', '0.01'])).code).toBe(0)
    expect((await pay([`${seller.url}/read`, '--max-usdc', '0.009999'])).code).toBe(3)
    expect(seller.payments).toHaveLength(1)
  })

  it('pays nothing but USDC', async () => {
    const seller = await startSeller({ ...OFFER, asset: '0x00000000000000000000000000000000000000cc' })
    const { err } = await pay([`${seller.url}/read`, '--max-usdc', '0.01'])
    expect(err).toContain('The seller has no matching offer; nothing was paid.')
    expect(seller.payments).toHaveLength(0)
  })

  it.each([
    [['--max-usd', '1', '--max-usdc', '1'], /one limit in two units/],
    [['--token', 'OBOL', '--max-usdc', '1'], /pays USDC only, and --token names OBOL/],
    [['--max-usdc', '0'], /decimal amount/],
    [['--max-usdc', '1e3'], /decimal amount/],
  ])('refuses %j', async (args, message) => {
    const { code, err } = await pay(['https://seller.example.com/x', ...args])
    expect([code, err]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('without a configuration file', () => {
  const solana = { TOLLWAY_SOLANA_KEY: 'key', SOLANA_RPC_URL: 'http://127.0.0.1:8899' }

  it('a wallet on Solana in the environment is enough, with its node', () => {
    const config = loadCommandConfig('tollway.yaml', { ...solana, SOLANA_NETWORK: 'solana' })
    const network = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
    expect([...config.payers]).toMatchObject([['solana', { kind: 'solana', networks: [network] }]])
    expect(config.chains.get(network)?.rpc).toBe('http://127.0.0.1:8899')
    expect([hasWallet(solana), hasWallet({})]).toEqual([true, false])
  })

  it('wallets of both kinds are two payers, and the network of trials is the default', () => {
    const env = { ...solana, TOLLWAY_WALLET_KEY: localAccounts().buyer.privateKey }
    const { payers } = loadCommandConfig('tollway.yaml', env)
    expect([...payers].map(([name, { networks }]) => [name, networks])).toEqual([
      ['wallet', ['eip155:84532']],
      ['bought', expect.anything()],
      ['solana', ['solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1']],
    ])
  })
})
