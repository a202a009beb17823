import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import * as fc from 'fast-check'
import { encodeErrorResult, parseAbi } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startChain, type LocalChain } from '../../src/app/sandbox/chain/chain.ts'
import { connectLocal, mined, type LocalClient } from '../../src/app/sandbox/chain/levers.ts'
import { tokenAbi } from '../../src/app/sandbox/chain/token-artifact.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { decide, type ChainBlock, type ReconcileDecision } from '../../src/core/charge/reconcile.ts'
import { BlockSearch } from '../../src/io/reconcile/chain-blocks.ts'
import { observe } from '../../src/io/reconcile/chain-observe.ts'
import { PERMIT2_ADDRESS } from '../../src/core/evm-contracts.ts'
import { ChainError, openChain, type ChainReader } from '../../src/io/chain/chain.ts'
import { createMetrics } from '../../src/io/metrics/metrics.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { AuditTotals, MoveWatch } from '../../src/io/consistency/independent-totals.ts'
import { chainOutflow, openTotals } from '../../src/app/wiring/open-totals.ts'
import { ManualTimers } from '../kit/manual-timers.ts'
import { instance, NOW, signed, terms } from '../store/samples.ts'
import { compileContracts } from '../tools/compile-token.mts'

const permit2Abi = parseAbi([
  'function spendPacked(address token, address from, address to, uint256 value, uint256 nonceLessOne)',
  'function spend(address token, address from, address to, uint256 value, uint256 nonce)',
  'function invalidateUnorderedNonces(uint256 word, uint256 mask)',
])
const permit2 = { address: PERMIT2_ADDRESS, abi: permit2Abi } as const

let chain: LocalChain
let reader: ChainReader
/** Pays, and has ether; a facilitator would act for it. */
let owner: LocalClient
let nextNonce = 2n ** 200n

beforeAll(async () => {
  chain = await startChain()
  reader = openChain({ network: chain.network, rpc: chain.rpcUrl, finality: 'finalized' })
  const account = privateKeyToAccount(chain.accounts.tokenOwner.privateKey)
  owner = connectLocal({ rpcUrl: chain.rpcUrl, chainId: chain.chainId, name: 'local', account })
  const source = readFileSync(new URL('../kit/contracts/LocalPermit2.sol', import.meta.url), 'utf8')
  const { runtime } = compileContracts({ 'LocalPermit2.sol': source })('LocalPermit2.sol', 'LocalPermit2')
  await owner.setCode({ address: PERMIT2_ADDRESS, bytecode: runtime })
  await chain.levers.mint(account.address, 1_000_000n)
  const token = { address: chain.token.address, abi: tokenAbi } as const
  await mined(
    owner,
    owner.writeContract({ ...token, functionName: 'approve', args: [PERMIT2_ADDRESS, 10n ** 18n] }),
  )
})

afterAll(async () => {
  reader?.close()
  await chain?.close()
})

async function now(): Promise<number> {
  return (await reader.block(await reader.newest())).timestamp
}

describe('Permit2', () => {
  /** An uncertain charge that was signed for Permit2, with a nonce of its own. */
  async function permitted(changes: Partial<Charge> = {}): Promise<Charge & { nonce: bigint }> {
    const nonce = (nextNonce += 1n)
    const reservedAt = (await now()) * 1000
    return {
      ...terms(1),
      network: chain.network,
      asset: chain.token.address.toLowerCase(),
      payTo: chain.accounts.seller.address.toLowerCase(),
      amount: 1000n,
      state: 'uncertain',
      proof: undefined,
      transaction: undefined,
      reason: undefined,
      updatedAt: NOW,
      reservedAt,
      authorization: {
        ...signed(1),
        method: 'permit2',
        from: owner.account.address.toLowerCase(),
        nonce: `0x${nonce.toString(16).padStart(64, '0')}`,
        validBefore: reservedAt / 1000 + 60,
      },
      ...changes,
      nonce,
    }
  }

  async function look(charge: Charge): Promise<ReconcileDecision> {
    const head = await reader.finalBlock()
    const search = new BlockSearch(reader)
    const seen = await observe({ reader, search, head, chainId: await reader.chainId() }, charge)
    return decide(charge, seen, head.timestamp * 1000)
  }

  async function spend(charge: { nonce: bigint }, value = 1000n, to = chain.accounts.seller.address) {
    const args = [chain.token.address, owner.account.address, to, value, charge.nonce] as const
    const hash = await owner.writeContract({ ...permit2, functionName: 'spend', args })
    await mined(owner, Promise.resolve(hash))
    return hash
  }

  async function invalidate({ nonce }: { nonce: bigint }) {
    const args = [nonce >> 8n, 1n << (nonce & 0xffn)] as const
    await mined(owner, owner.writeContract({ ...permit2, functionName: 'invalidateUnorderedNonces', args }))
  }

  const past = async () => await chain.levers.increaseTime(62)
  const final = async () => await chain.levers.increaseTime(1)

  test('a used nonce with its Transfer settles', async () => {
    const charge = await permitted()
    const transaction = await spend(charge)
    await final()
    expect(await look(charge)).toMatchObject({ action: 'settle', transaction, flags: [] })
  })

  test('two payments of the same amount each get their own transaction', async () => {
    const one = await permitted()
    const two = await permitted()
    const second = await spend(two)
    const first = await spend(one)
    await final()
    expect(await look(one)).toMatchObject({ action: 'settle', transaction: first })
    expect(await look(two)).toMatchObject({ action: 'settle', transaction: second })
  })

  test('an unused nonce waits, and is released past its deadline', async () => {
    const charge = await permitted()
    await final()
    expect(await look(charge)).toEqual({ action: 'wait', reason: 'still_valid' })
    await past()
    expect(await look(charge)).toMatchObject({ action: 'release', reason: 'chain_unused' })
  })

  test('an invalidated nonce is no payment: it is released', async () => {
    const charge = await permitted()
    await invalidate(charge)
    await final()
    expect(await look(charge)).toMatchObject({ action: 'release', reason: 'chain_canceled' })
  })

  test('a used nonce that is invalidated afterwards stays spent', async () => {
    const charge = await permitted()
    const transaction = await spend(charge)
    await invalidate(charge)
    await final()
    expect(await look(charge)).toMatchObject({ action: 'settle', transaction })
  })

  test('a used nonce whose Transfer moved something else is flagged, past its deadline too', async () => {
    const charge = await permitted()
    await spend(charge, 999n)
    await past()
    expect(await look(charge)).toMatchObject({ action: 'flag', flag: { flag: 'event_missing' } })
  })

  test('an invalidated nonce is released also when something else moved the same amount', async () => {
    const charge = await permitted()
    const args = [chain.accounts.seller.address, 1000n] as const
    const token = { address: chain.token.address, abi: tokenAbi } as const
    await mined(owner, owner.writeContract({ ...token, functionName: 'transfer', args }))
    await invalidate(charge)
    await past()
    expect(await look(charge)).toMatchObject({ action: 'release', reason: 'chain_canceled' })
  })

  test('a nonce whose use does not show in the call is flagged, even after an invalidation', async () => {
    const charge = await permitted()
    const args = [
      chain.token.address,
      owner.account.address,
      chain.accounts.seller.address,
      1000n,
      charge.nonce - 1n,
    ] as const
    await mined(owner, owner.writeContract({ ...permit2, functionName: 'spendPacked', args }))
    await past()
    expect(await look(charge)).toMatchObject({ action: 'flag', flag: { flag: 'event_missing' } })
    await invalidate(charge)
    await final()
    expect(await look(charge)).toMatchObject({ action: 'flag', flag: { flag: 'event_missing' } })
  })

  test('a nonce used and invalidated in one block is flagged when its use does not show', async () => {
    const charge = await permitted()
    const args = [
      chain.token.address,
      owner.account.address,
      chain.accounts.seller.address,
      1000n,
      charge.nonce - 1n,
    ] as const
    await owner.setAutomine(false)
    const sent = [
      await owner.writeContract({ ...permit2, functionName: 'spendPacked', args, gas: 500_000n }),
      await owner.writeContract({
        ...permit2,
        functionName: 'invalidateUnorderedNonces',
        args: [charge.nonce >> 8n, 1n << (charge.nonce & 0xffn)],
        gas: 200_000n,
      }),
    ]
    await owner.mine({ blocks: 1 })
    await owner.setAutomine(true)
    const receipts = await Promise.all(sent.map((hash) => owner.getTransactionReceipt({ hash })))
    expect(new Set(receipts.map(({ blockNumber }) => blockNumber)).size).toBe(1)
    await past()
    expect(await look(charge)).toMatchObject({ action: 'flag', flag: { flag: 'event_missing' } })
  })
})

describe('finding blocks by time', () => {
  /** A chain that is only blocks: one at each of these times. */
  function blocks(times: readonly number[]): { reader: ChainReader; head: ChainBlock; asked: () => number } {
    let asked = 0
    const at = (number: bigint): ChainBlock => {
      const timestamp = times[Number(number)]
      if (timestamp === undefined) throw new ChainError('bad_answer')
      return { number, timestamp, hash: `0x${number}` }
    }
    const fake: ChainReader = {
      ...reader,
      block: async (number) => {
        asked += 1
        return at(number)
      },
    }
    return { reader: fake, head: at(BigInt(times.length - 1)), asked: () => asked }
  }

  test('before() is never later than the time, after() never misses a block up to it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 400 }),
        fc.nat({ max: 400_000 }),
        async (gaps, time) => {
          const times: number[] = []
          for (const gap of gaps) times.push((times.at(-1) ?? 1000) + gap)
          const { reader: fake, head } = blocks(times)
          const search = new BlockSearch(fake)
          const before = Number(await search.before(time, head))
          const after = Number(await search.after(time, head))
          expect(before === 0 || (times[before] ?? 0) <= time).toBe(true)
          expect(times.findLastIndex((each) => each <= time)).toBeLessThanOrEqual(after)
        },
      ),
    )
  })

  test('needs few requests on a long chain, and none for a known time', async () => {
    const { reader: fake, head, asked } = blocks(Array.from({ length: 1_000_000 }, (_, index) => index * 2))
    const search = new BlockSearch(fake)
    expect(await search.before(1_000_300, head)).toBe(500_100n)
    expect(asked()).toBeLessThan(40)
    const known = asked()
    expect(await search.before(1_000_799, head)).toBe(500_100n)
    expect(asked()).toBe(known)
  })
})

describe('a node that answers too late', () => {
  test('times out, and closing the reader aborts a request immediately', async () => {
    const server = createServer(() => undefined)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const rpc = `http://127.0.0.1:${port}`
    try {
      const hasty = openChain({ network: chain.network, rpc, finality: 'safe', timeoutMs: 20 })
      await expect(hasty.chainId()).rejects.toMatchObject({ name: 'ChainError', reason: 'timeout' })
      const patient = openChain({ network: chain.network, rpc, finality: 'safe' })
      const asking = patient.chainId()
      patient.close()
      await expect(asking).rejects.toMatchObject({ name: 'ChainError' })
      await expect(patient.chainId()).rejects.toMatchObject({ name: 'ChainError' })
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

test('safe and finalized blocks are distinguished', async () => {
  await chain.levers.mine(3)
  const safe = openChain({ network: chain.network, rpc: chain.rpcUrl, finality: 'safe' })
  expect((await safe.finalBlock()).number).toBe((await reader.finalBlock()).number + 1n)
  expect((await safe.finalBlock()).number).toBeLessThan(await reader.newest())
})

test('a contract cannot send the reader anywhere (EIP-3668)', async () => {
  let visits = 0
  const trap = createServer((_request, response) => {
    visits += 1
    response.end('{}')
  })
  trap.listen(0, '127.0.0.1')
  await once(trap, 'listening')
  const { port } = trap.address() as AddressInfo
  const lookup = parseAbi([
    'error OffchainLookup(address sender, string[] urls, bytes callData, bytes4 callbackFunction, bytes extraData)',
  ])
  const node = createServer((request, response) => {
    void (async () => {
      let text = ''
      for await (const chunk of request) text += String(chunk)
      const { id, params } = JSON.parse(text) as { id: number; params: [{ to: `0x${string}` }] }
      const data = encodeErrorResult({
        abi: lookup,
        errorName: 'OffchainLookup',
        args: [params[0].to, [`http://127.0.0.1:${port}/{sender}/{data}`], '0x', '0x12345678', '0x'],
      })
      response.setHeader('content-type', 'application/json')
      response.end(
        JSON.stringify({ jsonrpc: '2.0', id, error: { code: 3, message: 'execution reverted', data } }),
      )
    })()
  })
  node.listen(0, '127.0.0.1')
  await once(node, 'listening')
  try {
    const rpc = `http://127.0.0.1:${(node.address() as AddressInfo).port}`
    const asked = openChain({ network: chain.network, rpc, finality: 'safe' })
    const { asset } = terms(1)
    await expect(asked.authorizationState(asset, signed(1).from, signed(1).nonce, 1n)).rejects.toMatchObject({
      reason: 'rpc_error',
    })
    expect(visits).toBe(0)
  } finally {
    trap.close()
    node.closeAllConnections()
    node.close()
  }
})

test('what left the wallet beyond the ledger is reported to the micro-USD', async () => {
  const buyer = chain.accounts.buyer.address
  const store = memoryStore()
  const self = instance('ins_one')
  const metrics = createMetrics()
  let at = 0
  const outflow = chainOutflow(
    {
      chains: new Map([[chain.network, { rpc: chain.rpcUrl, finality: 'finalized' }]]),
      assets: BUILT_IN_ASSETS,
      reconcile: { intervalMs: 60_000 },
    },
    [{ address: buyer }],
    store,
    { now: () => at },
  )
  const silent = { error: () => undefined, warn: () => undefined }
  const sums = openTotals({
    store,
    instance: self,
    audit: new AuditTotals(self.id),
    moves: new MoveWatch(self.id),
    metrics,
    log: silent,
    timers: new ManualTimers(),
    chain: outflow,
  })
  /** Three looks: so long a difference must last. */
  const difference = async (): Promise<bigint | undefined> => {
    for (let look = 0; look < 3; look++) {
      at += 60_000
      await sums.run()
    }
    return sums.newest().find(({ pair }) => pair === 'ledger_chain')?.microUsd
  }
  const leaves = async (amount: bigint): Promise<void> => {
    await chain.levers.burnFrom(buyer, amount)
    await chain.levers.mine(3)
  }
  await difference()
  // Signed by another process: the ledger counts it whoever made it.
  const seconds = await now()
  const reservedAt = seconds * 1000
  const bought = terms(1, {
    instance: 'ins_two',
    amount: 1000n,
    microUsd: 1000n,
    reservedAt,
    leaseUntil: reservedAt + 1,
  })
  const record = signed(1, {
    from: buyer.toLowerCase(),
    validBefore: seconds + 300,
    method: 'permit2',
    scheme: 'upto',
  })
  await store.reserve(bought, [], false)
  expect(await store.authorize(bought.id, record, reservedAt)).toMatchObject({ state: 'authorized' })
  await leaves(400n)
  expect(await difference()).toBe(0n)
  // What the chain proved is what counts, so that nobody can hide behind what was not taken.
  const settled = { to: 'settled', at: reservedAt, reason: 'chain_used', proof: 'chain' } as const
  await store.move(bought.id, { ...settled, charged: 400n })
  expect(await difference()).toBe(0n)
  await leaves(7n)
  expect(await difference()).toBe(7n)
  expect(await metrics.text()).toContain('tollway_ledger_mismatch_usd{pair="ledger_chain"} 0.000007')
  sums.close()
})
