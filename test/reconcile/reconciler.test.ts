import { pino } from 'pino'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectLocal, mined } from '../../src/app/sandbox/chain/levers.ts'
import { tokenAbi } from '../../src/app/sandbox/chain/token-artifact.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { relay, startFront } from '../kit/front.ts'
import { ask, type TestGateway } from '../kit/gateway.ts'
import { COMPLETION_JSON, challengeV2, encodeHeader, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import {
  again,
  counted,
  newest,
  reconcile,
  startReader,
  startTimedWorld,
  VALIDITY_SECONDS,
  type TimedWorld,
} from './world.ts'

const STRANGER = `0x${'e'.repeat(64)}`

let world: TimedWorld
let gateway: TestGateway
/** The real seller, whose receipts this changes or, with `undefined`, takes away. */
let front: ScriptedSeller
let changeReceipt: (receipt: object) => object | undefined = (receipt) => receipt
/** Answers without ever taking the money. */
let fake: ScriptedSeller
let fakeReceipt: object | undefined
/** Resolves with the next charge that is authorized. */
let flying = Promise.withResolvers<Charge>()

beforeAll(async () => {
  world = await startTimedWorld()
  front = await startFront(world.streamingSeller.url, async (_request, response, forward) => {
    await relay(response, await forward(), (headers) => {
      const header = headers.get('payment-response') ?? ''
      const changed = changeReceipt(JSON.parse(Buffer.from(header, 'base64').toString()) as object)
      if (changed) headers.set('payment-response', encodeHeader(changed))
      else headers.delete('payment-response')
    })
  })
  const offer = {
    scheme: 'exact',
    network: world.chain.network,
    amount: '1000',
    asset: world.chain.token.address,
    payTo: world.chain.accounts.seller.address,
    maxTimeoutSeconds: VALIDITY_SECONDS,
    extra: {},
  }
  fake = await startScriptedSeller((request, response) => {
    if (request.headers['payment-signature'] === undefined) return send(response, challengeV2([offer]))
    const receipt = fakeReceipt === undefined ? {} : receiptV2(fakeReceipt)
    send(response, {
      status: 200,
      headers: { 'content-type': 'application/json', ...receipt },
      body: COMPLETION_JSON,
    })
  })
  gateway = await startReader(
    world,
    {
      official: world.seller.apiBase,
      stream: world.streamingSeller.apiBase,
      v1: world.v1Seller.apiBase,
      front: front.apiBase,
      fake: fake.apiBase,
    },
    {
      observers: [
        (event) => {
          if (event.type === 'charge' && event.charge.state === 'authorized') flying.resolve(event.charge)
        },
      ],
    },
  )
})

afterEach(() => {
  changeReceipt = (receipt) => receipt
  fakeReceipt = undefined
})

afterAll(async () => {
  await gateway?.close()
  await front?.close()
  await fake?.close()
  await world?.close()
})

/** A question nobody asked before: a repeated one would get the outcome of the first. */
const question = (model: string): object => ({ model, seed: (asked += 1) })
let asked = 0

/** Asks, and gives the charge of that. */
async function pay(model: string): Promise<Charge> {
  const answer = await ask(gateway.url, question(model))
  await answer.text()
  return await newest(gateway)
}

async function flagsOf(charge: Charge): Promise<string[]> {
  const flags = await gateway.gateway.parts.ledger.store.flags({ charge: charge.id })
  return flags.map(({ flag }) => flag)
}

async function audited(charge: Charge): Promise<Record<string, unknown>[]> {
  return (await gateway.audit()).filter(
    (record) => record['charge'] === charge.id && record['type'] !== 'request',
  )
}

async function lastTransfer() {
  const transfer = (await world.chain.transfers()).at(-1)
  if (!transfer) throw new Error('there is no transfer')
  return transfer
}

describe('an uncertain payment', () => {
  test.each(['official/m', 'v1/m'])(
    'that was taken is settled by the chain, with its real transaction: %s',
    async (model) => {
      world.facilitator.faults.settle.push({ status: 500, afterwards: true })
      const before = await counted(gateway)
      const charge = await pay(model)
      expect(charge).toMatchObject({ state: 'uncertain', transaction: undefined })
      expect(await counted(gateway)).toEqual({ spent: before.spent, uncertain: before.uncertain + 1000n })

      await world.finalize()
      await reconcile(gateway)
      const { transaction, value } = await lastTransfer()
      expect(await again(gateway, charge)).toMatchObject({
        state: 'settled',
        proof: 'chain',
        reason: 'chain_used',
        transaction,
        amount: value,
      })
      expect(await counted(gateway)).toEqual({ spent: before.spent + 1000n, uncertain: before.uncertain })
      const records = await audited(charge)
      expect(records.map(({ type }) => type)).toEqual([
        'charge.held',
        'charge.authorized',
        'charge.uncertain',
        'charge.settled',
      ])
      expect(records.at(-1)).toMatchObject({
        proof: 'chain',
        transaction,
        block: expect.stringMatching(/^\d+$/),
      })
      expect(await flagsOf(charge)).toEqual([])
    },
  )

  test('rule 4: that was never taken waits while it could still be taken, and is released once that is final', async () => {
    world.facilitator.faults.settle.push({ status: 500 })
    const before = await counted(gateway)
    const charge = await pay('official/m')
    expect(charge.state).toBe('uncertain')
    await world.finalize()
    await reconcile(gateway)
    expect(await again(gateway, charge)).toEqual(charge)

    await world.advance(VALIDITY_SECONDS + 2)
    const report = await reconcile(gateway)
    expect(report.changed.map(({ after }) => after.id)).toContain(charge.id)
    expect(await again(gateway, charge)).toMatchObject({ state: 'released', reason: 'chain_unused' })
    expect(await counted(gateway)).toEqual(before)
    expect((await audited(charge)).at(-1)).toMatchObject({
      type: 'charge.released',
      reason: 'chain_unused',
      block_time: expect.any(Number),
    })
  })

  test('that its payer cancelled is released at once', async () => {
    world.facilitator.faults.settle.push({ status: 500 })
    const charge = await pay('official/m')
    await cancel(charge)
    await world.finalize()
    await reconcile(gateway)
    expect(await again(gateway, charge)).toMatchObject({ state: 'released', reason: 'chain_canceled' })
  })

  test('rule 4: waits while its block is not final', async () => {
    world.facilitator.faults.settle.push({ status: 500, afterwards: true })
    const charge = await pay('official/m')
    await reconcile(gateway)
    expect(await again(gateway, charge)).toEqual(charge)
    await world.finalize()
    await reconcile(gateway)
    expect(await again(gateway, charge)).toMatchObject({ state: 'settled', proof: 'chain' })
  })
})

async function cancel(charge: Charge): Promise<void> {
  const { accounts, token, chainId, rpcUrl, v1Network } = world.chain
  const buyer = privateKeyToAccount(accounts.buyer.privateKey)
  const nonce = (charge.authorization?.nonce ?? '0x') as `0x${string}`
  const signature = await buyer.signTypedData({
    domain: { name: token.name, version: token.version, chainId, verifyingContract: token.address },
    types: {
      CancelAuthorization: [
        { name: 'authorizer', type: 'address' },
        { name: 'nonce', type: 'bytes32' },
      ],
    },
    primaryType: 'CancelAuthorization',
    message: { authorizer: buyer.address, nonce },
  })
  // The payer has no ether: anybody may hand the cancellation in.
  const account = privateKeyToAccount(accounts.tokenOwner.privateKey)
  const client = connectLocal({ rpcUrl, chainId, name: v1Network, account })
  await mined(
    client,
    client.writeContract({
      address: token.address,
      abi: tokenAbi,
      functionName: 'cancelAuthorization',
      args: [buyer.address, nonce, signature],
    }),
  )
}

describe('a payment that was answered', () => {
  test.each(['official/m', 'stream/m', 'v1/m'])(
    'with a receipt is proven by the chain: %s',
    async (model) => {
      const charge = await pay(model)
      expect(charge).toMatchObject({ state: 'settled', proof: 'receipt' })
      await world.finalize()
      await reconcile(gateway)
      expect(await again(gateway, charge)).toMatchObject({ proof: 'chain', transaction: charge.transaction })
      expect(await flagsOf(charge)).toEqual([])
    },
  )

  test('without a receipt is proven by the chain when it was taken', async () => {
    changeReceipt = () => undefined
    const charge = await pay('front/m')
    expect(charge).toMatchObject({ state: 'settled', proof: 'assumed', transaction: undefined })
    await world.finalize()
    await reconcile(gateway)
    const { transaction } = await lastTransfer()
    expect(await again(gateway, charge)).toMatchObject({ state: 'settled', proof: 'chain', transaction })
  })

  test('rule 4: without a receipt is released once the chain proves it unspent, and not before', async () => {
    const before = await counted(gateway)
    const charge = await pay('fake/m')
    expect(charge).toMatchObject({ state: 'settled', proof: 'assumed' })
    await world.finalize()
    await reconcile(gateway)
    expect(await again(gateway, charge)).toEqual(charge)
    await world.advance(VALIDITY_SECONDS + 2)
    await reconcile(gateway)
    expect(await again(gateway, charge)).toMatchObject({ state: 'released', reason: 'chain_unused' })
    expect(await counted(gateway)).toEqual(before)
  })
})

describe('a receipt that lies', () => {
  test('about being paid is flagged once the chain contradicts it, and the charge stays settled', async () => {
    fakeReceipt = { success: true, transaction: STRANGER, network: world.chain.network }
    const before = await counted(gateway)
    const charge = await pay('fake/m')
    expect(charge).toMatchObject({ state: 'settled', proof: 'receipt', transaction: STRANGER })
    await world.advance(VALIDITY_SECONDS + 2)
    await reconcile(gateway)
    expect(await again(gateway, charge)).toEqual(charge)
    expect(await flagsOf(charge)).toEqual(['receipt_unproven'])
    expect((await counted(gateway)).spent).toBe(before.spent + 1000n)
    expect((await audited(charge)).at(-1)).toMatchObject({ type: 'charge.flagged', flag: 'receipt_unproven' })
    expect(await gateway.metric('tollway_charges_flagged', { flag: 'receipt_unproven' })).toBeGreaterThan(0)

    // The chain has spoken: it is not asked about again.
    const unproven = await gateway.gateway.parts.ledger.store.unproven({ network: world.chain.network })
    expect(unproven.map(({ id }) => id)).not.toContain(charge.id)
  })

  test('about its transaction is flagged, and the real one is recorded', async () => {
    const stranger = `0x${'dd'.repeat(32)}`
    changeReceipt = (receipt) => ({ ...receipt, transaction: stranger })
    const charge = await pay('front/m')
    expect(charge.transaction).toBe(stranger)
    await world.finalize()
    await reconcile(gateway)
    const { transaction } = await lastTransfer()
    expect(await again(gateway, charge)).toMatchObject({ proof: 'chain', transaction })
    expect(await flagsOf(charge)).toEqual(['receipt_mismatch'])
  })

  test('by naming the transaction of another payment is flagged', async () => {
    const first = await pay('stream/m')
    changeReceipt = (receipt) => ({ ...receipt, transaction: first.transaction })
    const second = await pay('front/m')
    expect(second).toMatchObject({ proof: 'assumed', transaction: undefined })
    await world.finalize()
    await reconcile(gateway)
    const { transaction } = await lastTransfer()
    expect(transaction).not.toBe(first.transaction)
    expect(await again(gateway, second)).toMatchObject({ proof: 'chain', transaction })
    expect(await flagsOf(second)).toEqual(['receipt_reused'])
    expect(await flagsOf(first)).toEqual([])
  })

  test.each([
    ['amount', { amount: '1' }],
    ['payer', { payer: '0x00000000000000000000000000000000000000cc' }],
    ['network', { network: 'eip155:1' }],
  ])('about the %s is flagged when it comes, and the answer is given all the same', async (name, lie) => {
    changeReceipt = (receipt) => ({ ...receipt, ...lie })
    const answer = await ask(gateway.url, question('front/m'))
    expect(answer.status).toBe(200)
    await answer.text()
    const charge = await newest(gateway)
    const detail = `the receipt differs from what was signed in: ${name}`
    expect((await audited(charge)).at(-1)).toMatchObject({
      type: 'charge.flagged',
      flag: 'receipt_mismatch',
      detail,
    })
    expect(await flagsOf(charge)).toEqual(['receipt_mismatch'])
    const request = (await gateway.audit()).find(
      (record) => record['charge'] === charge.id && record['type'] === 'request',
    )
    expect(request).toMatchObject({ details: { receipt_mismatch: detail } })
    expect(charge).toMatchObject({ state: 'settled', amount: 1000n })
  })
})

test('never touches held charges or charges in flight, whatever the chain says', async () => {
  world.facilitator.faults.settle.push({ delayMs: 1000 })
  flying = Promise.withResolvers()
  const paying = ask(gateway.url, question('official/m'))
  const charge = await flying.promise
  await world.finalize()
  const report = await reconcile(gateway)
  expect(report.changed.map(({ after }) => after.id)).not.toContain(charge.id)
  expect(await again(gateway, charge)).toEqual(charge)
  expect((await paying).status).toBe(200)
})

// Late, because x402 v1 sellers refuse what a clock signs that is this far ahead of theirs.
test('releases a payment that its payer cancelled long after its validity as cancelled', async () => {
  world.facilitator.faults.settle.push({ status: 500 })
  const charge = await pay('official/m')
  await world.advance(3000)
  await cancel(charge)
  await world.finalize()
  await reconcile(gateway)
  expect(await again(gateway, charge)).toMatchObject({ state: 'released', reason: 'chain_canceled' })
})

test('leaves ledger, budget, audit file and chain equal to the atom', async () => {
  await world.finalize()
  await world.advance(VALIDITY_SECONDS + 2)
  await reconcile(gateway)
  const charges = await gateway.gateway.parts.ledger.store.charges({ limit: 1000 })
  const sum = (list: readonly Charge[]): bigint => list.reduce((total, { amount }) => total + amount, 0n)
  const proven = charges.filter(({ proof }) => proof === 'chain')
  const moved = await world.chain.transfers({ from: world.chain.accounts.buyer.address })
  expect(sum(proven)).toBe(moved.reduce((total, { value }) => total + value, 0n))
  expect(new Set(proven.map(({ transaction }) => transaction))).toEqual(
    new Set(moved.map(({ transaction }) => transaction)),
  )
  // What only a lying receipt says stays counted.
  const claimed = charges.filter(({ state, proof }) => state === 'settled' && proof !== 'chain')
  expect(claimed).toHaveLength(1)
  expect(await counted(gateway)).toEqual({ spent: sum(proven) + sum(claimed), uncertain: 0n })
  expect(charges.filter(({ state }) => state === 'uncertain')).toEqual([])
  expect(await verifyAudit(gateway.gateway.parts.config.audit.path)).toMatchObject({
    ok: true,
    openIntents: [],
  })
  expect(await gateway.metric('tollway_reconcile_rpc_up', { network: world.chain.network })).toBe(1)
  expect(await gateway.metric('tollway_reconcile_runs_total', { result: 'done' })).toBeGreaterThan(5)
})

test('rule 4: releases nothing without a node, and reports it once in log and gauge', async () => {
  const lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) })
  const alone = await startReader(world, { fake: fake.apiBase }, { config: { chains: {} }, log })
  try {
    const answer = await ask(alone.url, { model: 'fake/m' })
    await answer.text()
    await world.advance(VALIDITY_SECONDS + 2)
    expect(await reconcile(alone)).toEqual({ networks: [], changed: [] })
    expect(await newest(alone)).toMatchObject({ state: 'settled', proof: 'assumed' })
    expect(await alone.metric('tollway_reconcile_rpc_up', { network: world.chain.network })).toBe(0)
    expect(lines.filter((line) => line.includes('no_rpc'))).toHaveLength(1)
    expect(lines.join('')).toContain('add one under chains')
    expect(await (await fetch(`${alone.url}/metrics`)).text()).toContain(
      `tollway_reconcile_rpc_up{network="${world.chain.network}"} 0`,
    )
  } finally {
    await alone.close()
  }
})
