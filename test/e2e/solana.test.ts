import { randomUUID } from 'node:crypto'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { LocalSeller } from '../../src/app/sandbox/sellers/seller-app.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { DEVNET, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'

let world: SolanaWorld
const gateways: TestGateway[] = []
beforeAll(async () => {
  world = await startSolanaWorld()
})
afterEach(async () => {
  for (const gateway of gateways.splice(0)) await gateway.close()
})
afterAll(() => world.close())

async function open(seller: Pick<LocalSeller, 'apiBase'>, config: object = {}): Promise<TestGateway> {
  const name = `TEST_SOLANA_${randomUUID().replaceAll('-', '').toUpperCase()}`
  process.env[name] = encodeBase58(world.buyer.secret)
  const gateway = await startGateway({
    payers: { sol: { kind: 'solana', key: `\${env:${name}}`, networks: ['solana-devnet'] } },
    chains: { 'solana-devnet': { rpc: world.rpc.url } },
    model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'sol' }],
    budgets: [{ name: 'day', limit_usd: '5', window: 'day' }],
    ...config,
  })
  gateways.push(gateway)
  return gateway
}

function sdk(gateway: TestGateway): OpenAI {
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'unused', maxRetries: 0 })
}

describe.each(['authorization', 'upfront'] as const)(
  'OpenAI SDK, gateway, official Solana seller: %s',
  (flow) => {
    test('JSON and SSE: chain, ledger, audit and metrics are the same to the unit', async () => {
      const seller = await world.startSeller({ flow })
      const gateway = await open(seller)
      const before = world.balances()
      const messages = [{ role: 'user' as const, content: 'hello' }]
      const answer = await sdk(gateway).chat.completions.create({ model: 'paid/sandbox-small', messages })
      expect(answer.choices[0]?.message.content).toBeTruthy()
      expect(answer.usage).toMatchObject({ cost: 0.001 })
      const stream = await sdk(gateway).chat.completions.create({
        model: 'paid/sandbox-small',
        messages,
        stream: true,
        stream_options: { include_usage: true },
      })
      let text = ''
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
      expect(text).not.toBe('')
      const after = world.balances()
      expect(before.buyer - after.buyer).toBe(2000n)
      expect(after.seller - before.seller).toBe(2000n)

      const charges = await gateway.gateway.parts.ledger.store.charges()
      expect(charges).toHaveLength(2)
      for (const charge of charges) {
        expect(charge).toMatchObject({
          state: 'settled',
          proof: 'receipt',
          network: DEVNET,
          amount: 1000n,
          payTo: world.seller.address,
          payer: 'sol',
        })
        const landed = world.chain.landed.find(({ signature }) => signature === charge.transaction)
        expect(landed).toBeDefined()
      }
      expect(new Set(charges.map(({ transaction }) => transaction)).size).toBe(2)
      const audit = await gateway.audit()
      const settled = audit.filter(({ type }) => type === 'charge.settled')
      expect(settled).toHaveLength(2)
      expect(await gateway.metric('tollway_spend_atomic_total', { payer: 'sol', asset: 'USDC' })).toBe(2000)
      expect(await gateway.metric('tollway_payments_total', { network: DEVNET, state: 'settled' })).toBe(2)

      // The chain proves what the receipts said.
      await gateway.gateway.parts.reconciler.run({ all: true })
      for (const charge of await gateway.gateway.parts.ledger.store.charges()) {
        expect(charge).toMatchObject({ state: 'settled', proof: 'chain' })
      }
    })
  },
)

test('what is over the budget is refused before anything is signed', async () => {
  const seller = await world.startSeller()
  const gateway = await open(seller, { budgets: [{ name: 'day', limit_usd: '0.0015', window: 'day' }] })
  expect((await ask(gateway.url, { model: 'paid/sandbox-small' })).status).toBe(200)
  const before = world.chain.landed.length
  const refused = await ask(gateway.url, { model: 'paid/sandbox-small' })
  expect(refused.status).toBe(402)
  expect((await errorOf(refused)).code).toBe('budget_exhausted')
  expect(world.chain.landed.length).toBe(before)
})
