/** A budget per value of an open tag: clients make up as many values as they like, and none of them gets its money back by that. */
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { claimsFor, type BudgetRule, type Claim } from '../../src/core/budget/budget.ts'
import { onEachStore } from './each-store.ts'
import { NOW, terms } from './samples.ts'

const RULE: BudgetRule = { name: 'sessions', per: 'tag.session', limit: 100n, window: 'day', timezone: 'UTC' }
/** One more than the issue asks to be exact. */
const FLOOD = 10_001
const AT_ONCE = 2_000

function claimOf(session: string, amount: bigint): Claim {
  const [claim] = claimsFor(
    [RULE],
    { ...terms(1), amount, microUsd: amount, tags: [`session:${session}`] },
    NOW,
  )
  if (!claim) throw new Error('the budget does not match')
  return claim
}

onEachStore('open tags', (store) => {
  test('rule 2: a flood of 10,001 new sessions gives no session one unit back, and lists stay bounded', async () => {
    let serial = 0
    const reserve = async (claims: readonly Claim[]): Promise<boolean> =>
      (await store().reserve(terms((serial += 1)), claims, false)).ok
    const spent = fc.sample(fc.bigInt({ min: 1n, max: 100n }), 20)
    for (const [n, amount] of spent.entries())
      expect(await reserve([claimOf(`early-${n}`, amount)])).toBe(true)
    const flood = Array.from({ length: FLOOD }, (_, n) => claimOf(`flood-${n}`, 1n))
    for (let at = 0; at < FLOOD; at += AT_ONCE)
      expect(await reserve(flood.slice(at, at + AT_ONCE))).toBe(true)
    for (const [n, amount] of spent.entries()) {
      expect(await reserve([claimOf(`early-${n}`, 101n - amount)])).toBe(false)
      if (amount < 100n) expect(await reserve([claimOf(`early-${n}`, 100n - amount)])).toBe(true)
    }
    const [first, last] = await store().totals([claimOf('flood-0', 0n), claimOf(`flood-${FLOOD - 1}`, 0n)])
    expect([first?.held, last?.held]).toEqual([1n, 1n])
    const listed = await store().subjects(claimOf('any', 0n))
    expect(listed.length).toBe(1_000)
    // Those with most are among them.
    expect(listed.filter(({ subject }) => subject.includes('early-'))).toHaveLength(spent.length)
  })
})
