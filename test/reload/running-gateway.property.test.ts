/** A gateway that serves while its budgets are reloaded: at random, between calls and in the middle of bursts. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { counted } from '../../src/core/budget/budget.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { createGateway, type Gateway } from '../../src/app/gateway/gateway.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { completion } from '../kit/seller-answers.ts'

const ENV = { CI_KEY: 'sk-ci-key-of-the-test', PROD_KEY: 'sk-prod-key-of-the-test' }
/** Cents of one call. */
const PRICE = { cheap: 10, dear: 25 } as const

type Model = keyof typeof PRICE
type Caller = 'ci' | 'prod'

/** Limits in cents; `undefined` for a budget that is not there. */
interface Plain {
  readonly all: number | undefined
  readonly dear: number | undefined
  readonly each: number | undefined
}

interface Calls {
  readonly kind: 'calls'
  readonly model: Model
  readonly caller: Caller
  readonly count: number
  /** Reloaded in the middle of the calls. */
  readonly during: Plain | undefined
}

const cents = fc.option(fc.nat({ max: 150 }), { nil: undefined, freq: 4 })
const plain: fc.Arbitrary<Plain> = fc.record({ all: cents, dear: cents, each: cents })
const calls: fc.Arbitrary<Calls> = fc.record({
  kind: fc.constant('calls' as const),
  model: fc.constantFrom('cheap', 'dear'),
  caller: fc.constantFrom('ci', 'prod'),
  count: fc.constantFrom(1, 1, 2, 6),
  during: fc.option(plain, { nil: undefined, freq: 2 }),
})
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: calls },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('reload' as const), to: plain }) },
  ),
  { minLength: 6, maxLength: 14 },
)

let upstream: ScriptedSeller
let directory: string
beforeAll(async () => {
  upstream = await startScriptedSeller(() => completion())
  directory = mkdtempSync(join(tmpdir(), 'tollway-reload-'))
})
afterAll(async () => {
  await upstream.close()
  rmSync(directory, { recursive: true, force: true })
})

/** Names of one run: what another run has spent counts in other budgets. */
function budgetsOf(run: number, { all, dear, each }: Plain): object[] {
  const one = (name: string, limit: number | undefined, more: object = {}): object[] =>
    limit === undefined
      ? []
      : [{ name: `${name}-${run}`, limit_usd: (limit / 100).toFixed(2), window: 'lifetime', ...more }]
  return [
    ...one('all', all),
    ...one('dear', dear, { match: { model: 'dear' } }),
    ...one('each', each, { per: 'caller' }),
  ]
}

/** The keys and limits that a call counts under. */
function limitsOf({ all, dear, each }: Plain, model: Model, caller: Caller): [string, number][] {
  return Object.entries({
    'all *': all,
    'dear *': model === 'dear' ? dear : undefined,
    [`each ${caller}`]: each,
  }).flatMap(([key, limit]): [string, number][] => (limit === undefined ? [] : [[key, limit]]))
}

class World {
  readonly #store: string
  readonly #run: number
  readonly #gateway: Gateway
  readonly #url: string
  #current: Plain
  /** Cents by budget and subject, for budgets that were there when it was spent. */
  readonly #sums = new Map<string, number>()
  readonly seen: { passed: number; refused: number; during: number }

  constructor(store: string, run: number, opened: { gateway: Gateway; url: string }, seen: World['seen']) {
    this.#store = store
    this.#run = run
    this.#gateway = opened.gateway
    this.#url = opened.url
    this.#current = { all: undefined, dear: undefined, each: undefined }
    this.seen = seen
  }

  async reload(to: Plain): Promise<void> {
    await this.#gateway.reload(configOf(this.#store, budgetsOf(this.#run, to)))
    this.#current = to
  }

  async call({ model, caller, count, during }: Calls): Promise<void> {
    const before = this.#current
    const asked = Array.from({ length: count }, async () => await this.#ask(model, caller))
    if (during) await this.reload(during)
    const statuses = await Promise.all(asked)
    const passed = statuses.filter((status) => status === 200).length
    expect(statuses.filter((status) => status !== 200 && status !== 402)).toEqual([])
    this.seen.passed += passed
    this.seen.refused += count - passed
    if (during) return await this.#compare(before, during, model, caller)
    const limits = limitsOf(before, model, caller)
    const room = limits.map(([key, limit]) => Math.floor((limit - this.#sum(key)) / PRICE[model]))
    expect(passed, `${count} of ${model} by ${caller}`).toBe(Math.max(0, Math.min(count, ...room)))
    for (const [key] of limits) this.#sums.set(key, this.#sum(key) + passed * PRICE[model])
  }

  /** Which configuration each call of a burst met is not known: the ledger says what counts, and no limit may be exceeded. */
  async #compare(before: Plain, after: Plain, model: Model, caller: Caller): Promise<void> {
    this.seen.during += 1
    const old = new Map(limitsOf(before, model, caller))
    const now = new Map(limitsOf(after, model, caller))
    for (const rules of [before, after]) {
      const { budgets } = configOf(this.#store, budgetsOf(this.#run, rules))
      for (const { claim, totals } of await this.#gateway.parts.ledger.budgets(budgets)) {
        const key = `${claim.budget.replace(`-${this.#run}`, '')} ${claim.subject}`
        if (!old.has(key) && !now.has(key)) continue
        const sum = Number(counted(totals)) / 10_000
        expect(sum, key).toBeLessThanOrEqual(Math.max(old.get(key) ?? 0, now.get(key) ?? 0, this.#sum(key)))
        expect(sum, key).toBeGreaterThanOrEqual(this.#sum(key))
        this.#sums.set(key, sum)
      }
    }
  }

  #sum(key: string): number {
    return this.#sums.get(key) ?? 0
  }

  async #ask(model: Model, caller: Caller): Promise<number> {
    const answer = await fetch(`${this.#url}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${caller === 'ci' ? ENV.CI_KEY : ENV.PROD_KEY}`,
      },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    })
    await answer.text()
    return answer.status
  }
}

function configOf(store: string, budgets: readonly object[]) {
  const route = (name: Model): object => ({
    model_name: name,
    api_base: upstream.apiBase,
    model_info: { usd_per_request: (PRICE[name] / 100).toFixed(2) },
  })
  return parseConfig(
    {
      listen: '127.0.0.1:0',
      store: store === 'memory' ? store : `sqlite:${join(directory, 'ledger.db')}`,
      audit: { path: join(directory, `${store}.jsonl`) },
      callers: [
        { id: 'ci', key: '${env:CI_KEY}' },
        { id: 'prod', key: '${env:PROD_KEY}' },
      ],
      model_list: [route('cheap'), route('dear')],
      budgets,
    },
    ENV,
  )
}

describe.each(['memory', 'sqlite'])('with its ledger in %s', (store) => {
  test('rule 2: no budget is exceeded and no call refused that fits, whenever the configuration changes', async () => {
    const gateway = await createGateway(configOf(store, []), { log: pino({ level: 'silent' }) })
    const { url } = await gateway.listen()
    const seen = { passed: 0, refused: 0, during: 0 }
    let run = 0
    try {
      await fc.assert(
        fc.asyncProperty(plain, steps, async (first, all) => {
          const world = new World(store, run++, { gateway, url }, seen)
          await world.reload(first)
          for (const one of all) {
            if (one.kind === 'reload') await world.reload(one.to)
            else await world.call(one)
          }
        }),
        { numRuns: 6 },
      )
    } finally {
      await gateway.close()
    }
    // The property is worth nothing when nothing is refused, or nothing changes in between.
    expect(Math.min(seen.passed, seen.refused, seen.during)).toBeGreaterThan(0)
  })
})
