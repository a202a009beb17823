/** Authorizations that were valid for weeks, on a chain with a block every two seconds, and an honest node. */
import { expect, test } from 'vitest'
import type { Charge } from '../../src/core/charge/charge.ts'
import type { AuthorizationMethod } from '../../src/core/money/assets.ts'
import { decide } from '../../src/core/charge/reconcile.ts'
import { BlockSearch } from '../../src/io/reconcile/chain-blocks.ts'
import { observe } from '../../src/io/reconcile/chain-observe.ts'
import { TOPICS, type ChainLog, type ChainReader, type LogQuery } from '../../src/io/chain/chain.ts'
import { signed, terms } from '../store/samples.ts'

const START = 1_700_000_000
const DAY = 86_400
const block = (number: bigint) => ({
  number,
  timestamp: START + Number(number) * 2,
  hash: `0x${number.toString(16).padStart(64, '0')}`,
})
const head = block(4_000_000n)
const reservedAt = START + 1_000_000
const network = 'eip155:8453'
const transaction = `0x${'ab'.repeat(32)}`
const topic = (address: string): string => `0x${address.slice(2).padStart(64, '0')}`

function chargeOf(days: number, method: AuthorizationMethod): Charge {
  const validBefore = reservedAt + days * DAY
  return {
    ...terms(1, { network, reservedAt: reservedAt * 1000 }),
    state: 'uncertain',
    proof: undefined,
    authorization: { ...signed(1), validAfter: 0, validBefore, method },
    transaction: undefined,
    reason: 'timeout',
    updatedAt: reservedAt * 1000,
  }
}

/** Answers everything truthfully, 2,000 blocks of events at a time. @param usedAt the block of its one payment */
function node(charge: Charge, usedAt?: bigint): { readonly reader: ChainReader; readonly asked: LogQuery[] } {
  const asked: LogQuery[] = []
  const { from = '', nonce = '' } = charge.authorization ?? {}
  const use: ChainLog = {
    address: charge.asset,
    topics: [TOPICS.used, topic(from), nonce],
    data: '0x',
    transaction,
    blockNumber: usedAt ?? 0n,
  }
  const moved: ChainLog = {
    ...use,
    topics: [TOPICS.transfer, topic(from), topic(charge.payTo)],
    data: `0x${charge.amount.toString(16).padStart(64, '0')}`,
  }
  const reader: ChainReader = {
    network,
    finality: 'safe',
    chainId: async () => 8453,
    finalBlock: async () => head,
    newest: async () => head.number,
    block: async (number) => block(number),
    authorizationState: async () => usedAt !== undefined,
    nonceBitmap: async () => (usedAt === undefined ? 0n : 1n << (BigInt(nonce) & 0xffn)),
    logs: async (query) => {
      asked.push(query)
      const log = query.topics[0] === TOPICS.transfer ? moved : use
      return usedAt !== undefined && query.from <= usedAt && usedAt <= query.to ? [log] : []
    },
    receipt: async () => ({ transaction, succeeded: true, blockNumber: usedAt ?? 0n, logs: [use, moved] }),
    input: async () => nonce,
    close() {},
  }
  return { reader, asked }
}

test.each([
  ['eip3009', 7],
  ['eip3009', 30],
  ['permit2', 30],
] as const)(
  'an unused %s payment that was valid for %i days is released in one look',
  async (method, days) => {
    const charge = chargeOf(days, method)
    const { reader, asked } = node(charge)
    const seen = await observe({ reader, search: new BlockSearch(reader), head, chainId: 8453 }, charge)
    expect(decide(charge, seen, head.timestamp * 1000)).toMatchObject({
      action: 'release',
      reason: 'chain_unused',
    })
    expect(asked.length).toBeLessThanOrEqual(21)
  },
)

test('one that was used weeks after it was signed is found by and by, each look going on where the last one ended', async () => {
  const charge = chargeOf(30, 'eip3009')
  const usedAt = 500_000n + BigInt((25 * DAY) / 2)
  const { reader, asked } = node(charge, usedAt)
  const search = new BlockSearch(reader)
  const looks: string[] = []
  for (let look = 0; look < 5 && looks.at(-1) !== 'settle'; look += 1) {
    const decision = decide(
      charge,
      await observe({ reader, search, head, chainId: 8453 }, charge),
      head.timestamp * 1000,
    )
    looks.push(decision.action === 'wait' ? decision.reason : decision.action)
  }
  expect(looks.at(-1)).toBe('settle')
  expect(new Set(looks.slice(0, -1))).toEqual(new Set(['search_goes_on']))
  expect(looks.length).toBeGreaterThan(1)
  // No block was asked for twice.
  const pages = asked.map(({ from }) => from)
  expect(new Set(pages).size).toBe(pages.length)
})

test.each(['eip3009', 'permit2'] as const)(
  'a voucher by %s that another program had used before it was sent is settled by that use, and flagged',
  async (method) => {
    const charge = chargeOf(1, method)
    // Ten days before: block 500,000 is the hour of the reservation.
    const usedAt = 500_000n - BigInt((10 * DAY) / 2)
    const { reader } = node(charge, usedAt)
    const search = new BlockSearch(reader)
    const looks: string[] = []
    for (let look = 0; look < 20; look += 1) {
      const decision = decide(
        charge,
        await observe({ reader, search, head, chainId: 8453 }, charge),
        head.timestamp * 1000,
      )
      looks.push(decision.action === 'wait' ? decision.reason : decision.action)
      if (decision.action === 'wait') continue
      expect(decision).toMatchObject({
        action: 'settle',
        transaction,
        flags: [{ flag: 'used_before', detail: expect.stringContaining('before this charge') }],
      })
      break
    }
    expect(looks.at(-1)).toBe('settle')
  },
)

test('one that was used up, with no event for a month before it either, is left to people', async () => {
  const charge = chargeOf(1, 'eip3009')
  // Longer ago than anything is signed ahead.
  const { reader } = node(charge, 1n)
  const search = new BlockSearch(reader)
  const later = { ...charge, reservedAt: (reservedAt + 60 * DAY) * 1000 }
  const valid = { ...signed(1), validAfter: 0, validBefore: reservedAt + 61 * DAY }
  const actions: string[] = []
  for (let look = 0; look < 20 && actions.at(-1) !== 'flag'; look += 1) {
    const seen = await observe({ reader, search, head, chainId: 8453 }, { ...later, authorization: valid })
    const decision = decide({ ...later, authorization: valid }, seen, head.timestamp * 1000)
    actions.push(decision.action === 'flag' ? 'flag' : decision.action)
    if (decision.action === 'flag') expect(decision.flag.flag).toBe('event_missing')
  }
  expect(actions.at(-1)).toBe('flag')
})
