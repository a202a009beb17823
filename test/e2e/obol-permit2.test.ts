/**
 * Permit2 vouchers as Obol's tools write them, paid by a pool on the real chain, to a seller on the official packages: with an
 * allowance that is there, and with one that comes along (EIP-2612).
 */
import { existsSync, readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { startPermit2Seller, type Permit2Seller } from '../../src/app/sandbox/sellers/permit2-seller.ts'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { approvePermit2, permit2Allowance } from '../kit/approve.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { buyerFiles, signAuths, upstreamFile, type Auth, type BuyerFiles } from '../kit/obol-pool.ts'

let world: World
let seller: Permit2Seller
const cleanup: (() => unknown)[] = []

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
afterEach(async () => {
  for (const end of cleanup.splice(0).toReversed()) await end()
})
afterAll(async () => {
  await seller?.close()
  await world?.close()
})

interface Buyer {
  readonly gateway: TestGateway
  readonly files: BuyerFiles
}

function write(files: BuyerFiles, apiBase: string, auths: readonly Auth[]): void {
  const url = apiBase.replace(/\/v1$/, '')
  const upstream = upstreamFile({ url, payTo: world.chain.accounts.seller.address })
  files.write('by-permit2', { ...upstream, assetTransferMethod: 'permit2' }, auths)
}

/** @param auths `undefined`: the directories are empty at the start */
async function buyer(apiBase: string, auths: readonly Auth[] | undefined): Promise<Buyer> {
  const { chain } = world
  const files = buyerFiles()
  if (auths) write(files, apiBase, auths)
  cleanup.push(() => files.remove())
  const gateway = await startGateway({
    payers: { obol: files.payer },
    budgets: [{ name: 'day', limit_usd: '1', window: 'day' }],
    chains: { [chain.v1Network]: { rpc: chain.rpcUrl } },
  })
  cleanup.push(() => gateway.close())
  return { gateway, files }
}

const vouchers = (count: number, permitNonce?: bigint): Promise<Auth[]> =>
  signAuths(count, { payTo: world.chain.accounts.seller.address, shape: 'permit2', permitNonce })

const earned = async (): Promise<bigint> => await world.chain.balanceOf(world.chain.accounts.seller.address)

const call = ({ gateway }: Buyer, seed: number): Promise<Response> =>
  ask(gateway.url, { model: 'paid/sandbox-small', seed })

const consumed = async ({ gateway, files }: Buyer): Promise<unknown> => {
  await gateway.gateway.close()
  return existsSync(files.state) ? (JSON.parse(readFileSync(files.state, 'utf8')) as unknown) : undefined
}

/** What the state file must say: the ids, which are the nonces in decimal. */
const used = (auths: readonly Auth[]): object => ({
  consumed: { 'by-permit2': auths.map(({ id }) => String(id)).toSorted((a, b) => (a < b ? -1 : 1)) },
})

async function charges({ gateway }: Buyer): Promise<object[]> {
  await world.chain.levers.increaseTime(1)
  await gateway.gateway.parts.reconciler.run({ all: true })
  return await gateway.gateway.parts.ledger.store.charges()
}

describe('Permit2 vouchers of Obol', () => {
  test('are paid out of an allowance, settled by the chain, and written to consumed.json by their decimal nonce', async () => {
    await approvePermit2(world.chain, 2500n)
    const auths = await vouchers(2)
    const pool = await buyer(seller.apiBases.plain, auths)
    const before = await earned()
    for (const seed of [1, 2]) expect((await call(pool, seed)).status).toBe(200)
    expect((await earned()) - before).toBe(2000n)
    expect(await permit2Allowance(world.chain)).toBe(500n)
    const settled = { state: 'settled', proof: 'chain', amount: 1000n, authorization: { method: 'permit2' } }
    expect(await charges(pool)).toMatchObject([settled, settled])
    expect((await errorOf(await call(pool, 3))).code).toBe('pool_exhausted')
    expect(await consumed(pool)).toEqual(used(auths))
  })

  test('bring the allowance along in the order of its nonces, and leave none behind, many at once too', async () => {
    await approvePermit2(world.chain, 0n)
    const auths = await vouchers(6, 0n)
    const pool = await buyer(seller.apiBases.sponsored, auths)
    const before = await earned()
    for (const seed of [1, 2, 3]) expect([seed, (await call(pool, seed)).status]).toEqual([seed, 200])
    const together = await Promise.all([4, 5, 6].map((seed) => call(pool, seed)))
    expect(together.map(({ status }) => status)).toEqual([200, 200, 200])
    expect((await earned()) - before).toBe(6000n)
    expect(await permit2Allowance(world.chain)).toBe(0n)
    const settled = { state: 'settled', proof: 'chain', amount: 1000n }
    expect(await charges(pool)).toMatchObject(Array.from({ length: 6 }, () => settled))
    const sent = world.facilitator.log.findLast(({ operation }) => operation === 'settle')
    expect(sent?.request).toMatchObject({
      paymentPayload: {
        extensions: { eip2612GasSponsoring: { info: { version: '1', nonce: '5', amount: '1000' } } },
      },
    })
    expect(await consumed(pool)).toEqual(used(auths))
  })

  test('of an upstream that comes while the gateway runs are paid, and proven by the chain without a restart', async () => {
    await approvePermit2(world.chain, 1000n)
    const pool = await buyer(seller.apiBases.plain, undefined)
    expect((await call(pool, 1)).status).toBe(404)
    const auths = await vouchers(1)
    write(pool.files, seller.apiBases.plain, auths)
    await pool.gateway.gateway.parts.pools.get('obol')?.reload('test').done
    expect((await call(pool, 2)).status).toBe(200)
    expect(await charges(pool)).toMatchObject([{ state: 'settled', proof: 'chain' }])
    expect(await consumed(pool)).toEqual(used(auths))
  })

  test('without an allowance the seller says so: quarantined, used as far as x402-buyer goes, and no money moved', async () => {
    await approvePermit2(world.chain, 0n)
    const auths = await vouchers(1)
    const pool = await buyer(seller.apiBases.plain, auths)
    const before = await earned()
    const answer = await call(pool, 1)
    expect([answer.status, (await errorOf(answer)).code]).toEqual([400, 'payment_rejected'])
    expect(await earned()).toBe(before)
    const status: unknown = await (await fetch(`${pool.gateway.url}/status`)).json()
    expect(status).toMatchObject({ 'by-permit2': { remaining: 0, quarantined: 1, spent: 1 } })
    expect(await consumed(pool)).toEqual(used(auths))
  })
})
