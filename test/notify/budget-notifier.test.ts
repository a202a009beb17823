/** Which messages about budgets are sent, by a ledger in memory and in SQLite: each level once, whatever the budget counts. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { REQUESTS, TOKENS, type BudgetRule } from '../../src/core/budget/budget.ts'
import { formatLevel, levelReached } from '../../src/core/budget/notice-level.ts'
import { budgetNotifier } from '../../src/app/notify/budget-notifier.ts'
import type { NotificationContent } from '../../src/app/notify/notifier.ts'
import type { Observer } from '../../src/core/telemetry/events.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import type { ReserveTerms } from '../../src/io/ledger/ledger-context.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import { openSqliteStore } from '../../src/io/store/sqlite/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import { FragileAudit, wanted } from '../ledger/kit.ts'
import { instance } from '../store/samples.ts'

const HALF = 500_000n
const MOST = 800_000n
const WHOLE = 1_000_000n
const START = Date.parse('2026-11-21T10:00:00Z')
const HOUR = 3_600_000
const DAY = 24 * HOUR

let store: Store
let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'tollway-test-'))
})
afterEach(async () => {
  await store.close()
  rmSync(directory, { recursive: true, force: true })
})

/** A gateway on a store: its ledger, the levels that it is told to announce, and what it sent. */
async function open(
  on: Store,
  rules: readonly BudgetRule[],
  levels: readonly bigint[] = [HALF, MOST, WHOLE],
) {
  store = on
  const running = new Set<Promise<unknown>>()
  /** What is told in the background is told by then. */
  const announced = async (): Promise<void> => {
    do {
      await Promise.allSettled(running)
      await new Promise(setImmediate)
    } while (running.size > 0)
  }
  const watched: Pick<Store, 'announce'> = {
    async announce(...args) {
      const asked = store.announce(...args)
      running.add(asked)
      return await asked.finally(() => running.delete(asked))
    },
  }
  const clock = { time: START, now: () => clock.time }
  const sent: { readonly id: string; readonly content: NotificationContent }[] = []
  const failures: unknown[] = []
  const observers: Observer[] = []
  const ledger = await Ledger.open({
    store,
    audit: new FragileAudit(),
    clock,
    random: (count) => crypto.getRandomValues(new Uint8Array(count)),
    instance: instance(`ins_${crypto.randomUUID()}`),
    observers,
    levels: () => levels,
  })
  const notifier = {
    async send(_kind: string, id: string, content: NotificationContent, isNew = async () => true) {
      if (await isNew()) sent.push({ id, content })
    },
  }
  const failed = (error: unknown): unknown => failures.push(error)
  observers.push(budgetNotifier({ notifier, store: watched, levels: () => levels, clock, failed }))
  const spend = async (microUsd: bigint, changes: Partial<ReserveTerms> = {}): Promise<boolean> => {
    const terms = wanted({ amount: microUsd, microUsd, ...changes })
    const taken = await ledger.reserve(terms, rules, false).then(
      () => true,
      () => false,
    )
    await announced()
    return taken
  }
  return {
    clock,
    ledger,
    failures,
    sent,
    spend,
    levels: () =>
      sent.map(({ content: { type, data } }) => [
        type,
        Reflect.get(data, 'subject'),
        Reflect.get(data, 'level'),
      ]),
  }
}

const rule = (changes: Partial<BudgetRule> = {}): BudgetRule => ({
  name: 'all',
  limit: 1_000_000n,
  window: 'day',
  timezone: 'UTC',
  ...changes,
})

describe.each([
  ['memory', () => memoryStore()],
  ['SQLite', () => openSqliteStore({ path: join(directory, 'ledger.db') })],
])('a ledger in %s', (_kind, create) => {
  test('each level is told once in a window, and again in the next', async () => {
    const { clock, spend, levels } = await open(create(), [rule()])
    for (let n = 0; n < 9; n += 1) await spend(100_000n)
    expect(levels()).toEqual([
      ['budget.level', '*', '0.5'],
      ['budget.level', '*', '0.8'],
    ])
    await spend(100_000n)
    expect(levels().slice(2)).toEqual([['budget.level', '*', '1']])
    clock.time += DAY
    await spend(500_000n)
    expect(levels().slice(3)).toEqual([['budget.level', '*', '0.5']])
  })

  test('a call that passes two levels is told by the higher one alone', async () => {
    const { spend, levels } = await open(create(), [rule()])
    await spend(850_000n)
    await spend(1n)
    expect(levels()).toEqual([['budget.level', '*', '0.8']])
  })

  test('a refusal counts as the whole limit and says what was asked for', async () => {
    const { spend, sent, levels } = await open(create(), [rule()])
    for (let n = 0; n < 6; n += 1) await spend(180_000n)
    await spend(180_000n)
    expect(levels()).toEqual([
      ['budget.level', '*', '0.5'],
      ['budget.level', '*', '0.8'],
      ['budget.refused', '*', '1'],
    ])
    expect(sent.at(-1)?.content).toMatchObject({
      text: 'Budget all refused a call of up to $0.18: $0.9 of $1 counted in this window (day).',
      data: { limit: '1', counted: '0.9', pending: '0.9', spent: '0', refused: '0.18', unit: 'USD' },
    })
  })

  test('a second gateway on the ledger, or the same after a restart, tells nothing twice', async () => {
    const shared = create()
    const first = await open(shared, [rule()])
    await first.spend(600_000n)
    const second = await open(shared, [rule()])
    // The first one counts as dead: what it held was given back.
    await second.spend(700_000n)
    expect(second.sent).toEqual([])
    await second.spend(100_000n)
    expect(second.levels()).toEqual([['budget.level', '*', '0.8']])
    await first.spend(1n)
    expect(first.sent).toHaveLength(1)
  })

  test('a rolling window tells a level again when the window has moved past it', async () => {
    const { clock, spend, levels } = await open(create(), [rule({ window: 'rolling', lengthMs: HOUR })])
    await spend(600_000n)
    clock.time += HOUR - 1
    await spend(100_000n)
    expect(levels()).toHaveLength(1)
    clock.time += 1
    await spend(500_000n)
    expect(levels()).toEqual([
      ['budget.level', '*', '0.5'],
      ['budget.level', '*', '0.5'],
    ])
  })
})

test.each([
  ['tokens', rule({ asset: TOKENS, limit: 1000n }), { tokens: 600n }, 'tokens', '600'],
  ['requests', rule({ asset: REQUESTS, limit: 2n }), {}, 'requests', '1'],
  ['a token', rule({ asset: { symbol: 'USDC', decimals: 6 } }), { amount: 700_000n }, 'USDC', '0.7'],
  [
    'a caller',
    rule({ per: 'caller', namedOnly: true, limits: [{ subject: 'openclaw', limit: 10n }] }),
    {},
    'USD',
    '0.000005',
  ],
  ['a tag', rule({ per: 'tag', limit: 10n }), { tags: ['red'] }, 'USD', '0.000005'],
  ['a lifetime', rule({ window: 'lifetime', limit: 10n }), {}, 'USD', '0.000005'],
  ['no enforcement', rule({ enforce: false, limit: 10n }), {}, 'USD', '0.000005'],
])('a budget of %s tells its levels in its own unit', async (_name, budget, changes, unit, counted) => {
  const { spend, sent } = await open(memoryStore(), [budget])
  await spend(5n, changes)
  expect(sent.map(({ content }) => content.data)).toMatchObject([{ level: '0.5', unit, counted }])
})

test('an unenforced budget is told beyond its limit as not enforced, and a limit per request is not told', async () => {
  const rules = [rule({ enforce: false, limit: 10n }), rule({ name: 'each', window: 'request', limit: 8n })]
  const { spend, sent, levels } = await open(memoryStore(), rules)
  await spend(8n)
  await spend(8n)
  expect(await spend(9n)).toBe(false)
  expect(levels()).toEqual([
    ['budget.level', '*', '0.8'],
    ['budget.level', '*', '1'],
  ])
  expect(sent.at(-1)?.content.text).toBe(
    'Budget all is used to 160 %: $0.000016 of $0.00001 counted in this window (day); it is not enforced.',
  )
})

test('a level that the ledger could not remember is told with the next call', async () => {
  const real = memoryStore()
  let isDown = true
  const failing: Store = {
    ...real,
    announce: async (...args) => {
      if (isDown) throw new Error('disk full')
      return await real.announce(...args)
    },
  }
  const { spend, failures, levels } = await open(failing, [rule()])
  expect(await spend(600_000n)).toBe(true)
  expect(failures).toHaveLength(1)
  isDown = false
  await spend(1n)
  expect(levels()).toEqual([['budget.level', '*', '0.5']])
})

test('without levels nothing is told and nothing remembered', async () => {
  const { spend, sent } = await open(memoryStore(), [rule()], [])
  await spend(1_000_000n)
  await spend(1n)
  expect(sent).toEqual([])
})

test('the level of a sum is the highest share of the limit that it has reached, never one above it', () => {
  const millionths = fc.bigInt({ min: 1n, max: WHOLE })
  fc.assert(
    fc.property(
      fc.array(millionths, { maxLength: 5 }),
      fc.bigInt({ min: 0n, max: 10n ** 30n }),
      fc.bigInt({ min: 1n, max: 10n ** 30n }),
      (levels, sum, limit) => {
        const reached = levelReached(levels, sum, limit)
        const passed = levels
          .filter((level) => sum * WHOLE >= level * limit)
          .toSorted((a, b) => (a < b ? -1 : 1))
        expect(reached).toBe(passed.at(-1))
      },
    ),
  )
  expect([WHOLE, HALF, 1n, 123_456n, 100_000n].map(formatLevel)).toEqual([
    '1',
    '0.5',
    '0.000001',
    '0.123456',
    '0.1',
  ])
  expect(levelReached([HALF], 0n, 0n)).toBeUndefined()
})
