import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Charge, ChargeState, Proof } from '../../src/core/charge/charge.ts'
import {
  decide as decideAt,
  type ChainBlock,
  type ReconcileDecision,
  type Observation,
} from '../../src/core/charge/reconcile.ts'
import { receiptMismatch } from '../../src/core/charge/receipt-check.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import type { Move } from '../../src/io/store/contracts/charges.ts'
import { NOW, signed, terms } from '../store/samples.ts'

/** Our clock is as far as the chain's, unless a test says otherwise. */
const decide = (before: Charge, seen: Observation, now = (VALID_BEFORE + 1) * 1000): ReconcileDecision =>
  decideAt(before, seen, now)

const CHAIN_ID = 84_532
const TX = `0x${'a'.repeat(64)}`
const VALID_BEFORE = signed(1).validBefore

function charge(state: ChargeState, changes: Partial<Charge> = {}): Charge {
  return {
    ...terms(1),
    state,
    proof: undefined,
    authorization: signed(1),
    transaction: undefined,
    reason: undefined,
    updatedAt: NOW,
    ...changes,
  }
}

function at(timestamp: number): ChainBlock {
  return { number: 100n, timestamp, hash: `0x${'b'.repeat(64)}` }
}

type Facts = Partial<Exclude<Observation, { kind: 'no_answer' }>>

/** What is read at a block past validBefore, where nothing happened. */
function reading(facts: Facts = {}): Observation {
  return {
    kind: 'reading',
    chainId: CHAIN_ID,
    block: at(VALID_BEFORE + 1),
    spent: false,
    use: undefined,
    cancellation: undefined,
    ...facts,
  }
}

const transfer = { to: terms(1).payTo, value: terms(1).amount }
const used = (facts: Facts = {}): Observation =>
  reading({ spent: true, use: { transaction: TX, transfers: [transfer] }, ...facts })
const uncertain = charge('uncertain')
const assumed = charge('settled', { proof: 'assumed' })
const receipt = charge('settled', { proof: 'receipt', transaction: TX })

describe('a charge the chain says was used', () => {
  test.each([
    ['uncertain', uncertain],
    ['settled without a receipt', assumed],
    ['settled on a receipt', receipt],
  ])('is settled by the chain: %s', (_name, before) => {
    expect(decide(before, used())).toMatchObject({ action: 'settle', transaction: TX, flags: [] })
  })

  test('before it was reserved is settled and told: the nonce was not used for this request', () => {
    const use = { transaction: TX, transfers: [transfer], early: true }
    expect(decide(uncertain, used({ use }))).toMatchObject({
      action: 'settle',
      flags: [{ flag: 'used_before' }],
    })
    expect(decide(uncertain, used({ use: { ...use, early: false } }))).toMatchObject({ flags: [] })
  })

  test('is settled also before validBefore', () => {
    expect(decide(uncertain, used({ block: at(1) }))).toMatchObject({ action: 'settle' })
  })

  test.each([
    ['amount', { ...transfer, value: transfer.value - 1n }],
    ['payee', { ...transfer, to: '0x00000000000000000000000000000000000000ff' }],
  ])('is settled and flagged when another %s was moved', (_name, moved) => {
    const decision = decide(uncertain, used({ use: { transaction: TX, transfers: [moved] } }))
    expect(decision).toMatchObject({ action: 'settle', flags: [{ flag: 'amount_mismatch' }] })
  })

  test('is settled and flagged when nothing was moved', () => {
    const decision = decide(uncertain, used({ use: { transaction: TX, transfers: [] } }))
    expect(decision).toMatchObject({
      action: 'settle',
      flags: [{ detail: expect.stringContaining('moved nothing') }],
    })
  })

  test('is not flagged when its transaction moves more than this payment', () => {
    const transfers = [{ to: '0x01', value: 1n }, transfer]
    expect(decide(uncertain, used({ use: { transaction: TX, transfers } }))).toMatchObject({ flags: [] })
  })

  test('is settled with the real transaction and flagged when the receipt named another', () => {
    const lied = charge('settled', { proof: 'receipt', transaction: `0x${'c'.repeat(64)}` })
    expect(decide(lied, used())).toMatchObject({
      action: 'settle',
      transaction: TX,
      flags: [{ flag: 'receipt_mismatch' }],
    })
  })
})

describe('a charge the chain says was never used', () => {
  test.each([
    ['uncertain', uncertain],
    ['settled without a receipt', assumed],
  ])('is released past validBefore: %s', (_name, before) => {
    expect(decide(before, reading())).toMatchObject({ action: 'release', reason: 'chain_unused' })
  })

  test('waits until the block itself is past validBefore, to the second', () => {
    for (const seconds of [-10_000, -1, 0]) {
      const decision = decide(uncertain, reading({ block: at(VALID_BEFORE + seconds) }))
      expect(decision).toEqual({ action: 'wait', reason: 'still_valid' })
    }
  })

  test('rule 4: waits until our own clock is past validBefore too: a node from the future releases nothing', () => {
    const ahead = reading({ block: at(VALID_BEFORE + 86_400) })
    for (const now of [NOW, VALID_BEFORE * 1000, (VALID_BEFORE + 1) * 1000 - 1]) {
      for (const before of [uncertain, assumed]) {
        expect(decide(before, ahead, now)).toEqual({ action: 'wait', reason: 'still_valid_here' })
      }
    }
    expect(decide(uncertain, ahead, (VALID_BEFORE + 1) * 1000)).toMatchObject({ action: 'release' })
    // Our clock alone proves nothing, however late it is.
    const behind = reading({ block: at(VALID_BEFORE) })
    expect(decide(uncertain, behind, NOW + 10 ** 12)).toEqual({ action: 'wait', reason: 'still_valid' })
  })

  test('rule 4: an upto payment that may have cost nothing is not proven so by a node from the future', () => {
    const served = charge('settled', { proof: 'receipt', authorization: signed(1, { scheme: 'upto' }) })
    const ahead = reading({ block: at(VALID_BEFORE + 86_400) })
    expect(decide(served, ahead, NOW)).toEqual({ action: 'wait', reason: 'still_valid_here' })
    expect(decide(served, ahead)).toMatchObject({ action: 'settle', charged: 0n })
  })

  test('is flagged and stays settled when a receipt said it was paid', () => {
    expect(decide(receipt, reading())).toMatchObject({ action: 'flag', flag: { flag: 'receipt_unproven' } })
  })

  test('an upto payment that took all that was signed counts as signed', () => {
    const served = charge('settled', { proof: 'receipt', authorization: signed(1, { scheme: 'upto' }) })
    const decision = decide(served, used({ use: { transaction: TX, transfers: [transfer] } }))
    expect(decision).toMatchObject({ action: 'settle' })
    expect(decision).not.toHaveProperty('charged')
  })

  test('rule 4: of several transfers to the payee an upto payment counts the largest, in any order', () => {
    const served = charge('settled', { proof: 'receipt', authorization: signed(1, { scheme: 'upto' }) })
    const values = [3n, 5n, 4n]
    for (const order of [values, values.toReversed(), [5n, 3n]]) {
      const transfers = order.map((value) => ({ ...transfer, value }))
      expect(decide(served, used({ use: { transaction: TX, transfers } }))).toMatchObject({
        action: 'settle',
        charged: 5n,
      })
    }
  })

  test('waits when the node is one of another chain', () => {
    expect(decide(uncertain, reading({ chainId: 1 }))).toEqual({ action: 'wait', reason: 'wrong_chain' })
    expect(decide(uncertain, used({ chainId: 1 }))).toEqual({ action: 'wait', reason: 'wrong_chain' })
  })
})

describe('a cancelled charge', () => {
  const canceled = reading({ spent: true, cancellation: { transaction: TX }, block: at(1) })

  test('is released at once: it can never be used', () => {
    expect(decide(uncertain, canceled)).toMatchObject({ action: 'release', reason: 'chain_canceled' })
    expect(decide(assumed, canceled)).toMatchObject({ action: 'release', reason: 'chain_canceled' })
  })

  test('is flagged and stays settled when a receipt said it was paid', () => {
    expect(decide(receipt, canceled)).toMatchObject({ action: 'flag', flag: { flag: 'receipt_unproven' } })
  })
})

describe('contradictions are flagged, and nothing is recorded', () => {
  test.each<[string, Observation, string]>([
    ['used up, and no event tells by what', reading({ spent: true }), 'event_missing'],
    ['unused, and used by an event', used({ spent: false }), 'chain_contradiction'],
    ['unused, and cancelled', reading({ cancellation: { transaction: TX } }), 'chain_contradiction'],
    ['used and cancelled', used({ cancellation: { transaction: TX } }), 'chain_contradiction'],
  ])('%s', (_name, observation, flag) => {
    for (const before of [uncertain, assumed, receipt]) {
      expect(decide(before, observation)).toMatchObject({ action: 'flag', flag: { flag } })
    }
  })
})

describe('Permit2', () => {
  const permitted = charge('uncertain', { authorization: signed(1, { method: 'permit2' }) })

  test('is settled by the Transfer that was signed for, and by no other', () => {
    expect(decide(permitted, used())).toMatchObject({ action: 'settle', flags: [] })
    const other = { transaction: TX, transfers: [{ ...transfer, value: 1n }] }
    expect(decide(permitted, used({ use: other }))).toMatchObject({ flag: { flag: 'event_missing' } })
  })
})

describe('what is in flight, or over, is left alone', () => {
  test.each<[ChargeState, Proof | undefined]>([
    ['held', undefined],
    ['authorized', undefined],
    ['released', undefined],
    ['settled', 'chain'],
  ])('%s %s', (state, proof) => {
    for (const observation of [
      reading(),
      used(),
      reading({ spent: true, cancellation: { transaction: TX } }),
    ]) {
      expect(decide(charge(state, { proof }), observation)).toEqual({
        action: 'wait',
        reason: 'not_reconcilable',
      })
    }
  })
})

test('a missing answer proves nothing', () => {
  expect(decide(uncertain, { kind: 'no_answer', reason: 'timeout' })).toEqual({
    action: 'wait',
    reason: 'timeout',
  })
})

const anyCharge = fc.record({
  state: fc.constantFrom<ChargeState>('held', 'authorized', 'uncertain', 'settled', 'released'),
  proof: fc.constantFrom<Proof>('receipt', 'assumed', 'chain'),
  method: fc.constantFrom('eip3009' as const, 'permit2' as const),
})
const anyUse = fc.option(
  fc.record({
    transaction: fc.constantFrom(TX, `0x${'c'.repeat(64)}`),
    transfers: fc.array(fc.constantFrom(transfer, { ...transfer, value: 1n }), { maxLength: 2 }),
  }),
  { nil: undefined },
)
const anyObservation: fc.Arbitrary<Observation> = fc.oneof(
  fc.record({ kind: fc.constant('no_answer' as const), reason: fc.constant('timeout') }),
  fc.record({
    kind: fc.constant('reading' as const),
    chainId: fc.constantFrom(CHAIN_ID, CHAIN_ID, 1, 8453),
    block: fc.integer({ min: -2, max: 2 }).map((seconds) => at(VALID_BEFORE + seconds)),
    spent: fc.boolean(),
    use: anyUse,
    cancellation: fc.option(fc.constant({ transaction: TX }), { nil: undefined }),
  }),
)

/** Rule 4, written down a second time and from the other end. */
function provesUnspent(before: Charge, observation: Observation): boolean {
  if (observation.kind !== 'reading' || observation.chainId !== CHAIN_ID || observation.use) return false
  if (before.state !== 'uncertain' && !(before.state === 'settled' && before.proof === 'assumed'))
    return false
  return observation.cancellation
    ? observation.spent
    : !observation.spent && observation.block.timestamp > (before.authorization?.validBefore ?? Infinity)
}

test('rule 4: nothing is released without proof that it is unspent, and with it everything is', () => {
  fc.assert(
    fc.property(anyCharge, anyObservation, ({ state, proof, method }, observation) => {
      const before = charge(state, {
        proof: state === 'settled' ? proof : undefined,
        authorization: signed(1, { method }),
      })
      expect(decide(before, observation).action === 'release').toBe(provesUnspent(before, observation))
    }),
    { numRuns: 5000 },
  )
})

test('over any sequence of readings a charge is released at most once, by a proof, and its budget share with it', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom<Move | undefined>(
        undefined,
        { to: 'uncertain', at: NOW, reason: 'timeout' },
        { to: 'settled', at: NOW, reason: 'x', proof: 'assumed' },
        { to: 'settled', at: NOW, reason: 'x', proof: 'receipt' },
      ),
      fc.array(anyObservation, { maxLength: 8 }),
      async (first, observations) => {
        const { ledger, id, counted } = await booked(first)
        const released: ReconcileDecision[] = []
        for (const observation of observations) {
          const before = await ledger.store.charge(id)
          if (!before) throw new Error('the charge is gone')
          const decision = decide(before, observation)
          const after = await ledger.resolve(before, decision)
          if (after?.state === 'released') {
            released.push(decision)
            expect(provesUnspent(before, observation)).toBe(true)
          }
          expect(await counted()).toBe(released.length === 0 ? terms(1).amount : 0n)
        }
        expect(released.length).toBeLessThanOrEqual(1)
      },
    ),
    { numRuns: 300 },
  )
})

async function booked(move: Move | undefined): Promise<{
  ledger: Ledger
  id: string
  counted: () => Promise<bigint>
}> {
  const store = memoryStore()
  const ledger = await Ledger.open({
    store,
    audit: { append: async () => undefined, close: async () => undefined },
    clock: { now: () => NOW },
    random: (count) => new Uint8Array(count),
    instance: { id: 'ins_one', host: 'box', pid: 1, processStart: '7', startedAt: NOW, heartbeatAt: NOW },
    observers: [],
  })
  const { id } = terms(1)
  const share = {
    budget: 'all',
    subject: '*',
    window: 'lifetime' as const,
    windowStart: 0,
    windowEnd: undefined,
    limit: 10n ** 9n,
    amount: terms(1).amount,
  }
  await store.reserve(terms(1), [share], false)
  await store.authorize(id, signed(1), NOW)
  if (move) await store.move(id, move)
  return {
    ledger,
    id,
    async counted() {
      const [totals] = await store.totals([share])
      if (!totals) return 0n
      return totals.spent + totals.held + totals.authorized + totals.uncertain
    },
  }
}

describe('a receipt', () => {
  const blank = {
    success: true,
    transaction: TX,
    payer: undefined,
    network: undefined,
    amount: undefined,
    errorReason: undefined,
  }

  test.each([
    ['says nothing more', {}],
    [
      'repeats what was signed',
      { payer: signed(1).from.toUpperCase().replace('0X', '0x'), network: 'eip155:84532', amount: '23000' },
    ],
    [
      'names the network as x402 v1 does, and the amount as a number',
      { network: 'base-sepolia', amount: 23_000 },
    ],
    ['leaves fields empty', { payer: '', network: '', amount: '' }],
  ])('is no lie when it %s', (_name, fields) => {
    expect(receiptMismatch({ ...blank, ...fields }, uncertain)).toBeUndefined()
  })

  test.each([
    ['amount', { amount: '23001' }],
    ['amount', { amount: { value: '23000' } }],
    ['payer', { payer: '0x00000000000000000000000000000000000000cc' }],
    ['network', { network: 'eip155:8453' }],
    ['amount, payer', { amount: '0', payer: 'somebody' }],
  ])('is detected by its %s', (names, fields) => {
    expect(receiptMismatch({ ...blank, ...fields }, uncertain)).toBe(
      `the receipt differs from what was signed in: ${names}`,
    )
  })
})
