/** What `direct` asks its node before it signs, on the local chain. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { direct } from '../../providers/direct/direct.ts'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { quoteOf } from '../kit/quotes.ts'

const never = new AbortController().signal
const nowhere = `0x${'0d'.repeat(20)}`

let chain: LocalChain
let folder = ''
const payers: Provider[] = []

beforeAll(async () => {
  chain = await startChain()
  folder = await mkdtemp(join(tmpdir(), 'tollway-wallet-'))
  await writeFile(join(folder, 'key'), chain.accounts.buyer.privateKey, { mode: 0o600 })
})
afterEach(async () => {
  for (const payer of payers.splice(0)) await payer.close()
})
afterAll(async () => {
  await chain?.close()
  await rm(folder, { recursive: true, force: true })
})

async function open(rpc: string | undefined = chain.rpcUrl): Promise<Provider> {
  const nodes = rpc === '' ? {} : { 'base-sepolia': rpc }
  const made = await direct({
    key: { source: 'file', path: join(folder, 'key') },
    networks: ['base-sepolia'],
    nodes,
  })
  payers.push(made)
  return made
}

/** What the payer says to a quote; `undefined` when it would pay. */
async function refusal(made: Provider, quote: ReturnType<typeof quoteOf>): Promise<unknown> {
  return await made.ready?.(quote, never).then(
    () => undefined,
    (error: unknown) => error,
  )
}

describe('with a node', () => {
  test('a token that is not there is asset_not_deployed', async () => {
    const assets = BUILT_IN_ASSETS.map((asset) => ({ ...asset, address: nowhere }))
    const quote = quoteOf(2, { asset: nowhere }, { assets })
    expect(await refusal(await open(), quote)).toMatchObject({ code: 'asset_not_deployed' })
  })

  test('a price over the balance is insufficient_funds, and one up to it is paid', async () => {
    const { buyer } = chain.accounts
    const balance = await chain.balanceOf(buyer.address)
    const policy = { maxMicroUsd: balance * 2n }
    const made = await open()
    expect(await refusal(made, quoteOf(2, { amount: balance.toString() }, policy))).toBeUndefined()
    expect(await refusal(made, quoteOf(2, { amount: (balance + 1n).toString() }, policy))).toMatchObject({
      code: 'insufficient_funds',
      message: expect.stringMatching(/The paying wallet 0x[0-9a-f]{40} holds 1000 USDC on base-sepolia/),
    })
  })
})

describe('a wallet with code', () => {
  const rpc = async (code: string): Promise<void> => {
    const call = {
      jsonrpc: '2.0',
      id: 1,
      method: 'anvil_setCode',
      params: [chain.accounts.buyer.address, code],
    }
    await fetch(chain.rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(call),
    })
  }
  afterEach(() => rpc('0x'))

  test.each([
    [
      'an EIP-7702 delegation',
      `0xef0100${'ab'.repeat(20)}`,
      new RegExp(`delegated its code to 0x${'ab'.repeat(20)} on base-sepolia \\(EIP-7702\\)`),
    ],
    ['a contract', '0x6001600055', /is a contract on base-sepolia/],
  ])('is refused with its reason: %s', async (_what, code, told) => {
    await rpc(code)
    const refused = await refusal(await open(), quoteOf())
    expect(refused).toMatchObject({
      code: 'wallet_not_plain',
      status: 400,
      message: expect.stringMatching(told),
    })
    expect(refused).toMatchObject({
      message: expect.stringContaining(chain.accounts.buyer.address.toLowerCase()),
    })
  })

  test('pays where no node is configured: then only the seller can tell', async () => {
    await rpc(`0xef0100${'ab'.repeat(20)}`)
    expect(await refusal(await open(''), quoteOf())).toBeUndefined()
  })
})

describe('a token whose domain is not in the table', () => {
  const assets = BUILT_IN_ASSETS.map((asset) => ({ ...asset, domain: undefined }))
  const claiming = (eip712Domain: unknown) => quoteOf(2, { extra: { eip712Domain } }, { assets })

  test("is paid under the seller's domain when the contract itself has exactly that", async () => {
    const made = await open()
    const quote = claiming({ name: chain.token.name, version: chain.token.version })
    expect(await refusal(made, quote)).toBeUndefined()
    await expect(made.authorize(quote, 'chg_1', never)).resolves.toMatchObject({ kind: 'authorization' })
  })

  test.each([
    ['another name', { name: 'Fake', version: '2' }],
    ['another version', { name: 'USDC', version: '1' }],
    ['no version', { name: 'USDC' }],
    ['junk', 7],
    ['nothing', undefined],
  ])('is not paid with %s', async (_what, domain) => {
    const made = await open()
    expect(await refusal(made, claiming(domain))).toMatchObject({ code: 'no_supported_offer' })
    await expect(made.authorize(claiming(domain), 'chg_1', never)).rejects.toMatchObject({
      code: 'no_supported_offer',
    })
  })

  test('is not paid without a node to ask', async () => {
    const quote = claiming({ name: chain.token.name, version: chain.token.version })
    expect(await refusal(await open(''), quote)).toMatchObject({ code: 'no_supported_offer' })
  })
})

test('a node that is unreachable or serves another chain blocks no payment', async () => {
  const elsewhere = await startChain({ chainId: 8453 })
  try {
    for (const rpc of ['http://127.0.0.1:9', elsewhere.rpcUrl]) {
      const made = await open(rpc)
      expect(await refusal(made, quoteOf())).toBeUndefined()
      await expect(made.authorize(quoteOf(), 'chg_1', never)).resolves.toMatchObject({
        kind: 'authorization',
      })
    }
  } finally {
    await elsewhere.close()
  }
})
