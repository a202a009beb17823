import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Charge } from '../../src/core/charge/charge.ts'
import { TOPICS } from '../../src/io/chain/chain.ts'
import type { ReconcileReport } from '../../src/io/reconcile/reconciler.ts'
import { ask, type TestGateway } from '../kit/gateway.ts'
import { RpcFault, startRpcProxy, type RpcCall, type RpcLie, type RpcProxy } from '../kit/rpc-proxy.ts'
import {
  again,
  newest,
  reconcile,
  startReader,
  startTimedWorld,
  VALIDITY_SECONDS,
  type TimedWorld,
} from './world.ts'

let world: TimedWorld
let node: RpcProxy
let gateway: TestGateway
let asked = 0
const lines: string[] = []

beforeAll(async () => {
  world = await startTimedWorld()
})

// A gateway of its own for each test: what a node said is remembered.
beforeEach(async () => {
  node = await startRpcProxy(world.chain.rpcUrl)
  lines.length = 0
  gateway = await startReader(
    world,
    { official: world.seller.apiBase, v1: world.v1Seller.apiBase },
    {
      rpc: `${node.url}/secret-key`,
      log: pino({ level: 'warn' }, { write: (line: string) => lines.push(line) }),
    },
  )
})

afterEach(async () => {
  await gateway?.close()
  await node?.close()
})

afterAll(async () => {
  await world?.close()
})

/** A payment whose outcome the seller hides. */
async function uncertain(taken: boolean): Promise<Charge> {
  world.facilitator.faults.settle.push({ status: 500, afterwards: taken })
  await (await ask(gateway.url, { model: 'official/m', seed: (asked += 1) })).text()
  const charge = await newest(gateway)
  expect(charge.state).toBe('uncertain')
  return charge
}

async function lookWith(lie: RpcLie | undefined): Promise<ReconcileReport> {
  node.lie = lie
  const report = await reconcile(gateway)
  node.lie = undefined
  return report
}

const flagsOf = async (charge: Charge): Promise<string[]> =>
  (await gateway.gateway.parts.ledger.store.flags({ charge: charge.id })).map(({ flag }) => flag)
const isUp = (): Promise<number> =>
  gateway.metric('tollway_reconcile_rpc_up', { network: world.chain.network })

interface RpcBlock {
  number: string
  timestamp: string
  hash: string
}

const isFinalBlock = ({ method, params }: RpcCall): boolean =>
  method === 'eth_getBlockByNumber' && params[0] === 'finalized'
const plus = (hex: string, by: number): string => `0x${(BigInt(hex) + BigInt(by)).toString(16)}`

/** Answers one method its own way. */
function instead(method: string, answer: (params: unknown[], honest: unknown) => unknown): RpcLie {
  return async (call, forward) =>
    call.method === method ? answer(call.params, await forward(call)) : await forward(call)
}

/** Changes the block that is said to be final. */
function finalBlock(change: (block: RpcBlock) => RpcBlock): RpcLie {
  return async (call, forward) => {
    const honest = await forward(call)
    return isFinalBlock(call) ? change(honest as RpcBlock) : honest
  }
}

/** Less than would be taken for a wrong clock. */
const ahead = (block: RpcBlock): RpcBlock => ({ ...block, timestamp: plus(block.timestamp, 300) })

describe('rule 4: a node that contradicts itself releases nothing, is not believed, and is reported', () => {
  test.each<[string, RpcLie, string]>([
    ['is one of another chain', instead('eth_chainId', () => '0x1'), 'wrong_chain_id'],
    ['makes up the time of a block', finalBlock(ahead), 'block_changed'],
    [
      'makes up a block',
      finalBlock((block) => ({ ...ahead(block), number: plus(block.number, 1000) })),
      'block_unknown',
    ],
    [
      'makes up a block, and one later than it',
      async (call, forward) => {
        if (call.method === 'eth_blockNumber') return '0xffffff'
        const honest = await forward(call)
        return isFinalBlock(call) ? { ...ahead(honest as RpcBlock), number: '0xfffff0' } : honest
      },
      'bad_answer',
    ],
    [
      'makes up the hash of a block',
      finalBlock((block) => ({ ...block, hash: `0x${'1'.repeat(64)}` })),
      'block_changed',
    ],
    ['knows no final block', instead('eth_getBlockByNumber', () => null), 'bad_answer'],
    ['has no token there', instead('eth_call', () => '0x'), 'bad_answer'],
    ['answers no yes and no no', instead('eth_call', () => `0x${'7'.padStart(64, '0')}`), 'bad_answer'],
    [
      'says unused at one block, and then that block is another one',
      (() => {
        let answered = false
        return async (call, forward) => {
          const honest = await forward(call)
          if (call.method === 'eth_call') answered = true
          const isOther = answered && call.method === 'eth_getBlockByNumber' && !isFinalBlock(call)
          return isOther ? { ...(honest as RpcBlock), hash: `0x${'2'.repeat(64)}` } : honest
        }
      })(),
      'block_changed',
    ],
    ['refuses', () => Promise.reject(RpcFault.refusal('unsupported')), 'rpc_error'],
    ['fails', () => Promise.reject(new RpcFault(503)), 'http_503'],
    [
      'sends to another one, even an honest one',
      () => Promise.reject(new RpcFault(307, '', { location: world.chain.rpcUrl })),
      'unreachable',
    ],
    ['hangs up', () => Promise.reject(new Error('gone')), 'unreachable'],
    ['answers something that is no JSON', () => Promise.reject(new RpcFault(200, '<html>')), 'unreachable'],
  ])('%s', async (_name, lie, reason) => {
    const charge = await uncertain(false)
    await world.advance(VALIDITY_SECONDS + 2)
    expect((await lookWith(lie)).networks).toMatchObject([{ ok: false, reason }])
    expect(await again(gateway, charge)).toEqual(charge)
    expect(await isUp()).toBe(0)
    expect(lines.filter((line) => line.includes(reason))).toHaveLength(1)

    // As soon as it tells the truth, the books follow.
    await lookWith(undefined)
    expect(await again(gateway, charge)).toMatchObject({ state: 'released', reason: 'chain_unused' })
    expect(await isUp()).toBe(1)
    expect(lines.filter((line) => line.includes('can be read again'))).toHaveLength(1)
    expect(lines.join('')).not.toContain('secret-key')
  })
})

/**
 * A node that lies and never contradicts itself: its whole chain is `seconds` later than the real one. An honest node asked by a
 * machine whose clock is that far behind looks the same.
 */
function laterChain(seconds: number): RpcLie {
  return async (call, forward) => {
    const honest = await forward(call)
    if (call.method !== 'eth_getBlockByNumber' || honest === null) return honest
    const block = honest as RpcBlock
    return { ...block, timestamp: plus(block.timestamp, seconds) }
  }
}

describe('rule 4: a chain from the future frees nothing, however well it agrees with itself', () => {
  test.each([
    ['a day', 86_400],
    ['an hour', 3600],
    ['eleven minutes', 660],
  ])('%s ahead is not believed', async (_name, seconds) => {
    const charge = await uncertain(false)
    await world.finalize()
    const { networks } = await lookWith(laterChain(seconds))
    expect(networks).toMatchObject([{ ok: false, reason: 'block_from_future' }])
    expect(await again(gateway, charge)).toEqual(charge)
    // The honest node is not held against what the liar said.
    await world.advance(VALIDITY_SECONDS + 2)
    await lookWith(undefined)
    expect(await again(gateway, charge)).toMatchObject({ state: 'released', reason: 'chain_unused' })
  })

  test('less than a usual clock is wrong: believed, but nothing that is still valid here is released', async () => {
    const free = await uncertain(false)
    const taken = await uncertain(true)
    await world.finalize()
    // What the honest node said before would give it away: this gateway has only ever heard the liar.
    node.lie = laterChain(VALIDITY_SECONDS * 5)
    const deceived = await startReader(
      world,
      { official: world.seller.apiBase },
      { rpc: node.url, config: { store: `sqlite:${gateway.directory}/tollway.db` } },
    )
    try {
      expect((await reconcile(deceived)).networks).toMatchObject([{ reason: undefined }])
      expect(await again(deceived, free)).toEqual(free)
      expect(await again(deceived, taken)).toMatchObject({ state: 'settled', proof: 'chain' })
    } finally {
      await deceived.close()
    }
  })
})

test('rule 4: releases nothing while the node is down, and logs its address nowhere', async () => {
  const charge = await uncertain(false)
  await world.advance(VALIDITY_SECONDS + 2)
  const { url } = node
  await node.close()
  expect((await reconcile(gateway)).networks).toMatchObject([{ ok: false, reason: 'unreachable' }])
  expect(await again(gateway, charge)).toEqual(charge)
  expect(lines.join('')).not.toContain(new URL(url).host)
})

test('waits for a node that lags, and does not believe one that goes back', async () => {
  const charge = await uncertain(false)
  await world.finalize()
  const behind = (await worldBlock('finalized')).number
  await world.advance(VALIDITY_SECONDS + 2)

  const lagging = async (call: RpcCall, forward: (call: RpcCall) => Promise<unknown>): Promise<unknown> =>
    await forward(isFinalBlock(call) ? { ...call, params: [behind, false] } : call)
  expect((await lookWith(lagging)).networks).toMatchObject([{ ok: true, block: BigInt(behind) }])
  expect(await again(gateway, charge)).toEqual(charge)

  await lookWith(undefined)
  expect(await again(gateway, charge)).toMatchObject({ state: 'released' })
  expect((await lookWith(lagging)).networks).toMatchObject([{ ok: false, reason: 'block_went_back' }])
})

async function worldBlock(tag: string): Promise<RpcBlock> {
  const reply = await fetch(world.chain.rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'eth_getBlockByNumber', params: [tag, false] }),
  })
  const { result } = (await reply.json()) as { result: RpcBlock }
  return result
}

test('rule 4: releases nothing when the node switches to another chain during the queries', async () => {
  const charge = await uncertain(false)
  await world.advance(VALIDITY_SECONDS + 2)
  let answered = false
  await lookWith(async (call, forward) => {
    if (call.method === 'eth_call') answered = true
    return answered && call.method === 'eth_chainId' ? '0x1' : await forward(call)
  })
  expect(await again(gateway, charge)).toEqual(charge)
  await lookWith(undefined)
  expect(await again(gateway, charge)).toMatchObject({ state: 'released' })
})

test('does not believe a final block that was replaced', async () => {
  const charge = await uncertain(false)
  await world.finalize()
  await lookWith(undefined)
  const known = await worldBlock('finalized')
  await world.advance(VALIDITY_SECONDS + 2)
  const report = await lookWith(
    instead('eth_getBlockByNumber', (params, honest) =>
      params[0] === known.number ? { ...known, hash: `0x${'3'.repeat(64)}` } : honest,
    ),
  )
  expect(report.networks).toMatchObject([{ ok: false, reason: 'block_changed' }])
  expect(await again(gateway, charge)).toEqual(charge)
})

test('rule 4: flags a payment that a node calls unused although its event exists; an honest node corrects it', async () => {
  const charge = await uncertain(true)
  await world.advance(VALIDITY_SECONDS + 2)
  await lookWith(instead('eth_call', () => `0x${'0'.repeat(64)}`))
  expect(await again(gateway, charge)).toEqual(charge)
  expect(await flagsOf(charge)).toEqual(['chain_contradiction'])
  expect(await gateway.metric('tollway_charges_flagged', { flag: 'chain_contradiction' })).toBe(1)

  await lookWith(undefined)
  expect(await again(gateway, charge)).toMatchObject({ state: 'settled', proof: 'chain' })
  expect(await flagsOf(charge)).toEqual([])
  expect(await gateway.metric('tollway_charges_flagged')).toBe(0)
})

test('rule 4: neither settles nor releases when the node says used but shows no event', async () => {
  const charge = await uncertain(true)
  await world.advance(VALIDITY_SECONDS + 2)
  await lookWith(instead('eth_getLogs', () => []))
  expect(await again(gateway, charge)).toEqual(charge)
  expect(await flagsOf(charge)).toEqual(['event_missing'])
  await lookWith(undefined)
  expect(await again(gateway, charge)).toMatchObject({ state: 'settled', proof: 'chain' })
  expect(await flagsOf(charge)).toEqual([])
})

test('ignores the events of another payment', async () => {
  const other = await uncertain(true)
  await world.finalize()
  const charge = await uncertain(true)
  await world.finalize()
  const nonce = other.authorization?.nonce ?? ''
  await lookWith(async (call, forward) => {
    const [filter] = call.params as [{ topics: unknown[] }]
    if (call.method !== 'eth_getLogs') return await forward(call)
    return await forward({ ...call, params: [{ ...filter, topics: [...filter.topics.slice(0, 2), nonce] }] })
  })
  expect(await again(gateway, charge)).toEqual(charge)
  expect(await again(gateway, other)).toMatchObject({ state: 'settled', proof: 'chain' })
})

test('rule 4: releases nothing for the cancellation of another payment', async () => {
  const charge = await uncertain(true)
  await world.finalize()
  await lookWith(
    instead('eth_getLogs', (_params, honest) =>
      (honest as { topics: string[] }[]).map((log) => ({
        ...log,
        topics: [TOPICS.canceled, log.topics[1], `0x${'4'.repeat(64)}`],
      })),
    ),
  )
  expect(await again(gateway, charge)).toEqual(charge)
  expect(await flagsOf(charge)).toEqual(['event_missing'])
})

test('settles and flags when the transaction moved another amount', async () => {
  const charge = await uncertain(true)
  await world.finalize()
  await lookWith(
    instead('eth_getTransactionReceipt', (_params, honest) => {
      const receipt = honest as { logs: { topics: string[]; data: string }[] }
      const logs = receipt.logs.map((log) =>
        log.topics.length === 3 && log.data.length === 66
          ? { ...log, data: `0x${'1'.padStart(64, '0')}` }
          : log,
      )
      return { ...receipt, logs }
    }),
  )
  expect(await again(gateway, charge)).toMatchObject({ state: 'settled', proof: 'chain' })
  expect(await flagsOf(charge)).toEqual(['amount_mismatch'])
})

test('rule 4: settles nothing by a receipt without the event, a failed one, or one that is not final', async () => {
  const charge = await uncertain(true)
  await world.finalize()
  const changes: ((receipt: object) => object | null)[] = [
    (receipt) => ({ ...receipt, logs: [] }),
    (receipt) => ({ ...receipt, status: '0x0' }),
    (receipt) => ({ ...receipt, blockNumber: '0xffffff' }),
    () => null,
  ]
  for (const change of changes) {
    await lookWith(instead('eth_getTransactionReceipt', (_params, honest) => change(honest as object)))
    expect(await again(gateway, charge)).toEqual(charge)
  }
  await lookWith(undefined)
  expect(await again(gateway, charge)).toMatchObject({ proof: 'chain' })
})

describe('a node that limits the range of its events', () => {
  test('is queried in smaller pages', async () => {
    const charge = await uncertain(true)
    await world.chain.levers.mine(200)
    await world.finalize()
    const limited: RpcLie = async (call, forward) => {
      const [filter] = call.params as [{ fromBlock: string; toBlock: string }]
      if (call.method === 'eth_getLogs' && BigInt(filter.toBlock) - BigInt(filter.fromBlock) >= 50n) {
        throw RpcFault.refusal('query returned more than 50 blocks')
      }
      return await forward(call)
    }
    await lookWith(limited)
    expect(await again(gateway, charge)).toMatchObject({ state: 'settled', proof: 'chain' })
    const pages = node.calls.filter(({ method }) => method === 'eth_getLogs')
    expect(pages.length).toBeGreaterThan(3)
  })

  test('leaves the payment as it is when it refuses even small pages', async () => {
    const charge = await uncertain(true)
    await world.finalize()
    const report = await lookWith(async (call, forward) => {
      if (call.method === 'eth_getLogs') throw RpcFault.refusal('not in your plan')
      return await forward(call)
    })
    expect(report.networks).toMatchObject([{ ok: false, reason: 'range_refused' }])
    expect(await again(gateway, charge)).toEqual(charge)
  })
})

test('does not let one failing network block another', async () => {
  const charge = await uncertain(false)
  await world.advance(VALIDITY_SECONDS + 2)
  const two = await startReader(
    world,
    { official: world.seller.apiBase },
    {
      config: {
        store: `sqlite:${gateway.directory}/tollway.db`,
        chains: {
          base: { rpc: 'http://127.0.0.1:1' },
          [world.chain.v1Network]: { rpc: world.chain.rpcUrl },
        },
      },
    },
  )
  try {
    expect((await reconcile(two)).networks).toMatchObject([
      { network: 'eip155:8453', ok: false },
      { network: 'eip155:84532', ok: true },
    ])
    expect(await two.metric('tollway_reconcile_runs_total', { result: 'incomplete' })).toBeGreaterThan(0)
    expect(await again(gateway, charge)).toMatchObject({ state: 'released' })
  } finally {
    await two.close()
  }
})
