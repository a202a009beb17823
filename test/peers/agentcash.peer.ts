import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serveOnLoopback } from '../../src/io/transport/loopback.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { agentcashHome } from '../kit/agentcash-home.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { describePaying } from '../providers/paying.ts'
import { BALANCE_PORT } from './check-port.ts'

const binary = resolve(import.meta.dirname, 'node_modules/.bin/agentcash')

let rig: World
/** USD that the stand-in for agentcash.dev says the wallet has. */
let balance = 1000
const asked: unknown[] = []
let balances: { close(): Promise<void> }

beforeAll(async () => {
  // AgentCash knows no other EVM network than Base.
  rig = await startWorld({ chainId: 8453 })
  balances = await serveOnLoopback((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      asked.push(JSON.parse(Buffer.concat(chunks).toString()))
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ balance, network: 'eip155:8453', paymentNetwork: 'base', chainId: 8453 }))
    })
  }, BALANCE_PORT)
})
afterAll(async () => {
  await balances.close()
  await rig.close()
})

async function payerOf(
  mode: 'mcp' | 'cli',
  { chain }: World,
): Promise<{ payer: object; close: () => Promise<void> }> {
  const home = await agentcashHome(chain.accounts.buyer)
  const payer = { kind: 'agentcash', mode, binary, home: home.path, args: ['--dev'] }
  return { payer, close: () => home.close() }
}

describe.each(['mcp', 'cli'] as const)('the real agentcash, mode %s', (mode) => {
  describePaying(`agentcash ${mode}`, {
    world: () => rig,
    start: ({ world }) => payerOf(mode, world),
    burst: mode === 'cli' ? 4 : 12,
  })

  test('whose wallet has no money is insufficient_funds, and nothing is booked', async () => {
    const { payer, close } = await payerOf(mode, rig)
    balance = 0
    let gateway: TestGateway | undefined
    try {
      const { apiBase } = rig.streamingSeller
      gateway = await startGateway({
        payers: { poor: payer },
        model_list: [{ model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'poor' }],
      })
      const answer = await ask(gateway.url, { model: 'paid/sandbox-small' })
      expect(answer.headers.get('x-tollway-spent')).toBe('no')
      expect((await errorOf(answer)).code).toBe('insufficient_funds')
      const [charge] = await gateway.gateway.parts.ledger.store.charges()
      expect(charge).toMatchObject({ state: 'released', reason: 'insufficient_funds' })
    } finally {
      balance = 1000
      await gateway?.close()
      await close()
    }
  })
})
