/** Sellers that read a v2 payment under its v1 name only, paid for real. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { AGENTCASH_STUB, agentcashHome } from '../kit/agentcash-home.ts'
import { ask, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { startObolSeller } from '../kit/obol-seller.ts'
import type { ScriptedSeller } from '../kit/scripted-seller.ts'

let world: World
let seller: ScriptedSeller
const cleanup: (() => Promise<void>)[] = []

beforeAll(async () => {
  world = await startWorld()
  seller = await startObolSeller(world)
})
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})
afterAll(async () => {
  await seller?.close()
  await world?.close()
})

const direct = (): Promise<object> => Promise.resolve(walletPayer(world.chain))

async function agentcash(): Promise<object> {
  const home = await agentcashHome(world.chain.accounts.buyer)
  cleanup.push(() => home.close())
  const { v1Network } = world.chain
  return { kind: 'agentcash', mode: 'mcp', binary: AGENTCASH_STUB, home: home.path, networks: [v1Network] }
}

async function gatewayFor(payer: object, apiBase: string): Promise<TestGateway> {
  const gateway = await startGateway({
    payers: { base: payer },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'base' }],
  })
  cleanup.push(() => gateway.close())
  return gateway
}

const earned = async (): Promise<bigint> => await world.chain.balanceOf(world.chain.accounts.seller.address)

test.each([
  ['direct', direct],
  ['AgentCash as a server (a stand-in)', agentcash],
])(
  '%s pays it once, by one authorization under both names, and neither comes back to the client',
  async (_name, payer) => {
    const gateway = await gatewayFor(await payer(), seller.apiBase)
    const [before, count] = [await earned(), seller.requests.length]
    const answer = await ask(gateway.url, { model: 'paid/x' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-tollway-spent')).toBe('yes')
    expect((await earned()) - before).toBe(1000n)
    const [, paid] = seller.requests.slice(count)
    const sent = String(paid?.headers['x-payment'])
    expect(paid?.headers['payment-signature']).toBe(sent)
    expect(seller.requests).toHaveLength(count + 2)
    // The emulator echoes what it was sent: a payment is money, whatever it is called.
    const text = await answer.text()
    expect(text).toContain('"echo":"***')
    expect(text).not.toContain(sent.slice(0, 64))
    const [charge] = await gateway.gateway.parts.ledger.store.charges()
    expect(charge).toMatchObject({ state: 'settled', proof: 'receipt', amount: 1000n })
  },
)

test('an official v2 seller is not told the old name', async () => {
  const gateway = await gatewayFor(await direct(), world.seller.apiBase)
  const answer = await ask(gateway.url, { model: 'paid/sandbox-small' })
  expect(answer.status).toBe(200)
  await answer.text()
  const paid = world.seller.log.at(-1)
  expect(paid?.headers['payment-signature']).toBeDefined()
  expect(paid?.headers['x-payment']).toBeUndefined()
})
