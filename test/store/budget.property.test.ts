/** The money rules as one property over every interleaving and every clock, in both stores step by step. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import {
  claimOn,
  claimsFor,
  counted,
  fits,
  moveTotals,
  NO_TOTALS,
  type BudgetRule,
  type Claim,
  type Spend,
  type Totals,
} from '../../src/core/budget/budget.ts'
import type { Charge } from '../../src/core/charge/charge.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { IS_POSTGRES, keptStore } from './each-store.ts'
import type { Connection } from '../../src/io/store/sqlite/file/file.ts'
import type { Store } from '../../src/io/store/store.ts'
import { instance, LEASE_MS, signed, terms } from './samples.ts'

const SECOND = 1000
const HOUR = 3_600_000

/** Nested scopes and every kind of window; limits that a few charges fill. */
const RULES: readonly BudgetRule[] = [
  { name: 'all', limit: 60n, window: 'day', timezone: 'Europe/Berlin', soft: 30n },
  { name: 'month', limit: 120n, window: 'month', timezone: 'UTC' },
  { name: 'ever', limit: 200n, window: 'lifetime', timezone: 'UTC' },
  { name: 'hours', limit: 50n, window: 'rolling', lengthMs: 24 * HOUR, timezone: 'UTC' },
  { name: 'minute', limit: 25n, window: 'rolling', lengthMs: 60 * SECOND, timezone: 'UTC', soft: 20n },
  { name: 'caller', per: 'caller', limit: 40n, window: 'hour', timezone: 'UTC' },
  {
    name: 'caller-week',
    per: 'caller',
    limit: 60n,
    window: 'rolling',
    lengthMs: 168 * HOUR,
    timezone: 'UTC',
  },
  { name: 'tag', per: 'tag', limit: 35n, window: 'day', timezone: 'America/New_York' },
  { name: 'tag-hours', per: 'tag', limit: 30n, window: 'rolling', lengthMs: 6 * HOUR, timezone: 'UTC' },
  { name: 'obol', asset: { symbol: 'OBOL', decimals: 18 }, limit: 150n, window: 'day', timezone: 'UTC' },
  { name: 'watch', limit: 20n, window: 'rolling', lengthMs: HOUR, timezone: 'UTC', enforce: false },
]

/** The night of a clock change in Berlin, minutes before both happen: midnight there and the end of summer time. */
const START = Date.parse('2026-10-24T21:50:00.000Z')
const MAX_CHARGES = 1000

type Step =
  | {
      readonly kind: 'reserve'
      readonly amount: bigint
      readonly caller: string
      readonly tags: readonly string[]
      readonly symbol: 'USDC' | 'OBOL'
      readonly pin: boolean
    }
  | { readonly kind: 'authorize'; readonly charge: number; readonly nonce: number }
  | { readonly kind: 'settle'; readonly charge: number; readonly proof: 'receipt' | 'assumed' | 'chain' }
  | { readonly kind: 'uncertain' | 'release'; readonly charge: number }
  | { readonly kind: 'retire'; readonly instance: 0 | 1 }

const which = fc.nat({ max: 1000 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      amount: fc.bigInt({ min: 0n, max: 19n }),
      caller: fc.constantFrom('openclaw', 'ci'),
      tags: fc.subarray(['agent:main', 'team:a', 'other']),
      symbol: fc.constantFrom('USDC', 'USDC', 'OBOL'),
      pin: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('authorize' as const), charge: which, nonce: which }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      charge: which,
      proof: fc.constantFrom('receipt', 'assumed', 'chain'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('uncertain', 'release'), charge: which }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('retire' as const), instance: fc.constantFrom(0, 1) }),
  },
)

/** How the clock moves: mostly on, sometimes far, and now and then backward. */
const tick = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 40 * SECOND }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom(60 * SECOND, HOUR, 6 * HOUR, 24 * HOUR, 24 * HOUR - 1, 168 * HOUR),
  },
  { weight: 2, arbitrary: fc.integer({ min: -30 * HOUR, max: 30 * HOUR }) },
)

/** Steps asked for in the same turn: the SQLite store commits each such group at once. */
const rounds = fc.array(fc.record({ tick, steps: fc.array(step, { minLength: 1, maxLength: 8 }) }), {
  minLength: 8,
  maxLength: 25,
})

interface Numbered {
  readonly step: Step
  /** The charge the step makes or picks. */
  readonly charge: number
}

/** Reserved charges are numbered over the whole run, so that both stores see the same ids. */
function number(groups: readonly (readonly Step[])[]): Numbered[][] {
  let next = 0
  return groups.map((group) =>
    group.map((one) => {
      if (one.kind === 'reserve') return { step: one, charge: next++ }
      if (one.kind === 'retire') return { step: one, charge: 0 }
      // One past the newest now and then: a charge that does not exist.
      return { step: one, charge: one.charge % (next + 1) }
    }),
  )
}

function spendOf(one: Extract<Step, { kind: 'reserve' }>): Spend {
  const { caller, tags, symbol, amount } = one
  const money = symbol === 'OBOL' ? { amount: amount * 7n, microUsd: amount } : { amount, microUsd: amount }
  return {
    caller,
    tags,
    symbol,
    ...money,
    route: 'paid/*',
    payer: 'base',
    seller: 'https://seller.example.com',
  }
}

const instanceOf = (charge: number): string => `ins_${charge % 2}`
const payToOf = (charge: number): string => `0x${charge % 3}`

async function apply(
  store: Store,
  rules: readonly BudgetRule[],
  { step: one, charge }: Numbered,
  now: number,
): Promise<unknown> {
  const { id } = terms(charge)
  switch (one.kind) {
    case 'reserve': {
      const spend = spendOf(one)
      const of = terms(charge, {
        instance: instanceOf(charge),
        payTo: payToOf(charge),
        caller: one.caller,
        symbol: one.symbol,
        amount: spend.amount,
        microUsd: spend.microUsd,
        reservedAt: now,
        leaseUntil: now + LEASE_MS,
      })
      return await store.reserve(of, claimsFor(rules, spend, now), one.pin)
    }
    case 'authorize':
      return await store.authorize(id, signed(one.nonce), now)
    case 'settle':
      return await store.move(id, { to: 'settled', at: now, reason: 'receipt', proof: one.proof })
    case 'uncertain':
      return await store.move(id, { to: 'uncertain', at: now, reason: 'timeout' })
    case 'release':
      return await store.move(id, { to: 'released', at: now, reason: 'chain' })
    case 'retire':
      return await store.retire(`ins_${one.instance}`, now, 'instance_dead')
    default:
      return one satisfies never
  }
}

/** Outcomes as plain data: two stores must fail alike too. */
async function applyAll(
  store: Store,
  rules: readonly BudgetRule[],
  group: readonly Numbered[],
  now: number,
): Promise<unknown[]> {
  const results = []
  // Postgres orders what comes at once as it likes: what holds then is tested for itself (test/postgres/at-once.postgres.ts).
  for (const chunk of IS_POSTGRES ? group.map((one) => [one]) : [group]) {
    results.push(...(await Promise.allSettled(chunk.map((one) => apply(store, rules, one, now)))))
  }
  return results.map((result) =>
    result.status === 'fulfilled'
      ? result.value
      : result.reason instanceof Error
        ? [result.reason.name, result.reason.message]
        : result.reason,
  )
}

/** A claim that was asked for, and the charge it was asked for. */
interface Asked {
  readonly charge: string
  readonly claim: Claim
}

/** The sums of some claims, by the states their charges are in; what was refused has no charge. */
function sumOf(asked: readonly Asked[], charges: ReadonlyMap<string, Charge>): Totals {
  return asked.reduce((sums, { charge, claim }) => {
    const state = charges.get(charge)?.state
    return state === undefined ? sums : moveTotals(sums, undefined, state, claim.amount)
  }, NO_TOTALS)
}

/** What counts against a claim, charge by charge. */
function against(claim: Claim, asked: readonly Asked[], charges: ReadonlyMap<string, Charge>): Totals {
  const mine = asked.filter((one) => one.claim.budget === claim.budget && one.claim.subject === claim.subject)
  const { windowStart, lengthMs = 0 } = claim
  return sumOf(
    claim.window === 'rolling'
      ? mine.filter((one) => one.claim.windowStart > windowStart - lengthMs)
      : mine.filter((one) => one.claim.windowStart === windowStart),
    charges,
  )
}

/** The claim whose window ends with this one; of a rolling window nothing that came later counts in it. */
function overrun(claim: Claim, asked: readonly Asked[], charges: ReadonlyMap<string, Charge>): boolean {
  const until = claim.window === 'rolling' ? claim.windowStart : Number.MAX_SAFE_INTEGER
  const before = asked.filter((one) => one.claim.windowStart <= until)
  return counted(against(claim, before, charges)) > claim.limit
}

/** A connection that does not wait for the disk: this is about sums, and hundreds of ledgers are made here. */
function withoutSync(path: string): Connection {
  const db = new DatabaseSync(path)
  return {
    exec: (sql) => db.exec(sql.replace('synchronous = FULL', 'synchronous = OFF')),
    prepare: (sql) => db.prepare(sql),
    close: () => db.close(),
    get isTransaction() {
      return db.isTransaction
    },
  }
}

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-property-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('rule 2: no interleaving and no clock overruns a budget, the sums are those of the charges, and both stores agree', async () => {
  let run = 0
  const states = new Set<string>()
  const refused = new Set<string>()
  const told = new Set<string>()
  await fc.assert(
    fc.asyncProperty(
      fc.subarray([...RULES], { minLength: 1, maxLength: 4 }),
      rounds,
      async (rules, groups) => {
        const memory = memoryStore()
        const sqlite = await keptStore(join(directory, `${run++}.db`), withoutSync)
        const asked: Asked[] = []
        let now = START
        try {
          for (const store of [memory, sqlite]) {
            for (const n of [0, 1]) await store.register(instance(`ins_${n}`))
          }
          const numbered = number(groups.map(({ steps }) => steps))
          for (const [index, group] of numbered.entries()) {
            now += groups[index]?.tick ?? 0
            for (const { step: one, charge } of group) {
              if (one.kind !== 'reserve') continue
              const claims = claimsFor(rules, spendOf(one), now)
              asked.push(...claims.map((claim) => ({ charge: terms(charge).id, claim })))
            }
            const outcomes = await applyAll(memory, rules, group, now)
            same(await applyAll(sqlite, rules, group, now), outcomes)
            for (const outcome of outcomes) noteOutcome(outcome, refused, told)

            const listed = await memory.charges({ limit: MAX_CHARGES })
            same(await sqlite.charges({ limit: MAX_CHARGES }), listed)
            same(await sqlite.windows(0), await memory.windows(0))
            same(await sqlite.pins(), await memory.pins())
            same(await sqlite.instances(), await memory.instances())

            const charges = new Map(listed.map((charge) => [charge.id, charge]))
            for (const { state } of listed) states.add(state)
            // In every window that was ever charged, whatever the clock says now.
            const overruns = asked.filter(
              ({ charge, claim }) =>
                claim.enforce !== false && charges.has(charge) && overrun(claim, asked, charges),
            )
            expect(overruns.map(({ claim }) => `${claim.budget} of ${claim.subject}`)).toEqual([])
            for (const rule of rules) {
              const whole = claimOn(rule, '*', 0n, now)
              const subjects = await memory.subjects(whole)
              same(await sqlite.subjects(whole), subjects)
              for (const subject of rule.per === undefined ? ['*'] : subjects.map((one) => one.subject)) {
                const claim = claimOn(rule, subject, 9n, now)
                const expected = against(claim, asked, charges)
                for (const store of [memory, sqlite]) same(await store.totals([claim]), [expected])
                expect(Object.values(expected).filter((sum) => sum < 0n)).toEqual([])
                await expectFreeAt([memory, sqlite], claim, asked, charges)
              }
            }
            const nonces = listed.flatMap((charge) => charge.authorization?.nonce ?? [])
            expect(new Set(nonces).size).toBe(nonces.length)
          }
        } finally {
          await sqlite.close()
        }
      },
    ),
    { numRuns: 60 },
  )
  // The property is worth nothing when the steps never get anywhere.
  expect([...states].toSorted()).toEqual(['authorized', 'held', 'released', 'settled', 'uncertain'])
  expect(refused.size).toBeGreaterThan(3)
  expect(told).toEqual(new Set(['soft', 'would_refuse']))
})

/** As `toEqual`, which takes many times as long: it is asked only about what is not equal at first sight. */
function same(actual: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual).toEqual(expected)
}

function noteOutcome(outcome: unknown, refused: Set<string>, told: Set<string>): void {
  if (typeof outcome !== 'object' || outcome === null) return
  const { claim, notices } = outcome as { claim?: Claim; notices?: { kind: string }[] }
  if (claim) refused.add(claim.budget)
  for (const { kind } of notices ?? []) told.add(kind)
}

/** At the instant that is told a claim fits by age alone, and a millisecond earlier it does not. */
async function expectFreeAt(
  stores: readonly Store[],
  claim: Claim,
  asked: readonly Asked[],
  charges: ReadonlyMap<string, Charge>,
): Promise<void> {
  const [freeAt, other] = await Promise.all(stores.map(async (store) => await store.freeAt(claim)))
  expect(other).toBe(freeAt)
  if (claim.window !== 'rolling') return expect(freeAt).toBeUndefined()
  expect(freeAt).toBeGreaterThanOrEqual(claim.windowStart)
  const fitsAt = (at: number): boolean =>
    fits(against({ ...claim, windowStart: at }, asked, charges), { ...claim, windowStart: at })
  expect(fitsAt(freeAt ?? 0)).toBe(true)
  if (freeAt !== claim.windowStart) expect(fitsAt((freeAt ?? 0) - 1)).toBe(false)
}
