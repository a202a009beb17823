/**
 * The real LiteLLM before a gateway, set up as `tollway init litellm` prints it: what its users get, what it books, and what
 * the chain says about both.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../kit/free-port.ts'
import { AFTER_PAYMENT, TEMPTING } from './failing-seller.ts'
import { MASTER_KEY, startLitellm, type LitellmProxy } from './litellm-proxy.ts'
import { CALLERS, PRICE_USD, startPaidWorld, type PaidWorld } from './paid-world.ts'

const CHAT = '/v1/chat/completions'
const SPEND = 'litellm_spend_metric_total'
const ONE_PAID = { gateway: 1, payments: 1 }

let paid: PaidWorld
let litellm: LitellmProxy
let booked = 0

beforeAll(async () => {
  paid = await startPaidWorld()
  const { model_list: list, ...settings } = await paid.litellmConfig()
  const stop = {
    model_name: 'paid/stop',
    litellm_params: {
      ...list[0]?.litellm_params,
      model: 'openai/paid/stop',
      api_base: `${paid.tight.url}/v1`,
    },
  }
  const passThrough = {
    path: '/tollway',
    target: `${paid.gateway.url}/v1`,
    include_subpath: true,
    headers: { authorization: `Bearer ${CALLERS.litellm}`, 'content-type': 'application/json' },
  }
  litellm = await startLitellm(
    { ...settings, model_list: [...list, stop], general_settings: { pass_through_endpoints: [passThrough] } },
    { port: await freePort(), env: { TOLLWAY_KEY: CALLERS.litellm } },
  )
})
afterAll(async () => {
  await litellm?.close()
  await paid?.close()
})
beforeEach(async () => {
  await paid.reset()
  booked = await litellm.metric(SPEND)
})

const say = (content: string, extra: object = {}): object => ({
  messages: [{ role: 'user', content }],
  ...extra,
})

/** The text of a stream, of OpenAI's form or Anthropic's. */
function streamedText(events: string): string {
  return [...events.matchAll(/^data: (\{.*\})$/gm)]
    .map(([, json = '{}']) => {
      const event = JSON.parse(json) as {
        delta?: { text?: string }
        choices?: { delta: { content?: string | null } }[]
      }
      return event.delta?.text ?? event.choices?.[0]?.delta.content ?? ''
    })
    .join('')
}

/** What LiteLLM books is in its metrics a moment after the answer. */
async function booksWhatTheChainSays(calls: number): Promise<void> {
  expect(await paid.spentUsd()).toBeCloseTo(calls * PRICE_USD, 9)
  await expect.poll(async () => await litellm.metric(SPEND)).toBeCloseTo(booked + calls * PRICE_USD, 9)
}

describe.each(['paid/fast', 'paid/buffered', 'paid/of-the-wildcard'])('LiteLLM before %s', (model) => {
  test('an answer at once: its cost in every place is what left the wallet', async () => {
    const before = await paid.gateway.metric('tollway_spend_usd_total')
    const answer = await litellm.post(CHAT, say('one', { model }))
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({
      choices: [{ message: { content: expect.stringContaining('one') } }],
      usage: { cost: PRICE_USD },
    })
    expect(Number(answer.headers.get('x-litellm-response-cost'))).toBe(PRICE_USD)
    const hash = answer.headers.get('llm_provider-x-tollway-transaction')
    const [last] = (
      await paid.world.chain.transfers({ from: paid.world.chain.accounts.buyer.address })
    ).slice(-1)
    expect(hash).toBe(last?.transaction)
    expect(await paid.passed()).toEqual(ONE_PAID)
    expect(await paid.gateway.metric('tollway_spend_usd_total')).toBeCloseTo(before + PRICE_USD, 9)
    await booksWhatTheChainSays(1)
  })

  test.each([{}, { stream_options: { include_usage: true } }])('a stream, %o', async (extra) => {
    const answer = await litellm.post(CHAT, say('two', { model, stream: true, ...extra }))
    expect(answer.status).toBe(200)
    const text = await answer.text()
    expect(streamedText(text)).toContain('two')
    expect(text).toMatch(/data: \[DONE\]\s*$/)
    if ('stream_options' in extra) expect(text).toContain(`"cost":${PRICE_USD}`)
    expect(await paid.passed()).toEqual(ONE_PAID)
    await booksWhatTheChainSays(1)
  })

  test.each([false, true])('Anthropic messages, translated by LiteLLM, stream: %s', async (stream) => {
    const answer = await litellm.post('/v1/messages', say('three', { model, max_tokens: 50, stream }))
    expect(answer.status).toBe(200)
    const text = await answer.text()
    expect(stream ? streamedText(text) : text).toContain('three')
    expect(text).toContain('end_turn')
    expect(await paid.passed()).toEqual(ONE_PAID)
    expect(paid.requests[0]?.endpoint).toBe('/chat/completions')
    await booksWhatTheChainSays(1)
  })
})

test('eight calls at once are eight payments, and LiteLLM books eight', async () => {
  const answers = await Promise.all(
    Array.from({ length: 8 }, (_, n) => litellm.post(CHAT, say(`parallel ${n}`, { model: 'paid/fast' }))),
  )
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 200))
  await Promise.all(answers.map((answer) => answer.arrayBuffer()))
  expect(await paid.passed()).toEqual({ gateway: 8, payments: 8 })
  await booksWhatTheChainSays(8)
})

test('a client that leaves in the middle of a stream has paid once', async () => {
  const leaving = new AbortController()
  const answer = await fetch(`${litellm.url}${CHAT}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${MASTER_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(say('leaving', { model: 'paid/fast', stream: true })),
    signal: leaving.signal,
  })
  await answer.body?.getReader().read()
  leaving.abort()
  await expect.poll(async () => (await paid.passed()).gateway).toBe(1)
  expect(await paid.passed()).toEqual(ONE_PAID)
})

test('a budget stop reaches the client word for word, is asked once, and puts no deployment out of use', async () => {
  const [first, ...stopped] = [
    await litellm.post(CHAT, say('first', { model: 'paid/stop' })),
    await litellm.post(CHAT, say('second', { model: 'paid/stop' })),
    await litellm.post(CHAT, say('third', { model: 'paid/stop', stream: true })),
  ]
  expect(first?.status).toBe(200)
  await first?.arrayBuffer()
  for (const answer of stopped) {
    expect(answer.status).toBe(402)
    expect(await answer.text()).toContain('Daily spending limit reached: budget today')
  }
  // The third reached the gateway: a 402 starts no cooldown.
  expect(await paid.passed()).toEqual({ gateway: 3, payments: 1 })
  await booksWhatTheChainSays(1)
})

/** The seller's own refusals of a request keep their number. */
const KEPT: ReadonlySet<number> = new Set([400, 404, 413])

describe.each(AFTER_PAYMENT)('a seller that takes the payment and answers %s', (status) => {
  test.each([
    { receipt: '', stream: false },
    // After a 404 LiteLLM does not use the model for some seconds.
    ...(status === 404 ? [] : [{ receipt: '', stream: true }]),
    { receipt: '-receipt', stream: false },
  ])('is asked once and paid once: %o', async ({ receipt, stream }) => {
    const model = `paid/after-${status}${receipt}`
    // Each case says something else: the same words to another model would get the first outcome again, unpaid.
    const words = `four, ${status}${receipt}, ${stream}`
    const answer = await litellm.post(CHAT, say(words, { model, stream, temperature: 0.5 }))
    expect(answer.status).toBe(receipt === '' && KEPT.has(status) ? status : 400)
    const text = await answer.text()
    // The seller's words would make LiteLLM change the messages and send them again.
    for (const tempting of TEMPTING.split('. ')) expect(text).not.toContain(tempting)
    expect(await paid.passed()).toEqual(ONE_PAID)
    // LiteLLM books nothing for a failed call; the ledger counts it.
    expect(await litellm.metric(SPEND)).toBeCloseTo(booked, 9)
    expect(answer.headers.get('llm_provider-x-tollway-cost-usd')).toBe(String(PRICE_USD))
  })
})

test('a paid reply that never arrives is asked once and paid once', async () => {
  const answer = await litellm.post(CHAT, say('five', { model: 'paid/after-nothing' }))
  expect(answer.status).toBe(400)
  expect(await answer.text()).toContain('counts as spent until the chain proves otherwise')
  expect(await paid.passed()).toEqual(ONE_PAID)
})

test("a client's tags, session and request id reach the gateway, and no key but LiteLLM's own", async () => {
  const headers = { 'x-tollway-tags': 'team:red', 'x-request-id': 'of-the-client-1', 'x-session-id': 's1' }
  const answer = await litellm.post(CHAT, say('six', { model: 'paid/fast' }), headers)
  expect(answer.status).toBe(200)
  await answer.arrayBuffer()
  expect(paid.requests).toMatchObject([{ requestId: 'of-the-client-1', caller: 'litellm' }])
  const held = (await paid.gateway.audit()).filter(({ type }) => type === 'charge.held')
  expect(held.at(-1)).toMatchObject({ tags: expect.arrayContaining(['team:red']) })
})

test("Anthropic's way to send a key does not put LiteLLM's key before the gateway", async () => {
  const answer = await fetch(`${litellm.url}/v1/messages`, {
    method: 'POST',
    headers: {
      'x-api-key': MASTER_KEY,
      'anthropic-version': '2023-06-01',
      'content-type': 'application/json',
    },
    body: JSON.stringify(say('seven', { model: 'paid/fast', max_tokens: 50 })),
  })
  expect(answer.status).toBe(200)
  await answer.arrayBuffer()
  expect(paid.requests).toMatchObject([{ caller: 'litellm', status: 200 }])
})

test('through a pass-through endpoint, x-pass- headers reach the gateway, and the cost is booked', async () => {
  const answer = await litellm.post('/tollway/chat/completions', say('eight', { model: 'paid/fast' }), {
    'x-pass-x-tollway-tags': 'team:red',
    'x-pass-x-request-id': 'of-the-client-2',
    'x-pass-authorization': `Bearer ${CALLERS['team-a']}`,
  })
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ usage: { cost: PRICE_USD } })
  // Credentials are not passed on: whose key counts is LiteLLM's to say.
  expect(paid.requests).toMatchObject([{ requestId: 'of-the-client-2', caller: 'litellm' }])
  await booksWhatTheChainSays(1)
})
