import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { BookedCharge, Snapshot } from './crash/books.ts'
import { runCampaign, type CampaignResult } from './crash/campaign.ts'
import { checkFinal, checkRunning, type Final, type Running } from './crash/checks.ts'
import { drawKills, killsAt } from './crash/plan.ts'
import { Random } from './crash/random.ts'
import { STEPS, type Step } from './crash/steps.ts'
import { phaseOf } from './crash/tally.ts'

/** Every point of the way of money at which a crash leaves something else behind. */
const SLICE: readonly Step[] = [
  'reserve:after',
  'sign:after',
  'record:after',
  'audit.authorized:written',
  'send:bytes-left',
  'send:headers',
  'settle:after',
  'relay:first-bytes',
  'commit:before',
  'audit:half-a-line',
]

describe('a gateway that kills itself at a step', () => {
  let directory: string
  let result: CampaignResult

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'tollway-crash-slice-'))
    result = await runCampaign({
      kills: killsAt(SLICE),
      seed: 1,
      directory,
      gateways: 2,
      clients: 4,
      faults: false,
      patienceMs: 240_000,
      deadline: Number.POSITIVE_INFINITY,
      log: () => undefined,
    })
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('comes to each of them, and is started again', () => {
    expect(new Set(result.tally.blows.map(({ death }) => death.step))).toEqual(new Set(SLICE))
    expect(result.tally.blows).toHaveLength(SLICE.length)
    expect(result.tally.checks).toBeGreaterThanOrEqual(SLICE.length)
  })

  test('rules 3 and 4: breaks no invariant, and its ledger equals the chain to the last atomic unit', () => {
    expect(result.violations).toEqual([])
    const settled = result.after.charges.filter(({ state }) => state === 'settled')
    expect(settled.length).toBeGreaterThan(0)
    expect(new Set(settled.map(({ nonce }) => nonce))).toEqual(new Set(result.uses.map(({ nonce }) => nonce)))
    expect(new Set(result.after.charges.map(({ state }) => state))).toEqual(new Set(['settled', 'released']))
  })

  test('leaves charges between record and receipt, and a torn line that is repaired', () => {
    expect(result.tally.blows.map(phaseOf)).toContain('record to receipt')
    expect(result.tally.torn).toBe(1)
    expect(result.trail.repaired).toBe(1)
  })
})

test('the plan of a seed is always the same, and comes to every step', () => {
  const plan = (seed: number): unknown[] => [...drawKills(new Random(seed), 1000)]
  expect(plan(7)).toEqual(plan(7))
  expect(plan(7)).not.toEqual(plan(8))
  const steps = new Set(
    [...drawKills(new Random(7), 1000)].map((kill) => (kill.kind === 'step' ? kill.step : 'random')),
  )
  expect(steps).toEqual(new Set([...STEPS, 'random']))
})

// A campaign that finds nothing proves nothing unless its checks can find something.
describe('the checks', () => {
  const charge: BookedCharge = {
    id: 'chg_1',
    instance: 'ins_1',
    request: 'r1',
    state: 'settled',
    proof: 'chain',
    reason: 'chain_used',
    amount: 1000n,
    payTo: '0xpayee',
    nonce: '0x01',
    transaction: '0xaa',
  }
  const use = { nonce: '0x01', transaction: '0xaa', amount: 1000n, to: '0xpayee' }
  const window = { budget: 'all', subject: '*', window: 'day', windowStart: 0, spent: 1000n, counted: 1000n }
  const books: Snapshot = {
    charges: [charge],
    rolling: [],
    windows: [window],
    recomputed: [window],
    peaks: [{ budget: 'all', subject: '*', window: 'day', windowStart: 0, peak: 1000n }],
  }
  const running: Running = {
    books,
    uses: [use],
    limits: new Map([['all', 1000n]]),
    dead: new Set(['ins_1']),
    alive: new Set(),
  }
  const final: Final = {
    books,
    uses: [use],
    paidByBuyer: 1000n,
    intents: new Set(['chg_1']),
    lastWords: new Map([['chg_1', 'settled']]),
    answers: [],
  }
  const answer = { request: 'r1', status: 200, code: undefined, left: false }
  const withCharge = (changes: Partial<BookedCharge>): Snapshot => ({
    ...books,
    charges: [{ ...charge, ...changes }],
  })

  test('say nothing of books in order', () => {
    expect(checkRunning(running)).toEqual([])
    expect(checkFinal(final)).toEqual([])
  })

  test.each<[string, Partial<Running>, RegExp]>([
    [
      'a sum that drifted',
      { books: { ...books, windows: [{ ...window, spent: 999n }] } },
      /the ledger keeps/,
    ],
    [
      'a budget overrun for a moment',
      { books: { ...books, peaks: [{ ...window, peak: 1001n }] } },
      /came to 1001 of 1000/,
    ],
    [
      'a rolling window overrun',
      {
        books: {
          ...books,
          rolling: [
            { budget: 'all', at: 0, amount: 600n },
            { budget: 'all', at: 119_999, amount: 600n },
          ],
        },
      },
      /came to 1200 of 1000/,
    ],
    [
      'a request that counts twice',
      { books: { ...books, charges: [charge, { ...charge, id: 'chg_2', nonce: '0x02' }] } },
      /several charges/,
    ],
    [
      'a request paid twice',
      {
        books: { ...books, charges: [charge, { ...charge, nonce: '0x02' }] },
        uses: [use, { ...use, nonce: '0x02' }],
      },
      /paid twice/,
    ],
    ['a nonce used twice', { uses: [use, use] }, /used twice/],
    ['a payment nobody recorded', { books: withCharge({ nonce: '0x09' }) }, /never recorded/],
    ['a release of money that was taken', { books: withCharge({ state: 'released' }) }, /is released/],
    ['another amount', { uses: [{ ...use, amount: 1001n }] }, /moved 1001/],
    ['a charge of a dead gateway that stays', { books: withCharge({ state: 'held' }) }, /still held/],
    [
      'a charge taken from a living gateway',
      { books: withCharge({ reason: 'instance_dead' }), alive: new Set(['ins_1']) },
      /from the living/,
    ],
  ])('find %s', (_, changes, words) => {
    expect(checkRunning({ ...running, ...changes }).join('\n')).toMatch(words)
  })

  test.each<[string, Partial<Final>, RegExp]>([
    [
      'an atom too much in the ledger',
      { books: withCharge({ amount: 1001n }) },
      /settled 1001, the chain moved 1000/,
    ],
    ['money that left by another way', { paidByBuyer: 1001n }, /1001 poorer/],
    ['an open charge', { books: withCharge({ state: 'uncertain' }) }, /uncertain in the end/],
    ['a settled charge that was never taken', { uses: [] }, /never taken/],
    ['another transaction', { books: withCharge({ transaction: '0xbb' }) }, /names 0xbb/],
    ['a weaker proof', { books: withCharge({ proof: 'receipt' }) }, /rests on receipt/],
    ['a payment without an intent on record', { intents: new Set() }, /without an intent/],
    [
      'a move that no record tells',
      { lastWords: new Map([['chg_1', 'uncertain']]) },
      /audit files say uncertain/,
    ],
    [
      'a no that was a yes',
      { answers: [{ ...answer, spent: 'no', charge: undefined }] },
      /nothing was spent/,
    ],
    [
      'a yes that was a no',
      { books: withCharge({ state: 'released' }), answers: [{ ...answer, spent: 'yes', charge: 'chg_1' }] },
      /it is released/,
    ],
  ])('find %s', (_, changes, words) => {
    expect(checkFinal({ ...final, ...changes }).join('\n')).toMatch(words)
  })
})
