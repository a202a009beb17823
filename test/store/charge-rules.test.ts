/** The stores' shared rules, without a store: each boundary by itself. */
import { describe, expect, test } from 'vitest'
import type { Totals } from '../../src/core/budget/budget.ts'
import { NO_TOTALS } from '../../src/core/budget/budget.ts'
import { IllegalMoveError, type Charge, type Proof } from '../../src/core/charge/charge.ts'
import { METERED_NETWORK } from '../../src/core/charge/metered.ts'
import {
  authorizedCharge,
  heldCharge,
  isLongValid,
  movedCharge,
  moveShares,
  queryLimit,
  refuseAuthorize,
  retiredCharge,
  sharesAfter,
  sharesOf,
  sharesOfTokens,
  takeClaims,
  takenOverCharge,
  windowId,
  type Share,
  type TotalsReader,
} from '../../src/io/store/rules/charge-rules.ts'
import { claim, NOW, signed, terms } from './samples.ts'

const held = heldCharge(terms(1))
const authorized = authorizedCharge(held, signed(1), NOW + 1)
const upto = authorizedCharge(held, signed(1, { scheme: 'upto' }), NOW + 1)
const metered = authorizedCharge(
  heldCharge(terms(1, { network: METERED_NETWORK })),
  signed(1, { from: METERED_NETWORK }),
  NOW + 1,
)
const settle = (charge: Charge, proof: Proof | undefined, charged?: bigint): Charge =>
  movedCharge(charge, {
    to: 'settled',
    at: NOW + 2,
    reason: 'test',
    ...(proof === undefined ? {} : { proof }),
    ...(charged === undefined ? {} : { charged }),
  })

/** Sums by window, as a store keeps them. */
function reader(sums: ReadonlyMap<string, Totals> = new Map()): TotalsReader {
  return {
    at: (key) => sums.get(windowId(key)),
    against: (one) => sums.get(windowId(one)) ?? NO_TOTALS,
    keysOf: (share) => [share],
  }
}

describe('what may be charged less than was signed', () => {
  test.each([0n, 1n, 22_999n, 23_000n])('rule 4: an upto payment, by the chain: %s of 23,000', (charged) => {
    expect(settle(upto, 'chain', charged)).toMatchObject({ state: 'settled', charged })
  })

  test.each([
    ['more than was signed', upto, 'chain', 23_001n],
    ['less than nothing', upto, 'chain', -1n],
    ['on the word of a receipt', upto, 'receipt', 1n],
    ['on no word at all', upto, 'assumed', 1n],
    ['of an exact payment', authorized, 'chain', 1n],
    ['of a metered call that nobody reported', metered, 'assumed', 1n],
    ['of a metered call, less than nothing', metered, 'receipt', -1n],
    ['of a metered call, by a chain', metered, 'chain', 1n],
  ] as const)('rule 4: nothing else: %s', (_name, charge, proof, charged) => {
    expect(() => settle(charge, proof, charged)).toThrow('the chain does not prove it')
  })

  test('rule 4: a release charges nothing, whatever the proof', () => {
    for (const charge of [upto, metered]) {
      expect(() =>
        movedCharge(charge, { to: 'released', at: NOW, reason: 'test', proof: 'receipt', charged: 1n }),
      ).toThrow('the chain does not prove it')
    }
  })

  test.each([0n, 1n, 30_000n])('a metered call costs what its usage says, here %s', (charged) => {
    expect(settle(metered, 'receipt', charged)).toMatchObject({ state: 'settled', charged })
  })
})

describe('moves', () => {
  const settledBy = (proof: Proof): Charge => settle(authorized, proof)

  test.each([
    ['assumed', 'assumed', false],
    ['assumed', 'receipt', true],
    ['assumed', 'chain', true],
    ['receipt', 'assumed', false],
    ['receipt', 'receipt', false],
    ['receipt', 'chain', true],
    ['chain', 'assumed', false],
    ['chain', 'receipt', false],
    ['chain', 'chain', false],
  ] as const)('rule 4: a charge settled by %s is settled again by %s: %s', (before, after, may) => {
    if (may) expect(settle(settledBy(before), after).proof).toBe(after)
    else expect(() => settle(settledBy(before), after)).toThrow(IllegalMoveError)
  })

  test('rule 4: only what was assumed is released again, and nothing that was released is settled', () => {
    const release = (charge: Charge): Charge =>
      movedCharge(charge, { to: 'released', at: NOW, reason: 'test' })
    expect(release(settledBy('assumed')).state).toBe('released')
    for (const proof of ['receipt', 'chain'] as const)
      expect(() => release(settledBy(proof))).toThrow(IllegalMoveError)
    expect(() => settle(release(held), 'chain')).toThrow(IllegalMoveError)
  })

  test('keep what was charged where a later proof says nothing of it', () => {
    const first = settle(metered, 'receipt', 5n)
    expect(settle(first, 'chain').charged).toBe(5n)
  })

  test('rule 4: nothing is settled without a proof', () => {
    expect(() => settle(authorized, undefined)).toThrow('without a proof')
  })

  test('rule 3: no move makes a charge authorized: only the record of its nonce does', () => {
    expect(() => movedCharge(held, { to: 'authorized', at: NOW, reason: 'test' })).toThrow(IllegalMoveError)
  })

  test('keep the transaction where none comes, and the last one else', () => {
    const first = movedCharge(authorized, { to: 'uncertain', at: NOW, reason: 'test', transaction: '0x1' })
    expect(first.transaction).toBe('0x1')
    expect(settle(first, 'receipt').transaction).toBe('0x1')
    const second = movedCharge(first, {
      to: 'settled',
      at: NOW,
      reason: 'test',
      proof: 'chain',
      transaction: '0x2',
    })
    expect(second.transaction).toBe('0x2')
  })

  test('of a dead process: signed is uncertain, unsigned is released, metered counts in full, the rest stays', () => {
    expect(retiredCharge(authorized, NOW, 'dead')).toMatchObject({ state: 'uncertain', reason: 'dead' })
    expect(retiredCharge(held, NOW, 'dead')).toMatchObject({ state: 'released', reason: 'dead' })
    expect(retiredCharge(metered, NOW, 'dead')).toMatchObject({ state: 'settled', proof: 'assumed' })
    expect(retiredCharge(settle(metered, 'assumed'), NOW, 'dead')).toBeUndefined()
    expect(retiredCharge(settle(authorized, 'receipt'), NOW, 'dead')).toBeUndefined()
    const heldMetered = heldCharge(terms(1, { network: METERED_NETWORK }))
    expect(retiredCharge(heldMetered, NOW, 'dead')).toMatchObject({ state: 'released' })
  })

  test('of a hand-over that came back: released, and without the nonce that the other charge has now', () => {
    expect(takenOverCharge(authorized, NOW)).toMatchObject({
      state: 'released',
      authorization: undefined,
      reason: 'taken_over',
    })
  })
})

describe('an authorization', () => {
  test('rule 2: is refused from the instant the lease ends, and for all but a held charge', () => {
    expect(refuseAuthorize(held, held.leaseUntil - 1)).toBeUndefined()
    expect(refuseAuthorize(held, held.leaseUntil)).toBe('lease_expired')
    expect(refuseAuthorize(authorized, NOW)).toBe('not_held')
  })

  test('is kept with nonce and address in one spelling', () => {
    const record = signed(1, { nonce: `0x${'AB'.repeat(32)}`, from: `0x${'CD'.repeat(20)}` })
    const { authorization, state } = authorizedCharge(held, record, NOW)
    expect(state).toBe('authorized')
    expect(authorization?.nonce).toBe(`0x${'ab'.repeat(32)}`)
    expect(authorization?.from).toBe(`0x${'cd'.repeat(20)}`)
  })

  test('is long valid when it outlives its reservation by more than a day, and has not expired', () => {
    const reservedAt = Math.floor(NOW / 1000) * 1000
    const day = reservedAt / 1000 + 86_400
    const until = (validBefore: number): Charge => ({
      ...authorizedCharge(heldCharge(terms(1, { reservedAt })), signed(1, { validBefore }), NOW),
    })
    expect(isLongValid(until(day), 0)).toBe(false)
    expect(isLongValid(until(day + 1), 0)).toBe(true)
    expect(isLongValid(until(day + 1), day + 1)).toBe(true)
    expect(isLongValid(until(day + 1), day + 2)).toBe(false)
    expect(isLongValid(held, 0)).toBe(false)
    const early = heldCharge(terms(1, { reservedAt: reservedAt - 1 }))
    expect(isLongValid(authorizedCharge(early, signed(1, { validBefore: day }), NOW), 0)).toBe(true)
  })
})

describe('claims', () => {
  test('rule 2: one atomic unit over the limit is refused, in the order in which they are checked', () => {
    expect(takeClaims([claim(10n, 10n)], reader())).toMatchObject({ ok: true })
    const refused = takeClaims([claim(10n, 10n), claim(2n, 1n, { budget: 'second' })], reader())
    expect(refused).toMatchObject({ ok: false, claim: { budget: 'second' } })
  })

  test('rule 2: two claims on one window are added up', () => {
    expect(takeClaims([claim(5n, 10n), claim(5n, 10n)], reader())).toMatchObject({ ok: true })
    expect(takeClaims([claim(5n, 10n), claim(6n, 10n)], reader())).toMatchObject({ ok: false })
  })

  test('a claim of nothing is one, and a negative one never', () => {
    expect(takeClaims([claim(0n, 0n)], reader())).toMatchObject({ ok: true })
    expect(() => takeClaims([claim(-1n, 10n)], reader())).toThrow(RangeError)
  })

  test('tell what passed a soft limit, and what a limit that is not enforced would have refused', () => {
    const passed = (one: ReturnType<typeof claim>): string[] => {
      const taken = takeClaims([one], reader())
      return taken.ok ? taken.passed.map(({ kind }) => kind) : ['refused']
    }
    expect(passed(claim(5n, 10n, { soft: 5n }))).toEqual([])
    expect(passed(claim(6n, 10n, { soft: 5n }))).toEqual(['soft'])
    expect(passed(claim(11n, 10n, { enforce: false }))).toEqual(['would_refuse'])
    expect(passed(claim(11n, 10n, { enforce: true }))).toEqual(['refused'])
    expect(passed(claim(11n, 10n))).toEqual(['refused'])
  })
})

describe('shares', () => {
  const shares = sharesOf([claim(23_000n, 100_000n), claim(7n, 10n, { budget: 'micro' })])
  const counting = sharesOf([
    claim(23_000n, 100_000n),
    claim(50n, 100n, { budget: 'tokens', asset: { symbol: 'tokens', decimals: 0, counts: 'tokens' } }),
    claim(1n, 9n, { budget: 'requests', asset: { symbol: 'requests', decimals: 0, counts: 'requests' } }),
  ])

  test('of money are lowered in proportion, rounded up; tokens and requests are not', () => {
    const after = settle(upto, 'chain', 11_500n)
    expect(sharesAfter(shares, upto, after).map(({ amount }) => amount)).toEqual([11_500n, 4n])
    expect(sharesAfter(counting, upto, after).map(({ amount }) => amount)).toEqual([11_500n, 50n, 1n])
  })

  test('stay the same list where nothing was charged, or the same as before', () => {
    expect(sharesAfter(shares, upto, settle(upto, 'receipt'))).toBe(shares)
    const once = settle(upto, 'chain', 5n)
    expect(sharesAfter(shares, once, once)).toBe(shares)
  })

  test('of tokens are what the answer tells, whole and never negative; others stay', () => {
    const amounts = (tokens: number): bigint[] => sharesOfTokens(counting, tokens).map(({ amount }) => amount)
    expect(amounts(70)).toEqual([23_000n, 70n, 1n])
    expect(amounts(0)).toEqual([23_000n, 0n, 1n])
    expect(amounts(1.9)).toEqual([23_000n, 1n, 1n])
    expect(amounts(-5)).toEqual([23_000n, 0n, 1n])
    expect(sharesOfTokens(counting, 50)).toBe(counting)
    expect(sharesOfTokens(shares, 70)).toBe(shares)
  })

  test('rule 2: a window whose sums are missing is no empty one, but for a new reservation', () => {
    const [share] = shares as [Share, ...Share[]]
    expect(moveShares([share], undefined, 'held', reader())).toHaveLength(1)
    expect(() => moveShares([share], 'held', 'released', reader())).toThrow('are missing')
  })

  test('move once per window, and not at all where state and shares stay', () => {
    const [share] = shares as [Share, ...Share[]]
    const sums = new Map([[windowId(share), { ...NO_TOTALS, held: 46_000n }]])
    const [change, ...more] = moveShares([share, share], 'held', 'released', reader(sums))
    expect(more).toEqual([])
    expect(change?.totals.held).toBe(0n)
    expect(moveShares([share], 'held', 'held', reader(sums))).toEqual([])
    const lowered = { ...share, amount: 1n }
    const spent = new Map([[windowId(share), { ...NO_TOTALS, spent: 23_000n }]])
    const [less] = moveShares([share], 'settled', 'settled', reader(spent), [lowered])
    expect(less?.totals.spent).toBe(1n)
  })
})

test('a query asks for 100 charges, or a whole number up to 1,000', () => {
  expect(queryLimit(undefined)).toBe(100)
  expect(queryLimit({})).toBe(100)
  expect(queryLimit({ limit: 0 })).toBe(0)
  expect(queryLimit({ limit: 1000 })).toBe(1000)
  expect(queryLimit({ limit: 1001 })).toBe(1000)
  expect(() => queryLimit({ limit: -1 })).toThrow(RangeError)
  expect(() => queryLimit({ limit: 1.5 })).toThrow(RangeError)
})
