/** The money rules as one property over every interleaving, in both stores step by step. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { counted, moveTotals, NO_TOTALS, type Claim } from '../../src/core/budget.ts'
import { memoryStore } from '../../src/io/store/memory.ts'
import { openSqliteStore } from '../../src/io/store/sqlite.ts'
import type { Store } from '../../src/io/store/store.ts'
import { claim, instance, NOW, signed, terms } from './samples.ts'

/** Three budgets with limits that a few charges fill; two share a name and differ in the window. */
const BUDGETS: readonly Claim[] = [
  claim(0n, 40n),
  claim(0n, 100n, { window: 'month', windowStart: 0 }),
  claim(0n, 25n, { budget: 'per-caller', subject: 'openclaw' }),
]
const MAX_CHARGES = 1000

type Step =
  | {
      readonly kind: 'reserve'
      readonly amount: bigint
      readonly budgets: readonly number[]
      readonly pin: boolean
    }
  | { readonly kind: 'authorize'; readonly charge: number; readonly nonce: number; readonly late: boolean }
  | { readonly kind: 'settle'; readonly charge: number; readonly proof: 'receipt' | 'assumed' | 'chain' }
  | { readonly kind: 'uncertain' | 'release'; readonly charge: number }
  | { readonly kind: 'retire'; readonly instance: 0 | 1 }

const which = fc.nat({ max: 1000 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('reserve' as const),
      amount: fc.bigInt({ min: 0n, max: 15n }),
      budgets: fc.subarray([0, 1, 2, 2]),
      pin: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('authorize' as const),
      charge: which,
      nonce: which,
      late: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    }),
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

/** Steps asked for in the same turn: the SQLite store commits each such group at once. */
const rounds = fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { minLength: 5, maxLength: 20 })

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

function claimsOf(one: Extract<Step, { kind: 'reserve' }>): Claim[] {
  return one.budgets.flatMap((index) => {
    const budget = BUDGETS[index]
    return budget ? [{ ...budget, amount: one.amount }] : []
  })
}

const instanceOf = (charge: number): string => `ins_${charge % 2}`
const payToOf = (charge: number): string => `0x${charge % 3}`

async function apply(store: Store, { step: one, charge }: Numbered): Promise<unknown> {
  const { id } = terms(charge)
  switch (one.kind) {
    case 'reserve': {
      const changes = { instance: instanceOf(charge), payTo: payToOf(charge) }
      return await store.reserve(terms(charge, changes), claimsOf(one), one.pin)
    }
    case 'authorize':
      return await store.authorize(id, signed(one.nonce), one.late ? NOW + 3_600_000 : NOW)
    case 'settle':
      return await store.move(id, { to: 'settled', at: NOW, reason: 'receipt', proof: one.proof })
    case 'uncertain':
      return await store.move(id, { to: 'uncertain', at: NOW, reason: 'timeout' })
    case 'release':
      return await store.move(id, { to: 'released', at: NOW, reason: 'chain' })
    case 'retire':
      return await store.retire(`ins_${one.instance}`, NOW, 'instance_dead')
    default:
      return one satisfies never
  }
}

/** Outcomes as plain data: two stores must fail alike too. */
async function applyAll(store: Store, group: readonly Numbered[]): Promise<unknown[]> {
  const results = await Promise.allSettled(group.map((one) => apply(store, one)))
  return results.map((result) =>
    result.status === 'fulfilled'
      ? result.value
      : result.reason instanceof Error
        ? [result.reason.name, result.reason.message]
        : result.reason,
  )
}

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-property-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

test('no interleaving overruns a budget, the sums are those of the charges, and both stores agree', async () => {
  let run = 0
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(rounds, async (groups) => {
      const memory = memoryStore()
      const sqlite = openSqliteStore({ path: join(directory, `${run++}.db`) })
      const claims = new Map<string, readonly Claim[]>()
      try {
        for (const store of [memory, sqlite]) {
          for (const n of [0, 1]) await store.register(instance(`ins_${n}`))
        }
        for (const group of number(groups)) {
          for (const { step: one, charge } of group) {
            if (one.kind === 'reserve') claims.set(terms(charge).id, claimsOf(one))
          }
          const outcomes = await applyAll(memory, group)
          expect(await applyAll(sqlite, group)).toEqual(outcomes)

          const charges = await memory.charges({ limit: MAX_CHARGES })
          expect(await sqlite.charges({ limit: MAX_CHARGES })).toEqual(charges)
          const totals = await memory.totals(BUDGETS)
          expect(await sqlite.totals(BUDGETS)).toEqual(totals)
          expect(await sqlite.windows(0)).toEqual(await memory.windows(0))
          expect(await sqlite.pins()).toEqual(await memory.pins())
          expect(await sqlite.instances()).toEqual(await memory.instances())

          for (const [index, budget] of BUDGETS.entries()) {
            const held = totals[index] ?? NO_TOTALS
            expect(counted(held) <= budget.limit).toBe(true)
            for (const sum of Object.values(held)) expect(sum >= 0n).toBe(true)
            expect(held).toEqual(
              charges.reduce((sums, charge) => {
                seen.add(charge.state)
                const mine = claims.get(charge.id)?.filter((one) => sameWindow(one, budget)) ?? []
                return mine.reduce((sum, one) => moveTotals(sum, undefined, charge.state, one.amount), sums)
              }, NO_TOTALS),
            )
          }
          const nonces = charges.flatMap((charge) => charge.authorization?.nonce ?? [])
          expect(new Set(nonces).size).toBe(nonces.length)
        }
      } finally {
        await sqlite.close()
      }
    }),
    { numRuns: 60 },
  )
  // The property is worth nothing when the steps never get anywhere.
  expect([...seen].toSorted()).toEqual(['authorized', 'held', 'released', 'settled', 'uncertain'])
})

function sameWindow(a: Claim, b: Claim): boolean {
  return (
    a.budget === b.budget &&
    a.subject === b.subject &&
    a.window === b.window &&
    a.windowStart === b.windowStart
  )
}
