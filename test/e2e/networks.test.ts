/** A network that only the configuration knows: the messages of refusals lead to a payment on it, on a real chain with that id. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { run } from '../../src/app/cli/run.ts'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { startFacilitator, type LocalFacilitator } from '../../src/app/sandbox/facilitator.ts'
import { decodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { FakeTerminal } from '../cli/fake-terminal.ts'
import { ask, errorOf, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { challengeV2, completion } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

const CHAIN_ID = 424_242
const TOKEN = { address: '0x5FbDB2315678afecb367f032d93F642f64180aa3', name: 'Local Dollar' } as const
const OTHER = '0x00000000000000000000000000000000000000ab'

let chain: LocalChain
let facilitator: LocalFacilitator
let seller: ScriptedSeller
let tollway: TestGateway | undefined
let offer: Record<string, unknown>

beforeAll(async () => {
  chain = await startChain({ chainId: CHAIN_ID, token: TOKEN })
  facilitator = await startFacilitator(chain)
  offer = {
    scheme: 'exact',
    network: chain.network,
    amount: '1000',
    asset: TOKEN.address,
    payTo: chain.accounts.seller.address,
    maxTimeoutSeconds: 60,
    extra: { name: TOKEN.name, version: '2' },
  }
  seller = await startScriptedSeller({
    unpaid: () => challengeV2([offer]),
    // Verified and settled by the official facilitator, on the chain.
    paid: async ({ payment = '' }) => {
      const paymentPayload = decodeBase64Json(payment)
      const settled = await fetch(`${facilitator.url}/settle`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ x402Version: 2, paymentPayload, paymentRequirements: offer }),
      })
      return completion({}, (await settled.json()) as object)
    },
  })
})
afterEach(async () => {
  await tollway?.close()
  tollway = undefined
})
afterAll(async () => {
  await seller.close()
  await facilitator.close()
  await chain.close()
})

const payer = (networks: readonly string[]): object => ({ ...walletPayer(chain), networks })

function configOf(networks: readonly string[], more: object = {}): object {
  return {
    payers: { wallet: payer(networks) },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'wallet' }],
    ...more,
  }
}

async function messageWith(config: object): Promise<string> {
  tollway = await startGateway(config)
  const { message } = await errorOf(await ask(tollway.url, { model: 'paid/m' }))
  await tollway.close()
  tollway = undefined
  return message
}

/** The line of configuration in a message that begins with this key. */
function lineOf(message: string, key: string): Record<string, unknown> {
  const text = new RegExp(`(${key}: \\[.*?\\])\\.`).exec(message)?.[1]
  if (text === undefined) throw new Error(`there is no ${key} in: ${message}`)
  return parse(text) as Record<string, unknown>
}

const paidOnChain = async (): Promise<bigint[]> =>
  (await chain.transfers({ to: chain.accounts.seller.address })).map(({ value }) => value)

test('what the refusal of the network says to add pays there, and the chain proves it', async () => {
  const message = await messageWith(configOf(['base-sepolia']))
  const { networks } = lineOf(message, 'networks')
  const { assets } = lineOf(message, 'assets')
  expect(networks).toEqual(['base-sepolia', `eip155:${CHAIN_ID}`])
  const before = await paidOnChain()
  const chains = { [`eip155:${CHAIN_ID}`]: { rpc: chain.rpcUrl } }
  tollway = await startGateway(configOf(networks as string[], { assets, chains }))
  const answer = await ask(tollway.url, { model: 'paid/m' })
  expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'yes'])
  expect(await paidOnChain()).toEqual([...before, 1000n])
  const [charge] = await tollway.gateway.parts.ledger.store.charges()
  expect(charge).toMatchObject({ network: `eip155:${CHAIN_ID}`, state: 'settled', microUsd: 1000n })
})

test('what the refusal of the token says to add pays with it', async () => {
  const known = { network: `eip155:${CHAIN_ID}`, address: OTHER, symbol: 'OTHER', decimals: 6, usd: '1' }
  const message = await messageWith(configOf([`eip155:${CHAIN_ID}`], { assets: [known] }))
  const { assets } = lineOf(message, 'assets')
  const before = await paidOnChain()
  tollway = await startGateway(configOf([`eip155:${CHAIN_ID}`], { assets: [known, ...(assets as object[])] }))
  expect((await ask(tollway.url, { model: 'paid/m' })).status).toBe(200)
  expect(await paidOnChain()).toEqual([...before, 1000n])
})

test('the commands know the network too: probe, pay, balance and reconcile', async () => {
  const assets = [
    {
      network: `eip155:${CHAIN_ID}`,
      address: TOKEN.address,
      symbol: 'LUSD',
      decimals: 6,
      usd: '1',
      name: TOKEN.name,
      version: '2',
    },
  ]
  const chains = { [`eip155:${CHAIN_ID}`]: { rpc: chain.rpcUrl } }
  const config = configOf([`eip155:${CHAIN_ID}`], { assets, chains })
  tollway = await startGateway(config)
  const { store, audit } = tollway.gateway.parts.config
  const file = join(tollway.directory, 'tollway.yaml')
  const command = async (...args: string[]): Promise<{ code: number; out: string }> => {
    const own = configOf([`eip155:${CHAIN_ID}`], {
      assets,
      chains,
      store,
      audit: { path: `${audit.path}.cli` },
    })
    await writeFile(file, JSON.stringify(own))
    const terminal = new FakeTerminal(process.env as Record<string, string>)
    const code = await run([...args, '--config', file], terminal)
    return { code, out: `${terminal.out}${terminal.err}` }
  }
  const url = `${seller.apiBase}/chat/completions`
  const probed = await command('probe', url, '--json')
  expect(probed.code, probed.out).toBe(0)
  expect(JSON.stringify(JSON.parse(probed.out))).toMatch(/"method":"eip3009".*"token":"LUSD"/)
  const before = await paidOnChain()
  const paid = await command(
    'pay',
    url,
    '--data',
    '{"model":"m"}',
    '--network',
    `eip155:${CHAIN_ID}`,
    '--json',
  )
  expect(paid.code, paid.out).toBe(0)
  expect(await paidOnChain()).toEqual([...before, 1000n])
  const balance = await command('balance', '--chain', `eip155:${CHAIN_ID}`)
  expect(balance.code, balance.out).toBe(0)
  expect(balance.out).toMatch(/LUSD/)
  const reconciled = await command('reconcile')
  expect(reconciled.out).toMatch(new RegExp(`^eip155:${CHAIN_ID} +ok`, 'm'))
})
