/** Random configurations of nested, matched and per-subject budgets under random traffic and reloads, in both stores. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import * as fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { budgetsOption, type PlainBudget } from '../../middleware/http/options/budget-option.ts'
import { claimsFor, type Spend } from '../../src/core/budget/budget.ts'
import { parseScope } from '../../src/core/budget/scope.ts'
import { formatUsd } from '../../src/core/money/money.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { keptStore } from './each-store.ts'
import type { Connection } from '../../src/io/store/sqlite/file/file.ts'
import type { Store } from '../../src/io/store/store.ts'
import { NOW, signed, terms } from './samples.ts'

type Unit = 'usd' | 'tokens' | 'requests'

/** A budget as plain data, which the reference below reads by itself. */
interface Plain {
  readonly per: 'none' | 'caller' | 'team' | 'tag.session'
  readonly unit: Unit
  readonly limit: number
  /** Limits of callers by name or prefix; only per caller, in USD. */
  readonly named: Readonly<Record<string, number>> | undefined
  /** Whether callers that are not named have the limit above, or none. */
  readonly others: boolean
  readonly match: { readonly caller?: string; readonly model?: string; readonly agent?: string }
}

interface Call {
  readonly kind: 'call'
  readonly caller: string
  readonly model: string
  readonly session: string | undefined
  readonly agent: string
  readonly microUsd: number
  readonly tokens: number
}

type Step =
  | Call
  | { readonly kind: 'settle' | 'release'; readonly charge: number }
  | { readonly kind: 'used'; readonly charge: number; readonly share: number }
  | { readonly kind: 'reload'; readonly budgets: readonly Plain[] }

const TEAM: Readonly<Record<string, string>> = { ci: 'search', 'prod-1': 'shop', 'prod-2': 'shop' }
const callers = fc.constantFrom('ci', 'prod-1', 'prod-2', 'guest')

const budget: fc.Arbitrary<Plain> = fc.record({
  per: fc.constantFrom('none', 'caller', 'team', 'tag.session'),
  unit: fc.constantFrom('usd', 'usd', 'tokens', 'requests'),
  limit: fc.nat({ max: 40 }),
  named: fc.option(fc.record({ ci: fc.nat({ max: 40 }), 'prod-*': fc.nat({ max: 40 }) }), { nil: undefined }),
  others: fc.boolean(),
  match: fc.record(
    {
      caller: fc.constantFrom('ci', 'prod-*'),
      model: fc.constantFrom('paid/opus', 'paid/*'),
      agent: fc.constantFrom('main', 'm*'),
    },
    { requiredKeys: [] },
  ),
})
const configuration = fc.array(budget, { minLength: 1, maxLength: 5 })
const which = fc.nat({ max: 500 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('call' as const),
      caller: callers,
      model: fc.constantFrom('paid/opus', 'paid/haiku', 'free'),
      session: fc.constantFrom('s1', 's2', undefined),
      agent: fc.constantFrom('main', 'minor', 'other'),
      microUsd: fc.nat({ max: 15 }),
      tokens: fc.nat({ max: 15 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('settle', 'release'), charge: which }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('used' as const), charge: which, share: fc.nat({ max: 15 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reload' as const), budgets: configuration }) },
)

/** What a budget counts stays with its name, as the documentation asks; limits and matches change. */
const nameOf = ({ per, unit }: Plain, at: number): string => `${per.replace('.', '_')}-${unit}-${at}`

const isNamed = ({ named, per, unit }: Plain): boolean =>
  named !== undefined && per === 'caller' && unit === 'usd'

function written(plain: Plain, at: number): PlainBudget {
  const { per, unit, limit, named, others, match } = plain
  const usd = (micro: number): string => formatUsd(BigInt(micro))
  const limits = isNamed(plain)
    ? {
        limits: {
          ...Object.fromEntries(Object.entries(named ?? {}).map(([name, micro]) => [name, usd(micro)])),
          ...(others ? { default: usd(limit) } : {}),
        },
      }
    : {}
  return {
    name: nameOf(plain, at),
    window: 'lifetime',
    per: parseScope(per),
    ...(unit === 'tokens' ? { limitTokens: limit } : {}),
    ...(unit === 'requests' ? { limitRequests: limit } : {}),
    ...(unit === 'usd' && !isNamed(plain) ? { limitUsd: usd(limit) } : {}),
    ...limits,
    match: {
      ...(match.caller === undefined ? {} : { caller: match.caller }),
      ...(match.model === undefined ? {} : { model: [match.model] }),
      ...(match.agent === undefined ? {} : { 'tag.agent': match.agent }),
    },
  }
}

const fitsName = (pattern: string | undefined, name: string): boolean =>
  pattern === undefined || (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern)

interface Taken {
  readonly key: string
  readonly unit: Unit
  amount: number
}

/** What a call takes of a budget, told without the code under test: nothing, or an amount under a limit. */
function wanted(plain: Plain, at: number, call: Call): (Taken & { readonly limit: number }) | undefined {
  const { match, per, unit, limit, named, others } = plain
  if (!fitsName(match.caller, call.caller) || !fitsName(match.model, call.model)) return undefined
  if (!fitsName(match.agent, call.agent)) return undefined
  const subject =
    per === 'none'
      ? '*'
      : per === 'caller'
        ? call.caller
        : per === 'team'
          ? (TEAM[call.caller] ?? 'other')
          : (call.session ?? 'other')
  const amount = unit === 'usd' ? call.microUsd : unit === 'tokens' ? call.tokens : 1
  const taken = { key: `${nameOf(plain, at)} ${subject}`, unit, amount }
  if (!isNamed(plain)) return { ...taken, limit }
  const own =
    call.caller === 'ci' ? named?.['ci'] : call.caller.startsWith('prod-') ? named?.['prod-*'] : undefined
  if (own === undefined && !others) return undefined
  return { ...taken, limit: own ?? limit }
}

function spendOf(call: Call): Spend {
  const { caller, model, session, agent, microUsd, tokens } = call
  return {
    caller,
    team: TEAM[caller],
    model,
    route: 'paid/*',
    payer: 'base',
    seller: 'https://seller.example.com',
    tags: [`agent:${agent}`, ...(session === undefined ? [] : [`session:${session}`])],
    symbol: 'USDC',
    amount: BigInt(microUsd),
    microUsd: BigInt(microUsd),
    tokens: BigInt(tokens),
  }
}

/** A connection that does not wait for the disk: this is about sums, and many ledgers are made here. */
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
  directory = mkdtempSync(join(tmpdir(), 'tollway-budget-config-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

interface Kept {
  readonly n: number
  state: 'held' | 'settled' | 'released'
  readonly taken: Taken[]
}

test('rule 2: under any configuration, traffic and reload no budget is exceeded, and no call is refused that fits', async () => {
  let run = 0
  const seen = { passed: 0, refused: 0, reloads: 0 }
  await fc.assert(
    fc.asyncProperty(
      configuration,
      fc.array(step, { minLength: 10, maxLength: 40 }),
      async (first, steps) => {
        const stores: readonly Store[] = [
          memoryStore(),
          await keptStore(join(directory, `${run++}.db`), withoutSync),
        ]
        try {
          let current: readonly Plain[] = first
          let rules = budgetsOption.parse(current.map(written))
          const kept: Kept[] = []
          const counted = (key: string): number =>
            kept
              .filter(({ state }) => state !== 'released')
              .flatMap(({ taken }) => taken)
              .reduce((sum, one) => sum + (one.key === key ? one.amount : 0), 0)
          for (const [n, one] of steps.entries()) {
            if (one.kind === 'reload') {
              current = one.budgets
              rules = budgetsOption.parse(current.map(written))
              seen.reloads += 1
              continue
            }
            if (one.kind === 'call') {
              const claims = claimsFor(rules, spendOf(one), NOW)
              const taken = current.flatMap((plain, at) => wanted(plain, at, one) ?? [])
              const isRoom = taken.every(({ key, amount, limit }) => counted(key) + amount <= limit)
              for (const store of stores) {
                const { ok } = await store.reserve(terms(n), claims, false)
                expect(ok, JSON.stringify(one)).toBe(isRoom)
              }
              if (isRoom) {
                kept.push({ n, state: 'held', taken })
                for (const { key, limit } of taken) expect(counted(key)).toBeLessThanOrEqual(limit)
              }
              seen[isRoom ? 'passed' : 'refused'] += 1
              continue
            }
            const charge = kept[one.charge % Math.max(1, kept.length)]
            if (charge?.state !== 'held') continue
            await follow(stores, charge, one)
          }
        } finally {
          for (const store of stores) await store.close()
        }
      },
    ),
    { numRuns: 60 },
  )
  // The property is worth nothing when nothing is ever refused.
  expect(Math.min(seen.passed, seen.refused, seen.reloads)).toBeGreaterThan(5)
})

/** What becomes of a held charge, in every store and in the reference. */
async function follow(
  stores: readonly Store[],
  charge: Kept,
  one: Exclude<Step, Call | { readonly kind: 'reload' }>,
): Promise<void> {
  const { id } = terms(charge.n)
  if (one.kind === 'used') {
    for (const store of stores) await store.settleTokens(id, one.share)
    for (const taken of charge.taken) if (taken.unit === 'tokens') taken.amount = one.share
    return
  }
  for (const store of stores) {
    if (one.kind === 'release') await store.move(id, { to: 'released', at: NOW, reason: 'test' })
    else {
      await store.authorize(id, signed(charge.n), NOW)
      await store.move(id, { to: 'settled', at: NOW, reason: 'test', proof: 'receipt' })
    }
  }
  charge.state = one.kind === 'release' ? 'released' : 'settled'
}
