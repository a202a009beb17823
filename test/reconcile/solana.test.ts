import { randomUUID } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Charge } from '../../src/core/charge/charge.ts'
import { encodeBase58 } from '../../src/core/solana/base58.ts'
import { decodeTransaction } from '../../src/core/solana/transaction.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import {
  startScriptedSeller,
  type ScriptedSeller,
  type SellerHandler,
  type SellerScript,
} from '../kit/scripted-seller.ts'
import { challengeV2, completion, decodeHeader, json, receiptV2 } from '../kit/seller-answers.ts'
import { createWallet, LIFETIME, signAs } from '../kit/solana/chain.ts'
import { RpcFault } from '../kit/solana/rpc.ts'
import { DEVNET, DEVNET_USDC, startSolanaWorld, type SolanaWorld } from '../kit/solana/world.ts'

/** Takes the payment and cuts the connection. */
const cut: SellerHandler = (_request, response) => void response.destroy()

let world: SolanaWorld
let seller: ScriptedSeller
let gateway: TestGateway
/** The gateway's clock is ahead of the machine's by this, milliseconds. */
let ahead = 0

beforeAll(async () => {
  world = await startSolanaWorld()
  seller = await startScriptedSeller()
})
beforeEach(async () => {
  world.rpc.lies.clear()
  world.chain.finalizedLag = 0
  ahead = 0
  seller.requests.length = 0
  const name = `TEST_SOLANA_${randomUUID().replaceAll('-', '').toUpperCase()}`
  process.env[name] = encodeBase58(world.buyer.secret)
  gateway = await startGateway(
    {
      payers: { sol: { kind: 'solana', key: `\${env:${name}}`, networks: ['solana-devnet'] } },
      chains: { 'solana-devnet': { rpc: world.rpc.url } },
      model_list: [{ model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'sol' }],
      budgets: [{ name: 'all', limit_usd: '1.00', window: 'lifetime' }],
      reconcile: { interval_seconds: 86_400 },
    },
    { clock: { now: () => Date.now() + ahead } },
  )
})
afterEach(() => gateway.close())
afterAll(async () => {
  await seller.close()
  await world.close()
})

const offer = (extra: object = {}): object => ({
  scheme: 'exact',
  network: DEVNET,
  amount: '1000',
  asset: DEVNET_USDC,
  payTo: world.seller.address,
  maxTimeoutSeconds: 60,
  extra: { feePayer: world.feePayer.address, ...extra },
})

/** Pays once; the seller does what the script says, and keeps the payment. */
async function pay(paid: SellerScript['paid'], extra: object = {}): Promise<Response> {
  seller.follow({ unpaid: challengeV2([offer(extra)]), ...(paid === undefined ? {} : { paid }) })
  return await ask(gateway.url, { model: 'paid/sandbox-small', n: Math.random() })
}

/** The transaction of the seller's last payment, as the buyer signed it. */
function held(): Uint8Array {
  const last = seller.payments.at(-1)
  const { payload } = decodeHeader(last?.payment) as { payload: { transaction: string } }
  return Buffer.from(payload.transaction, 'base64')
}

function land(bytes = held()): string {
  const sent = world.chain.send(signAs(world.feePayer, bytes))
  if (!sent.ok) throw new Error(sent.error)
  return sent.signature
}

async function charge(): Promise<Charge> {
  const [newest] = await gateway.gateway.parts.ledger.store.charges({ limit: 1 })
  if (!newest) throw new Error('there is no charge')
  return newest
}

const look = () => gateway.gateway.parts.reconciler.run({ all: true })

/** What the budget counts as uncertain, micro-USD. */
async function counted(): Promise<bigint> {
  return (await gateway.gateway.parts.ledger.uncertainSum()).microUsd
}

/** Lets the last block that may hold the payment go by, on the chain and by our own clock. */
function expire(): void {
  world.chain.mine(LIFETIME + 1)
  ahead += 181_000
}

describe('rule 3: what is recorded before the payment leaves', () => {
  test('is what the chain is asked by', async () => {
    await pay(cut)
    const { authorization, state } = await charge()
    const parts = decodeTransaction(held())
    expect(state).toBe('uncertain')
    expect(authorization).toMatchObject({ from: world.buyer.address, method: 'solana' })
    expect(authorization?.solana?.signature).toBe(encodeBase58(parts?.signatures[1] ?? new Uint8Array()))
    const audit = JSON.stringify(await gateway.audit())
    expect(audit).not.toContain(authorization?.solana?.signature)
  })
})

describe('rule 4: a payment whose answer is lost', () => {
  test('settles by the final transaction that carries our signature', async () => {
    await pay(cut)
    const transaction = land()
    await look()
    expect(await charge()).toMatchObject({
      state: 'settled',
      proof: 'chain',
      transaction,
      reason: 'chain_used',
    })
  })

  test('settles only when the transaction is final', async () => {
    world.chain.finalizedLag = 32
    world.chain.mine(64)
    await pay(cut)
    land()
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    world.chain.mine(32)
    await look()
    expect(await charge()).toMatchObject({ state: 'settled', proof: 'chain' })
  })

  test('is found by its memo of the seller, too, among others with the same', async () => {
    await pay(completion(), { memo: 'the same' })
    land()
    await pay(cut, { memo: 'the same' })
    const transaction = land()
    await look()
    expect(await charge()).toMatchObject({ state: 'settled', proof: 'chain', transaction })
  })

  test('is released only behind the last valid height, and then the budget has it back', async () => {
    await pay(cut)
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    expect(await counted()).toBe(1000n)
    world.chain.mine(LIFETIME)
    ahead += 181_000
    await look()
    // At its last height it can still be taken.
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    world.chain.mine(1)
    await look()
    expect(await charge()).toMatchObject({ state: 'released', reason: 'chain_unused' })
    expect(await counted()).toBe(0n)
    expect(() => land()).toThrow('Blockhash not found')
  })

  test('is not released while the last height is not final', async () => {
    world.chain.finalizedLag = 32
    await pay(cut)
    expire()
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    world.chain.mine(32)
    await look()
    expect(await charge()).toMatchObject({ state: 'released' })
  })

  test('that landed and failed is released only behind the last valid height', async () => {
    await pay(cut)
    const { buyer } = world.balances()
    world.chain.putTokens(DEVNET_USDC, world.buyer.address, 0n)
    expect(() => land()).toThrow()
    world.chain.putTokens(DEVNET_USDC, world.buyer.address, buyer)
    expect(world.chain.landed.at(-1)?.err).not.toBeNull()
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    expire()
    await look()
    expect(await charge()).toMatchObject({ state: 'released', reason: 'chain_unused' })
  })
})

describe('rule 4: nobody frees money early', () => {
  test('a seller whose hint says that the payment is too old', async () => {
    await pay(cut, { recentBlockhash: createWallet().address, lastValidBlockHeight: '1' })
    ahead += 181_000
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
  })

  test('a node that tells a height far ahead, and is consistent about it', async () => {
    await pay(cut)
    world.rpc.lies.set('getEpochInfo', () => ({ absoluteSlot: 900_000, blockHeight: 800_000 }))
    world.rpc.lies.set('getSignaturesForAddress', () => [])
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    // By then the payment can really be taken no more, wherever the node's heights come from.
    ahead += 179_000
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
  })

  test('a clock that runs ahead', async () => {
    await pay(cut)
    ahead += 86_400_000
    await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    const transaction = land()
    await look()
    expect(await charge()).toMatchObject({ state: 'settled', transaction })
  })

  test.each<[string, (real: SolanaWorld) => void]>([
    ['of another chain', ({ rpc }) => rpc.lies.set('getGenesisHash', () => createWallet().address)],
    [
      'whose lists fail',
      ({ rpc }) =>
        rpc.lies.set('getSignaturesForAddress', () => {
          throw new RpcFault(-32_016, 'Minimum context slot has not been reached')
        }),
    ],
    ['that lists no list', ({ rpc }) => rpc.lies.set('getSignaturesForAddress', () => ({ result: [] }))],
    [
      'that has forgotten those blocks',
      ({ rpc, chain }) => rpc.lies.set('getFirstAvailableBlock', () => chain.height),
    ],
    [
      'with more blocks than slots',
      ({ rpc }) => rpc.lies.set('getEpochInfo', () => ({ absoluteSlot: 5000, blockHeight: 9000 })),
    ],
    [
      'that went back',
      ({ rpc, chain }) =>
        rpc.lies.set('getEpochInfo', () => ({ absoluteSlot: chain.height - 100, blockHeight: 5 })),
    ],
  ])('a node %s', async (_name, lie) => {
    await pay(cut)
    await look()
    expire()
    lie(world)
    const report = await look()
    expect(await charge()).toMatchObject({ state: 'uncertain' })
    expect(report.networks).toMatchObject([{ network: DEVNET, ok: false }])
    world.rpc.lies.clear()
    await look()
    expect(await charge()).toMatchObject({ state: 'released' })
  })

  test('a node that shows another transaction in place of ours settles nothing', async () => {
    await pay(cut)
    land()
    const other = world.chain.landed.at(-2)
    world.rpc.lies.set('getTransaction', (honest) => {
      const answer = honest() as { transaction: unknown }
      return { ...answer, transaction: [Buffer.from(other?.bytes ?? []).toString('base64'), 'base64'] }
    })
    await look()
    expect((await charge()).state).toBe('uncertain')
  })
})

describe('what a seller says of the transaction', () => {
  test('settlement_pending keeps its signature, and the chain settles by it', async () => {
    let transaction = ''
    const response = await pay((_request) => {
      transaction = land()
      const receipt = {
        success: false,
        errorReason: 'settlement_pending',
        transaction,
        network: DEVNET,
        payer: '',
      }
      return json({}, receiptV2(receipt), 402)
    })
    expect(response.status).toBe(400)
    expect((await errorOf(response)).code).toBe('payment_uncertain')
    expect(await charge()).toMatchObject({ state: 'uncertain', reason: 'settlement_pending', transaction })
    await look()
    expect(await charge()).toMatchObject({ state: 'settled', proof: 'chain', transaction })
  })

  test("that names somebody else's transaction is flagged, and ours is found", async () => {
    const foreign = world.chain.landed[0]?.signature ?? ''
    await pay(
      completion({}, { success: true, transaction: foreign, network: DEVNET, payer: world.buyer.address }),
    )
    const transaction = land()
    expect(await charge()).toMatchObject({ state: 'settled', proof: 'receipt', transaction: foreign })
    await look()
    expect(await charge()).toMatchObject({ state: 'settled', proof: 'chain', transaction })
    const flags = await gateway.gateway.parts.ledger.store.flags({ charge: (await charge()).id })
    expect(flags.map(({ flag }) => flag)).toEqual(['receipt_mismatch'])
  })

  test('a receipt for what was never taken is flagged and not released', async () => {
    await pay(completion({}, { success: true, transaction: '', network: DEVNET, payer: world.buyer.address }))
    expire()
    await look()
    expect(await charge()).toMatchObject({ state: 'settled', proof: 'receipt' })
    const flags = await gateway.gateway.parts.ledger.store.flags({ charge: (await charge()).id })
    expect(flags.map(({ flag }) => flag)).toEqual(['receipt_unproven'])
  })
})
