import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startWorld, type World } from '../../src/app/sandbox/world.ts'
import { verifyAudit } from '../../src/io/audit/audit-verify.ts'
import { ask, startGateway, walletPayer, type TestGateway } from '../kit/gateway.ts'
import { chatRequest, officialFetch } from '../kit/official-client.ts'

let world: World
let tollway: TestGateway
let client: OpenAI
/** Chunks wait here, by their index, for the test that holds them. */
let hold: (index: number) => Promise<void> = async () => undefined

const QUESTION = 'What does an answer cost?'
const messages = [{ role: 'user' as const, content: QUESTION }]

beforeAll(async () => {
  world = await startWorld({ beforeChunk: (index) => hold(index) })
  tollway = await startGateway({
    payers: { base: walletPayer(world.chain) },
    model_list: [
      { model_name: 'official/*', model: '*', api_base: world.seller.apiBase, payer: 'base' },
      { model_name: 'stream/*', model: '*', api_base: world.streamingSeller.apiBase, payer: 'base' },
      { model_name: 'v1/*', model: '*', api_base: world.v1Seller.apiBase, payer: 'base' },
    ],
    budgets: [{ name: 'all', limit_usd: '1.00', window: 'day' }],
  })
  client = new OpenAI({ baseURL: `${tollway.url}/v1`, apiKey: 'none', maxRetries: 0 })
})

afterAll(async () => {
  await tollway?.close()
  await world?.close()
})

async function streamed(model: string): Promise<{ text: string; cost: unknown }> {
  let text = ''
  let cost: unknown
  const stream = await client.chat.completions.create({
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  })
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    cost = (chunk.usage as { cost?: unknown } | null | undefined)?.cost ?? cost
  }
  return { text, cost }
}

test('the OpenAI SDK gets, streaming and not, what paying the seller directly gets, for one transfer a call', async () => {
  const direct = await officialFetch(world.chain)(
    `${world.seller.apiBase}/chat/completions`,
    chatRequest(QUESTION),
  )
  const { choices } = (await direct.json()) as { choices: { message: { content: string } }[] }
  const expected = choices[0]?.message.content
  expect(expected).toBeTruthy()

  for (const seller of ['official', 'stream', 'v1']) {
    const before = (await world.chain.transfers({ to: world.chain.accounts.seller.address })).length
    const whole = await client.chat.completions.create({ model: `${seller}/sandbox-small`, messages })
    const parts = await streamed(`${seller}/sandbox-small`)
    expect(whole.choices[0]?.message.content).toBe(expected)
    expect((whole.usage as { cost?: unknown } | undefined)?.cost).toBe(0.001)
    expect(parts).toEqual({ text: expected, cost: 0.001 })
    const transfers = await world.chain.transfers({ to: world.chain.accounts.seller.address })
    expect(transfers.length - before).toBe(2)
  }
})

test('the answer tells what it cost and where it was paid', async () => {
  const answer = await ask(
    tollway.url,
    { model: 'official/sandbox-small' },
    { 'x-request-id': 'my-request-1' },
  )
  const [transfer] = (await world.chain.transfers()).slice(-1)
  expect(answer.status).toBe(200)
  expect(Object.fromEntries(answer.headers)).toMatchObject({
    'x-request-id': 'my-request-1',
    'x-tollway-spent': 'yes',
    'x-tollway-cost-usd': '0.001',
    'x-litellm-response-cost': '0.001',
    'x-tollway-payer': 'base',
    'x-tollway-model': 'official/sandbox-small',
    'x-tollway-transaction': transfer?.transaction,
    'x-tollway-charge': expect.stringMatching(/^chg_[0-9a-z]{24}$/),
  })
  for (const name of [
    'payment-response',
    'payment-required',
    'x-payment-response',
    'set-cookie',
    'retry-after',
  ]) {
    expect(answer.headers.has(name)).toBe(false)
  }
})

test('chunks pass as they come: the first is here before the seller has made the second', async () => {
  const released = Promise.withResolvers<void>()
  hold = (index) => (index === 1 ? released.promise : Promise.resolve())
  const answer = await ask(tollway.url, { model: 'stream/sandbox-small', stream: true })
  const reader = answer.body?.getReader()
  const first = await reader?.read()
  expect(Buffer.from(first?.value ?? []).toString()).toMatch(/^data: \{/)
  released.resolve()
  hold = async () => undefined
  let rest = ''
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read())
    rest += Buffer.from(part.value).toString()
  expect(rest).toContain('data: [DONE]')
})

test('rule 1: store, audit file, metrics and chain agree to the last atomic unit', async () => {
  const { seller, buyer } = world.chain.accounts
  const paidDirectly = 1n
  const onChain = (await world.chain.transfers({ from: buyer.address, to: seller.address })).reduce(
    (sum, { value }) => sum + value,
    0n,
  )
  const charges = await tollway.gateway.parts.ledger.store.charges({ limit: 1000 })
  const inStore = charges
    .filter(({ state }) => state === 'settled')
    .reduce((sum, { amount }) => sum + amount, 0n)
  const inAudit = (await tollway.audit())
    .filter(({ type }) => type === 'charge.settled')
    .reduce((sum, { amount }) => sum + BigInt(String(amount)), 0n)
  expect(charges.length).toBeGreaterThan(0)
  expect(charges.every(({ state, proof }) => state === 'settled' && proof === 'receipt')).toBe(true)
  expect(inStore + paidDirectly * 1000n).toBe(onChain)
  expect(inAudit).toBe(inStore)
  expect(BigInt(await tollway.metric('tollway_spend_atomic_total'))).toBe(inStore)
  expect(await tollway.metric('tollway_budget_spent_usd', { budget: 'all' })).toBe(Number(inStore) / 1e6)
  expect(await world.chain.balanceOf(seller.address)).toBe(onChain)
  const transactions = new Set((await world.chain.transfers()).map(({ transaction }) => transaction))
  expect(
    charges.every(
      ({ transaction }) => transaction !== undefined && transactions.has(transaction as `0x${string}`),
    ),
  ).toBe(true)
  expect(await verifyAudit(tollway.gateway.parts.config.audit.path)).toMatchObject({
    ok: true,
    openIntents: [],
  })
})

test('every transition has its audit record, in order, before and after the money', async () => {
  const records = await tollway.audit()
  const [charge] = records.filter(({ type }) => type === 'charge.held').map(({ charge: id }) => id)
  const story = records.filter((record) => record['charge'] === charge).map(({ type }) => type)
  expect(story).toEqual(['charge.held', 'charge.authorized', 'charge.settled', 'request'])
  expect(JSON.stringify(records)).not.toMatch(/"signature"|hello|What does an answer cost/)
})

test('models are listed from the routes', async () => {
  const list = await client.models.list()
  expect(list.data.map(({ id }) => id)).toEqual(['official/*', 'stream/*', 'v1/*'])
})

test('a seller that holds its stream back until settlement is waited for aloud, and its burst keeps the pace', async () => {
  const eventsPerSecond = 40
  const set = vi.spyOn(globalThis, 'setTimeout')
  const gateway = await startGateway({
    payers: { base: walletPayer(world.chain) },
    model_list: [
      {
        model_name: 'slow/*',
        model: '*',
        api_base: world.seller.apiBase,
        payer: 'base',
        early_keepalive: true,
        events_per_second: eventsPerSecond,
      },
    ],
    stream: { keepalive_seconds: 0.05 },
  })
  const waited = Promise.withResolvers<void>()
  hold = (index) => (index === 1 ? waited.promise : Promise.resolve())
  const { seller } = world.chain.accounts
  const before = (await world.chain.transfers({ to: seller.address })).length
  try {
    const answer = await ask(gateway.url, { model: 'slow/sandbox-small', stream: true })
    expect([answer.status, answer.headers.get('x-tollway-spent')]).toEqual([200, 'unknown'])
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of answer.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      if (text.includes(': waiting')) waited.resolve()
    }
    expect(text).toMatch(/^(?:: waiting\n\n)+data: \{/)
    expect(text).toMatch(/data: \[DONE\]\n\n$/)
    const events = text.match(/^data:/gm)?.length ?? 0
    expect(events).toBeGreaterThan(3)
    const pauses = set.mock.calls.filter(([, ms]) => ms === 1000 / eventsPerSecond)
    expect(pauses).toHaveLength(events - 1)
    expect((await world.chain.transfers({ to: seller.address })).length - before).toBe(1)
    const [charge] = await gateway.gateway.parts.ledger.store.charges({ limit: 2 })
    expect(charge).toMatchObject({ state: 'settled', proof: 'receipt', amount: 1000n })
  } finally {
    set.mockRestore()
    hold = async () => undefined
    waited.resolve()
    await gateway.close()
  }
})
