import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { chatRequest } from '../kit/official-client.ts'
import { officialSchemes } from '../kit/solana/official.ts'
import { LIFETIME } from '../kit/solana/chain.ts'
import { DEVNET, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'

// The parts that the payer is tested with, by themselves: official client, seller and facilitator on the local chain.
let world: SolanaWorld
beforeAll(async () => {
  world = await startSolanaWorld()
})
afterAll(() => world.close())

async function officialFetch(): Promise<typeof fetch> {
  const { v2 } = await officialSchemes(world.buyer, world.rpc.url)
  return wrapFetchWithPayment(fetch, new x402Client().register(DEVNET, v2))
}

describe.each(['authorization', 'upfront'] as const)('the official seller, %s', (flow) => {
  test.each([false, true])('is paid by the official client, stream %j', async (stream) => {
    const seller = await world.startSeller({ flow })
    const before = world.balances()
    const pay = await officialFetch()
    const response = await pay(`${seller.apiBase}/chat/completions`, chatRequest('hello', { stream }))
    expect(response.status).toBe(200)
    expect(await response.text()).toContain(stream ? '[DONE]' : 'chat.completion')
    expect(world.balances()).toEqual({ buyer: before.buyer - 1000n, seller: before.seller + 1000n })
  })
})

test('a transaction whose block hash is too old is in no block any more', async () => {
  const { v2 } = await officialSchemes(world.buyer, world.rpc.url)
  const requirements = {
    scheme: 'exact',
    network: DEVNET,
    amount: '1000',
    asset: '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU',
    payTo: world.seller.address,
    maxTimeoutSeconds: 60,
    extra: { feePayer: world.feePayer.address },
  } as const
  const { payload } = await v2.createPaymentPayload(2, requirements)
  const bytes = Buffer.from(String(payload['transaction']), 'base64')
  expect(world.chain.simulate(bytes).err).toBeNull()
  world.chain.mine(LIFETIME + 1)
  expect(world.chain.simulate(bytes).err).toBe('BlockhashNotFound')
  expect(world.chain.send(bytes)).toMatchObject({ ok: false, error: 'Blockhash not found' })
})
