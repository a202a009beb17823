/** Calls that an upstream bills to a key: under the same budgets as payments, reserved before the send and settled by the usage. */
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { startScriptedSeller, type ScriptedSeller } from '../kit/scripted-seller.ts'
import { challengeV2, completion, events, json, OFFER } from '../kit/seller-answers.ts'
import { cut } from '../kit/seller-faults.ts'
import { ask, errorOf, startGateway, type TestGateway } from '../kit/gateway.ts'

const ENV = { METERED_WALLET: localAccounts().buyer.privateKey }

/** Bills a key, and answers everything. */
let upstream: ScriptedSeller
/** Asks $0.18 for anything. */
let seller: ScriptedSeller
let gateway: TestGateway | undefined
const logged: string[] = []

beforeEach(async () => {
  logged.length = 0
  upstream = await startScriptedSeller(() => completion())
  seller = await startScriptedSeller({ unpaid: challengeV2([{ ...OFFER, amount: '180000' }]) })
})
afterEach(async () => {
  await gateway?.close()
  gateway = undefined
  await upstream.close()
  await seller.close()
})

async function open(info: object, config: object): Promise<TestGateway> {
  Object.assign(process.env, ENV)
  const log = pino({ level: 'warn' }, { write: (line: string) => void logged.push(line) })
  gateway = await startGateway(
    {
      payers: { base: { kind: 'direct', key: '${env:METERED_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', api_base: seller.apiBase, payer: 'base' },
        { model_name: 'keyed/*', model: '*', api_base: upstream.apiBase, model_info: info },
      ],
      policy: { max_usd_per_request: '0.50' },
      ...config,
    },
    { log },
  )
  return gateway
}

let asked = 0
async function call(model: string, more: object = {}): Promise<Response> {
  return await ask(gateway?.url ?? '', { model, seed: asked++, ...more })
}

interface BudgetRow {
  readonly budget: string
  readonly spent_usd?: string
  readonly held_usd?: string
  readonly spent?: string
  readonly held?: string
}

async function budgets(): Promise<BudgetRow[]> {
  const answer = await fetch(`${gateway?.url}/api/budgets`)
  return ((await answer.json()) as { budgets: BudgetRow[] }).budgets
}

/** Once everything is booked, which happens after the answer is through. */
async function settled(): Promise<BudgetRow[]> {
  await expect
    .poll(async () => (await budgets()).every((row) => (row.held_usd ?? row.held) === '0'))
    .toBe(true)
  return await budgets()
}

const DAY = [{ name: 'all', limit_usd: '1.00', window: 'day' }]

describe('keyed and paid calls under one budget of $1.00', () => {
  test('rule 2: of 100 calls of $0.18 in parallel, half of them streamed, five pass and the rest never leave', async () => {
    upstream.follow(({ body }) =>
      body.includes('"stream":true')
        ? events([
            '{"choices":[{"delta":{"content":"hi"}}]}',
            '{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
            '[DONE]',
          ])
        : completion(),
    )
    await open({ usd_per_request: '0.18' }, { budgets: DAY })
    const calls = Array.from({ length: 100 }, async (_, n) => {
      const answer = await call(n % 2 === 0 ? 'keyed/x' : 'paid/x', { stream: n % 4 < 2 })
      const text = await answer.text()
      return { status: answer.status, text }
    })
    const answers = await Promise.all(calls)
    const passed = answers.filter(({ status }) => status === 200)
    expect(passed.length).toBe(5)
    expect(answers.filter(({ status }) => status === 402)).toHaveLength(95)
    expect(upstream.requests.length + seller.payments.length).toBe(5)
    expect(await settled()).toMatchObject([{ spent_usd: '0.9' }])
  })
})

describe('a call to a keyed upstream', () => {
  const PRICES = { input_usd_per_token: '0.000001', output_usd_per_token: '0.00001', max_output_tokens: 1000 }

  test('reserves every byte and the whole limit, and settles by the usage of the answer', async () => {
    upstream.follow(() => json({ choices: [], usage: { prompt_tokens: 100, completion_tokens: 20 } }))
    await open(PRICES, { budgets: DAY })
    const answer = await call('keyed/x', { max_tokens: 50 })
    await answer.text()
    expect(await settled()).toMatchObject([{ spent_usd: '0.0003' }])
    const records = await gateway?.audit()
    const held = records?.find(({ type }) => type === 'charge.held')
    const bytes = upstream.requests[0]?.body.length ?? 0
    expect(held).toMatchObject({ payer: '(keyed)', network: 'metered', amount: String(bytes + 500) })
    expect(records?.find(({ type }) => type === 'charge.settled')).toMatchObject({
      reason: 'usage',
      proof: 'receipt',
      charged: '300',
    })
    const labels = { route: 'keyed/*', state: 'settled', reason: 'usage' }
    expect(await gateway?.metric('tollway_metered_requests_total', labels)).toBe(1)
    expect(await gateway?.metric('tollway_metered_usd_total')).toBeCloseTo(0.0003, 9)
    expect(await gateway?.metric('tollway_payments_total')).toBe(0)
  })

  test('counts the most it may have cost where the answer tells no usage', async () => {
    upstream.follow(() => json({ choices: [] }))
    await open(PRICES, { budgets: DAY })
    await (await call('keyed/x', { max_tokens: 50 })).text()
    const bytes = upstream.requests[0]?.body.length ?? 0
    const [row] = await settled()
    expect(row?.spent_usd).toBe(((bytes + 500) / 1e6).toFixed(6).replace(/0+$/, ''))
    expect(await gateway?.metric('tollway_metered_requests_total', { reason: 'estimated' })).toBe(1)
  })

  test('gives the hold back for an error and for a connection that never was; a lost answer counts in full', async () => {
    upstream.follow(() => json({ error: { message: 'no' } }, {}, 400))
    await open({ usd_per_request: '0.30' }, { budgets: DAY })
    expect((await call('keyed/x')).status).toBe(400)
    expect(await settled()).toMatchObject([{ spent_usd: '0' }])
    upstream.follow(cut)
    expect((await call('keyed/x')).status).toBe(503)
    expect(await settled()).toMatchObject([{ spent_usd: '0.3' }])
    await upstream.close()
    expect((await call('keyed/x')).status).toBe(503)
    expect(await settled()).toMatchObject([{ spent_usd: '0.3' }])
  })

  test('is refused before the send, with the same message as a payment', async () => {
    await open({ usd_per_request: '1.01' }, { budgets: DAY })
    const refused = await call('keyed/x')
    expect(refused.status).toBe(402)
    expect(await errorOf(refused)).toMatchObject({
      code: 'budget_exhausted',
      message: expect.stringMatching(/^Daily spending limit reached: budget all: \$1\.01 wanted/),
    })
    expect(upstream.requests).toEqual([])
  })

  test('counts in budgets of tokens and requests without any price, as payments do', async () => {
    upstream.follow(() => json({ choices: [], usage: { prompt_tokens: 100, completion_tokens: 20 } }))
    await open(
      { max_output_tokens: 300 },
      {
        budgets: [
          { name: 'tokens', limit_tokens: 1000, window: 'day' },
          { name: 'calls', limit_requests: 3, window: 'day', match: { payer: '(keyed)' } },
        ],
      },
    )
    expect((await call('keyed/x')).status).toBe(200)
    expect(await settled()).toMatchObject([
      { budget: 'tokens', spent: '120' },
      { budget: 'calls', spent: '1' },
    ])
    expect(await errorOf(await call('keyed/x', { max_tokens: 5000 }))).toMatchObject({
      message: expect.stringContaining('tokens wanted, 120 tokens spent'),
    })
    expect((await call('paid/x', { max_tokens: 10 })).status).toBe(200)
    for (const status of [200, 200, 402]) {
      expect((await call('keyed/x')).status).toBe(status)
      await settled()
    }
  })

  test('without a price under a budget in USD is told at the start, and refused with require_price', async () => {
    await open({}, { budgets: DAY })
    expect((await call('keyed/x')).status).toBe(200)
    expect(logged.join('')).toContain('keyed/*')
    expect(await gateway?.metric('tollway_unpriced_routes', { route: 'keyed/*' })).toBe(1)
    await gateway?.close()
    await expect(open({}, { budgets: DAY, policy: { require_price: true } })).rejects.toThrow(
      /model_list\[1\]\.model_info: is missing/,
    )
  })
})
