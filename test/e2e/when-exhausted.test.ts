/** `when_exhausted`: another model takes over what a budget has no room for. With real ledgers, and scripted sellers and upstreams. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { BudgetExhaustedError } from '../../src/core/budget/budget-exhausted.ts'
import { newExchange } from '../../src/core/request/exchange.ts'
import { takeOver } from '../../src/core/request/when-exhausted.ts'
import { parseConfig } from '../../src/app/config/load.ts'
import { toyPayer } from '../../src/testing/toy-payer.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'
import { completion } from '../kit/seller-answers.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'

/** Asks a tenth of a cent for anything. */
let seller: ScriptedSeller
let local: ScriptedSeller
let gateway: TestGateway | undefined

beforeAll(async () => {
  process.env['EXHAUSTED_KEY'] = 'a-key-of-this-test'
  seller = await startScriptedSeller()
  local = await startScriptedSeller({ unpaid: completion({}) })
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
  seller.requests.length = 0
  local.requests.length = 0
  local.follow({ unpaid: completion({}) })
})
afterAll(async () => {
  await seller?.close()
  await local?.close()
})

const KEY = '${env:EXHAUSTED_KEY}'
const DEAR = { name: 'dear', match: { route: 'paid/*' }, limit_usd: '0.002', window: 'day' }
const config = (more: object = {}, dear: object = {}) => ({
  payers: { toy: { kind: 'direct', key: KEY, networks: ['base-sepolia'] } },
  model_list: [
    { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'toy' },
    { model_name: 'local-llama', api_base: local.apiBase, model_info: { usd_per_request: '0.001' } },
  ],
  budgets: [{ ...DEAR, when_exhausted: { route_to: 'local-llama' }, ...dear }],
  ...more,
})

async function open(opened: object): Promise<void> {
  gateway = await startGateway(opened, { payers: new Map([['toy', toyPayer()]]) })
}

let asked = 0
const call = async (headers: Record<string, string> = {}, model = 'paid/m'): Promise<Response> =>
  await ask(gateway?.url ?? '', { model, seed: asked++ }, headers)

describe('a budget with when_exhausted', () => {
  test('rule 7: lets the model without a payer take over, and pays nothing more', async () => {
    await open(config())
    const answers = [await call(), await call(), await call(), await call()]
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(answers.map(({ headers }) => headers.get('x-tollway-exhausted'))).toEqual([
      null,
      null,
      'dear; route_to=local-llama',
      'dear; route_to=local-llama',
    ])
    expect(answers.map(({ headers }) => headers.get('x-tollway-spent'))).toEqual(['yes', 'yes', 'no', 'no'])
    expect(seller.payments).toHaveLength(2)
    expect(
      local.requests.map(({ body }) => (JSON.parse(body.toString()) as { model: string }).model),
    ).toEqual(['local-llama', 'local-llama'])
    const details = (await gateway?.audit())?.flatMap((record) =>
      record['type'] === 'request' ? [record['details']] : [],
    )
    expect(details?.slice(2)).toMatchObject([
      { when_exhausted: 'dear -> local-llama' },
      { when_exhausted: 'dear -> local-llama' },
    ])
    expect(await gateway?.metric('tollway_fallbacks_total', { reason: 'budget_exhausted' })).toBe(2)
  })

  test('rule 7: refuses as before where it is not written', async () => {
    await open(config({ budgets: [DEAR] }))
    expect([(await call()).status, (await call()).status, (await call()).status]).toEqual([200, 200, 402])
    expect(local.requests).toHaveLength(0)
  })

  test('leads to nothing for a price that is over it at once, when the seller is asked for the first time', async () => {
    await open(config({}, { limit_usd: '0.0005' }))
    const answer = await call()
    expect([answer.status, answer.headers.get('x-tollway-exhausted')]).toEqual([
      200,
      'dear; route_to=local-llama',
    ])
    expect([seller.questions.length, seller.payments.length, local.requests.length]).toEqual([1, 0, 1])
  })

  test('rule 2: the model that takes over has budgets of its own, and its refusal stands', async () => {
    const cheap = { name: 'cheap', match: { route: 'local-llama' }, limit_usd: '0.001', window: 'day' }
    const back = { ...cheap, when_exhausted: { route_to: 'local-llama' } }
    const { budgets, ...rest } = config()
    await open({ ...rest, budgets: [...budgets, back] })
    expect([(await call()).status, (await call()).status, (await call()).status]).toEqual([200, 200, 200])
    const refused = await call()
    expect([refused.status, (await errorOf(refused)).message]).toEqual([
      402,
      expect.stringContaining('budget cheap'),
    ])
    expect(local.requests).toHaveLength(1)
  })

  test('is no way around what a caller may use', async () => {
    const callers = [{ id: 'a', key: KEY, models: ['paid/*'] }]
    await open(config({ callers }))
    const auth = { authorization: 'Bearer a-key-of-this-test' }
    expect([(await call(auth)).status, (await call(auth)).status, (await call(auth)).status]).toEqual([
      200, 200, 402,
    ])
    expect(local.requests).toHaveLength(0)
  })

  test('tells the failure of the budget where the model that takes over is away', async () => {
    await open(config({}, { limit_usd: '0.0005' }))
    local.follow((_request, response) => void response.destroy())
    expect((await errorOf(await call())).code).toBe('budget_exhausted')
    expect(seller.payments).toHaveLength(0)
  })
})

describe('the configuration', () => {
  const mistake = (to: string): (() => unknown) => {
    const opened = config({}, { when_exhausted: { route_to: to } })
    return () => parseConfig(opened)
  }

  test('rule 7: refuses a paid route as the one that takes over', () => {
    expect(mistake('paid/other')).toThrow('must not lead to')
  })

  test('refuses a model that no route serves', () => {
    expect(mistake('nowhere')).toThrow('served by no route')
  })
})

describe('takeOver()', () => {
  const route = {
    modelName: 'r',
    model: undefined,
    apiBase: 'http://127.0.0.1:1/v1',
    apiKey: undefined,
    order: 0,
  }
  const free = { route: { ...route, payer: undefined }, remoteModel: 'm' }
  const paid = { route: { ...route, payer: 'toy' }, remoteModel: 'm' }
  const error = new BudgetExhaustedError('dear', 'r', { message: 'no room' })
  const exchange = () => {
    const made = newExchange({ id: 'x', startedAt: 0, begunAt: 0 })
    made.routing.candidatesOf = () => [paid, free]
    return made
  }

  test('rule 7: leaves out every paid candidate', () => {
    expect(takeOver(exchange(), error)).toEqual([free])
  })

  test('happens once per request', () => {
    const one = exchange()
    takeOver(one, error)
    expect(takeOver(one, error)).toEqual([])
  })

  test('is for refusals by a budget that says so only', () => {
    expect(takeOver(exchange(), new BudgetExhaustedError('dear', undefined, { message: 'no room' }))).toEqual(
      [],
    )
    expect(takeOver(exchange(), new Error('no room'))).toEqual([])
  })
})
