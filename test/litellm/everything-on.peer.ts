/**
 * The real LiteLLM with everything on that sends a request again: retries of its own and of its SDK, fallbacks to another
 * paid model, dropped parameters, changed messages, a timeout shorter than the seller. Never two payments for one call.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { freePort } from '../kit/free-port.ts'
import { AFTER_PAYMENT } from './failing-seller.ts'
import { startLitellm, type LitellmProxy } from './litellm-proxy.ts'
import { CALLERS, startPaidWorld, type PaidWorld } from './paid-world.ts'

const CHAT = '/v1/chat/completions'

let paid: PaidWorld
let litellm: LitellmProxy

beforeAll(async () => {
  paid = await startPaidWorld()
  const { model_list: list, litellm_settings: settings } = await paid.litellmConfig()
  const failing = list.map(({ model_name: name }) => name).filter((name) => name.startsWith('paid/after-'))
  const impatient = { timeout: 1, stream_timeout: 1 }
  const stop = { model: 'openai/paid/stop', api_base: `${paid.tight.url}/v1` }
  litellm = await startLitellm(
    {
      model_list: [
        // What keeps LiteLLM's SDK from repeating is taken out again.
        ...list.map(({ model_name: name, litellm_params: params }) => ({
          model_name: name,
          litellm_params: {
            ...params,
            max_retries: undefined,
            ...(name === 'paid/after-long' ? impatient : {}),
          },
        })),
        { model_name: 'paid/stop', litellm_params: { ...list[0]?.litellm_params, ...stop } },
        {
          model_name: 'mock',
          litellm_params: { model: 'openai/mock', api_key: 'x', mock_response: 'for nothing' },
        },
      ],
      litellm_settings: { ...settings, drop_params: true, modify_params: true, num_retries: 3 },
      router_settings: {
        num_retries: 3,
        retry_after: 0,
        disable_cooldowns: true,
        fallbacks: [
          ...failing.map((name) => ({ [name]: ['paid/buffered', 'paid/fast'] })),
          { 'paid/stop': ['paid/fast'] },
        ],
      },
    },
    { port: await freePort(), env: { TOLLWAY_KEY: CALLERS.litellm } },
  )
})
afterAll(async () => {
  await litellm?.close()
  await paid?.close()
})
beforeEach(async () => {
  await paid.reset()
})

const say = (content: string, extra: object): object => ({
  messages: [
    { role: 'user', content },
    // Not in turns, and not the user's last: what LiteLLM would mend.
    { role: 'user', content: 'go on' },
    { role: 'assistant', content: 'well' },
  ],
  temperature: 0.5,
  ...extra,
})

describe.each(AFTER_PAYMENT)('rule 5: a seller that takes the payment and answers %s', (status) => {
  test.each([
    { receipt: '', stream: false },
    { receipt: '', stream: true },
    { receipt: '-receipt', stream: false },
  ])('is paid once, whatever LiteLLM tries: %o', async ({ receipt, stream }) => {
    const model = `paid/after-${status}${receipt}`
    const answer = await litellm.post(CHAT, say(`${model} ${stream}`, { model, stream }))
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
    expect(await answer.text()).toMatch(/counts as spent|took the payment/)
    expect((await paid.passed()).payments).toBe(1)
  })
})

test('rule 5: a paid reply that never arrives is paid once', async () => {
  const answer = await litellm.post(CHAT, say('nothing', { model: 'paid/after-nothing' }))
  expect(answer.status).toBe(400)
  expect((await paid.passed()).payments).toBe(1)
})

test('rule 5: a stream that is cut ends as a truncated answer, and no other model goes on with it', async () => {
  const answer = await litellm.post(CHAT, say('cut', { model: 'paid/after-cut', stream: true }))
  const text = await answer.text()
  expect(text).toContain('half')
  expect(text).toContain('"finish_reason":"length"')
  expect(await paid.passed()).toEqual({ gateway: 1, payments: 1 })
})

test.each([false, true])(
  'rule 5: LiteLLM gives up before the paid answer comes, asks again, and it is paid once; stream: %s',
  async (stream) => {
    const answer = await litellm.post(CHAT, say(`long ${stream}`, { model: 'paid/after-long', stream }))
    await answer.text()
    expect((await paid.passed()).payments).toBe(1)
    expect(paid.requests.length).toBeGreaterThan(1)
  },
)

test('after a budget stop, where nothing was paid, the fallback is paid for', async () => {
  for (const [n, payments] of [1, 1].entries()) {
    await paid.reset()
    const answer = await litellm.post(CHAT, say(`stop ${n}`, { model: 'paid/stop' }))
    expect(answer.status).toBe(200)
    await answer.arrayBuffer()
    expect((await paid.passed()).payments).toBe(payments)
  }
  expect(paid.requests.map(({ status }) => status)).toEqual([402, 200])
})

test('a fallback that costs nothing serves after a failed payment', async () => {
  const model = 'paid/after-500'
  const answer = await litellm.post(CHAT, say('free', { model, fallbacks: ['mock'] }))
  expect(answer.status).toBe(200)
  expect(await answer.text()).toContain('for nothing')
  expect(await paid.passed()).toEqual({ gateway: 1, payments: 1 })
})
