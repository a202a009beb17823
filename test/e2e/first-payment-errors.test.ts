/** What a new user reads when the first payment fails, at an official seller on the local chain: the error alone says what to do. */
import { privateKeyToAccount, generatePrivateKey } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import type { GatewayOverrides } from '../../src/app/gateway/gateway.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'

const KEY = generatePrivateKey()
const OWNER = privateKeyToAccount(KEY).address.toLowerCase()

let world: World
let tollway: TestGateway | undefined

beforeAll(async () => {
  world = await startWorld({ maxTimeoutSeconds: 60 })
})
afterAll(() => world?.close())
afterEach(async () => {
  await tollway?.close()
  tollway = undefined
  await setCode(OWNER, '0x')
})

async function setCode(address: string, code: string): Promise<void> {
  await fetch(world.chain.rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'anvil_setCode', params: [address, code] }),
  })
}

/** Pays with a wallet of its own. @param withNode whether a node is configured */
async function pay(key: string, withNode: boolean, overrides: GatewayOverrides = {}) {
  process.env['FIRST_PAYMENT_KEY'] = key
  const { chain, seller } = world
  tollway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:FIRST_PAYMENT_KEY}', networks: [chain.v1Network] } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' }],
      ...(withNode ? { chains: { [chain.v1Network]: { rpc: chain.rpcUrl } } } : {}),
    },
    overrides,
  )
  return await ask(tollway.url, { model: 'paid/m' })
}

describe('an empty wallet', () => {
  it('is told with its balance and where to send what, before anything is signed, where a node is configured', async () => {
    const answer = await pay(KEY, true)
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    const { code, message } = await errorOf(answer)
    expect(code).toBe('insufficient_funds')
    expect(message).toContain(
      `The paying wallet ${OWNER} holds 0 USDC on base-sepolia, and 0.001 USDC are needed`,
    )
    expect(message).toContain(`Send USDC on base-sepolia to ${OWNER}.`)
  })

  it("is told with the seller's reason and the address, where none is", async () => {
    const { code, message } = await errorOf(await pay(KEY, false))
    expect(code).toBe('payment_rejected')
    expect(message).toContain(`The paying wallet ${OWNER} holds less than 0.001 USDC on base-sepolia`)
    expect(message).toContain('Send it USDC on base-sepolia')
  })
})

describe('a wallet that has delegated its code', () => {
  const delegate = async (): Promise<void> => {
    await world.chain.levers.mint(privateKeyToAccount(KEY).address, 1_000_000n)
    await setCode(OWNER, `0xef0100${'ab'.repeat(20)}`)
  }

  it('is refused with its reason before anything is signed, where a node is configured', async () => {
    await delegate()
    const answer = await pay(KEY, true)
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    const { code, message } = await errorOf(answer)
    expect(code).toBe('wallet_not_plain')
    expect(message).toContain(`has delegated its code to 0x${'ab'.repeat(20)} on base-sepolia (EIP-7702)`)
    expect(message).toContain('Pay from another wallet, or end the delegation')
  })

  it('is named as a likely reason, where none is', async () => {
    await delegate()
    const { code, message } = await errorOf(await pay(KEY, false))
    expect(code).toBe('payment_rejected')
    expect(message).toMatch(/cannot verify the signature of .*EIP-7702.*pay from a plain wallet/)
  })
})

describe('a clock that is wrong', () => {
  const behind = (seconds: number): GatewayOverrides => ({
    clock: { now: () => Date.now() - seconds * 1000 },
  })
  const key = (): string => world.chain.accounts.buyer.privateKey

  it('by a little fails nothing', async () => {
    expect((await pay(key(), false, behind(55))).status).toBe(200)
    expect(await tollway?.metric('tollway_clock_skew_seconds')).toBeGreaterThan(45)
  })

  it('by ten minutes is told with how much, and what to do', async () => {
    const { code, message } = await errorOf(await pay(key(), false, behind(600)))
    expect(code).toBe('payment_rejected')
    expect(message).toMatch(/this machine's clock is (?:59|60)\d s behind the seller's\. Set the clock/)
  })
})
