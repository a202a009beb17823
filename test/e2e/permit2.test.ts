/** Permit2 and upto, paid through a gateway to a seller on the official packages: chain and ledger agree to the atom. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startPermit2Seller, type Permit2Seller } from '../../src/app/sandbox/sellers/permit2-seller.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { approvePermit2, permit2Allowance } from '../kit/approve.ts'
import { ask, errorOf, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'

let world: World
let seller: Permit2Seller
let open: TestGateway[] = []

beforeAll(async () => {
  world = await startWorld()
  const { chain, facilitator } = world
  seller = await startPermit2Seller({
    facilitatorUrl: facilitator.url,
    payTo: chain.accounts.seller.address,
    network: chain.network,
    token: chain.token,
  })
})
beforeEach(async () => {
  await approvePermit2(world.chain, 0n)
  seller.setCharge('100%')
})
afterEach(async () => {
  for (const gateway of open) await gateway.close()
  open = []
})
afterAll(async () => {
  await seller?.close()
  await world?.close()
})

const body = { model: 'paid/sandbox-small' }
const DAY = { name: 'day', limit_usd: '1', window: 'day' }
const ROLLING = { name: 'rolling', limit_usd: '1', window: '24h' }

/** How far the chain was moved on: the gateways' clock follows. */
let aheadMs = 0

async function gatewayTo(
  apiBase: string,
  options: { node?: boolean; config?: object } = {},
): Promise<TestGateway> {
  const { chain } = world
  const gateway = await startGateway(
    {
      payers: { base: walletPayer(chain) },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: apiBase, payer: 'base' }],
      budgets: [DAY, ROLLING],
      ...(options.node === false ? {} : { chains: { [chain.v1Network]: { rpc: chain.rpcUrl } } }),
      ...options.config,
    },
    { clock: { now: () => Date.now() + aheadMs } },
  )
  open.push(gateway)
  return gateway
}

const earned = async (): Promise<bigint> => await world.chain.balanceOf(world.chain.accounts.seller.address)
const chargesOf = async ({ gateway }: TestGateway): Promise<Charge[]> =>
  await gateway.parts.ledger.store.charges()

/** What the budgets count as spent. */
async function spentOf({ gateway }: TestGateway): Promise<bigint[]> {
  const { ledger, config } = gateway.parts
  return (await ledger.budgets(config.budgets)).map(({ totals }) => totals.spent)
}

/** Lets the chain say its word: past the deadline of what was signed, or only until it is final. */
async function reconcile({ gateway }: TestGateway, seconds = 1): Promise<void> {
  await world.chain.levers.increaseTime(seconds)
  aheadMs += seconds * 1000
  await gateway.parts.reconciler.run({ all: true })
}

describe('exact by Permit2', () => {
  test('without an allowance nothing is signed, and the error is the transaction that mends it', async () => {
    const gateway = await gatewayTo(seller.apiBases.plain)
    const answer = await ask(gateway.url, body)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('x-tollway-spent')).toBe('no')
    const error = await errorOf(answer)
    expect(error.code).toBe('insufficient_funds')
    expect(error.message).toContain(
      `cast send ${world.chain.token.address.toLowerCase()} "approve(address,uint256)" 0x000000000022d473030f116ddee9f6b43ac78ba3 1000`,
    )
    expect(await chargesOf(gateway)).toEqual([])
  })

  test('without a node the seller says so with 412: told as that, kept as uncertain, released by the chain', async () => {
    const gateway = await gatewayTo(seller.apiBases.plain, { node: false })
    const answer = await ask(gateway.url, body)
    expect(answer.status).toBe(400)
    const error = await errorOf(answer)
    expect(error.code).toBe('payment_rejected')
    expect(error.message).toMatch(/Permit2 may not take the payment.*approve\(address,uint256\)/)
    expect(await chargesOf(gateway)).toMatchObject([
      { state: 'uncertain', reason: 'http_412', authorization: { method: 'permit2' } },
    ])
  })

  test('with an allowance it pays once, settles by the chain, and the allowance shrinks by the price', async () => {
    await approvePermit2(world.chain, 2500n)
    const gateway = await gatewayTo(seller.apiBases.plain)
    const before = await earned()
    expect((await ask(gateway.url, body)).status).toBe(200)
    expect((await ask(gateway.url, { ...body, seed: 1 })).status).toBe(200)
    expect((await earned()) - before).toBe(2000n)
    expect(await permit2Allowance(world.chain)).toBe(500n)
    const third = await ask(gateway.url, { ...body, seed: 2 })
    expect((await errorOf(third)).code).toBe('insufficient_funds')
    await reconcile(gateway)
    expect(await chargesOf(gateway)).toMatchObject([
      { state: 'settled', proof: 'chain', amount: 1000n },
      { state: 'settled', proof: 'chain', amount: 1000n },
    ])
    expect(await gateway.gateway.parts.ledger.store.flagCounts()).toEqual([])
  })
})

describe('an allowance that comes along (EIP-2612)', () => {
  test('is signed for exactly the payment when none suffices; nothing of it is left', async () => {
    const gateway = await gatewayTo(seller.apiBases.sponsored)
    const before = await earned()
    const answer = await ask(gateway.url, body)
    expect(answer.status).toBe(200)
    expect((await earned()) - before).toBe(1000n)
    expect(await permit2Allowance(world.chain)).toBe(0n)
    await reconcile(gateway)
    expect(await chargesOf(gateway)).toMatchObject([{ state: 'settled', proof: 'chain' }])
  })

  test('goes in turn: of many at once each has the next nonce and every one is paid', async () => {
    const gateway = await gatewayTo(seller.apiBases.sponsored)
    const before = await earned()
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, seed) => ask(gateway.url, { ...body, seed })),
    )
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 6 }, () => 200))
    expect((await earned()) - before).toBe(6000n)
  })

  test('stays at home while the allowance suffices', async () => {
    await approvePermit2(world.chain, 1000n)
    const gateway = await gatewayTo(seller.apiBases.sponsored)
    expect((await ask(gateway.url, body)).status).toBe(200)
    const sent = world.facilitator.log.findLast(({ operation }) => operation === 'settle')
    expect(JSON.stringify(sent?.request)).toContain('permit2Authorization')
    expect(sent?.request).toMatchObject({
      paymentPayload: expect.not.objectContaining({ extensions: expect.anything() }),
    })
  })
})

describe('upto', () => {
  test.each([
    ['in full', '10000', 10_000n],
    ['in part', '120', 120n],
    ['by one unit', '1', 1n],
  ])(
    'charged %s: booked at the maximum, and at what the Transfer says once it is final',
    async (_how, charge, taken) => {
      seller.setCharge(charge)
      const gateway = await gatewayTo(seller.apiBases.upto)
      const before = await earned()
      const answer = await ask(gateway.url, body)
      expect(answer.status).toBe(200)
      expect((await earned()) - before).toBe(taken)
      expect(await spentOf(gateway)).toEqual([10_000n, 10_000n])
      await reconcile(gateway)
      const [booked] = await chargesOf(gateway)
      expect(booked).toMatchObject({ state: 'settled', proof: 'chain', amount: 10_000n })
      expect(booked?.charged ?? booked?.amount).toBe(taken)
      expect(await spentOf(gateway)).toEqual([taken, taken])
      expect(await gateway.gateway.parts.ledger.store.flagCounts()).toEqual([])
      const record = (await gateway.audit()).findLast(({ type }) => type === 'charge.settled')
      expect(record?.['charged']).toBe(taken === 10_000n ? undefined : taken.toString())
    },
  )
})

describe('several offers', () => {
  test('the cheapest is paid, upto counted as its maximum', async () => {
    const gateway = await gatewayTo(seller.apiBases.several)
    await approvePermit2(world.chain, 10_000n)
    expect((await ask(gateway.url, body)).status).toBe(200)
    expect(await chargesOf(gateway)).toMatchObject([{ amount: 900n, authorization: { scheme: 'upto' } }])
  })

  test('one that the wallet cannot pay is passed over for the next', async () => {
    const gateway = await gatewayTo(seller.apiBases.several)
    expect((await ask(gateway.url, body)).status).toBe(200)
    const [charge] = await chargesOf(gateway)
    expect(charge).toMatchObject({ amount: 1200n, state: 'settled' })
    expect(charge?.authorization?.method).toBeUndefined()
  })

  test("in the seller's order where the policy says so", async () => {
    await approvePermit2(world.chain, 10_000n)
    const gateway = await gatewayTo(seller.apiBases.several, {
      config: { policy: { offer_order: 'seller' } },
    })
    expect((await ask(gateway.url, body)).status).toBe(200)
    expect(await chargesOf(gateway)).toMatchObject([{ amount: 900n }])
  })
})

// Last: it moves the chain's clock past the deadline of whatever is signed afterwards.
describe('upto for nothing', () => {
  test('charged nothing: the receipt is a hint, and only the chain past the deadline frees the maximum', async () => {
    seller.setCharge('0')
    const gateway = await gatewayTo(seller.apiBases.upto)
    const before = await earned()
    expect((await ask(gateway.url, body)).status).toBe(200)
    await reconcile(gateway)
    expect(await spentOf(gateway)).toEqual([10_000n, 10_000n])
    await reconcile(gateway, 120)
    expect(await chargesOf(gateway)).toMatchObject([
      { state: 'settled', proof: 'chain', charged: 0n, transaction: undefined },
    ])
    expect(await spentOf(gateway)).toEqual([0n, 0n])
    expect((await earned()) - before).toBe(0n)
  })
})
