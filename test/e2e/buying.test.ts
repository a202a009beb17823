/** The buying commands against a local chain: what they say, sign, spend and leave behind. */


import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { startPermit2Seller, type Permit2Seller } from '../../src/app/sandbox/permit2-seller.ts'
import { ask, errorOf, startGateway } from '../kit/gateway.ts'
import { openShop, type Shop } from '../kit/buying.ts'

let world: World
let permit2: Permit2Seller
let shop: Shop

beforeAll(async () => {
  world = await startWorld({ blockTimeSeconds: 0 })
  const { chain, facilitator } = world
  permit2 = await startPermit2Seller({
    facilitatorUrl: facilitator.url,
    payTo: chain.accounts.seller.address,
    network: chain.network,
    token: chain.token,
  })
})
afterAll(async () => {
  await permit2?.close()
  await world?.close()
})
beforeEach(() => {
  shop = openShop(world.chain)
})
afterEach(() => {
  shop.remove()
})

const MODEL = 'sandbox-small'
const seller = (): string => world.streamingSeller.apiBase
const buy = (...more: string[]) =>
  shop.tollway('buy', 'qwen', '--endpoint', seller(), '--model', MODEL, ...more)

describe('probe', () => {
  test('shows what an API base asks for, and pays nothing', async () => {
    const before = await world.chain.transfers()
    const probed = await shop.tollway('probe', seller(), '--model', MODEL)
    expect(probed).toMatchObject({ code: 0, err: '' })
    expect(probed.out).toMatch(/asks for payment \(x402 version 2\)[^]*1 +0\.001 USDC +\$0\.001 +base-sepolia +exact/)
    expect(await world.chain.transfers()).toEqual(before)
  })
})

describe('buy', () => {
  test('signs vouchers that a gateway without any key spends', async () => {
    const bought = await buy('--count', '3')
    expect(bought).toMatchObject({ code: 0, err: '' })
    expect(bought.out).toContain('Signed 3 of 3 at 0.001 USDC each (0.003 USDC); 3 are ready')
    const { payers, ...rest } = shop.settings() as { payers: { bought: object } }
    const gateway = await startGateway({ ...rest, payers: { bought: payers.bought } })
    try {
      const before = (await world.chain.transfers()).length
      for (let n = 0; n < 3; n++) {
        const answer = await ask(gateway.url, { model: `paid/${MODEL}` })
        expect([answer.status, answer.headers.get('x-tollway-payer')]).toEqual([200, 'bought'])
      }
      expect((await world.chain.transfers()).length).toBe(before + 3)
      const empty = await ask(gateway.url, { model: `paid/${MODEL}`, seed: 4 })
      expect((await errorOf(empty)).code).toBe('pool_exhausted')
    } finally {
      await gateway.close()
    }
  })
})
