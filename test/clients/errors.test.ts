/**
 * What each real client does with each kind of error: how often it asks the gateway again, what of that reaches the
 * seller, and that no case is paid more than once. The clients are as their users have them, but for their waiting: a
 * `retry-after-ms` is put on failed answers before they see them, which those that know it obey.
 */
import Anthropic from '@anthropic-ai/sdk'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { ChatOpenAI } from '@langchain/openai'
import { generateText, streamText } from 'ai'
import OpenAI from 'openai'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startScriptedSeller } from '../kit/scripted-seller.ts'
import { type ScriptedSeller } from '../kit/scripted-seller.ts'
import { type SellerHandler } from '../kit/scripted-seller.ts'
import { startGateway, type TestGateway } from '../kit/gateway.ts'

const OFFER = {
  scheme: 'exact',
  network: 'eip155:84532',
  amount: '1000',
  asset: '0x036cbd53842c5426634e7929541ec2318f3dcf7e',
  payTo: '0x90F79bf6EB2c4f870365E785982E1f101E93b906',
  maxTimeoutSeconds: 60,
  extra: { name: 'USDC', version: '2' },
}
const RECEIPT = receiptV2({
  success: true,
  transaction: `0x${'1'.padStart(64, '0')}`,
  network: OFFER.network,
  payer: '',
})
const JSON_TYPE = { 'content-type': 'application/json' }
const error =
  (status: number): SellerHandler =>
  (_request, response) =>
    send(response, {
      status,
      headers: JSON_TYPE,
      body: '{"error":{"message":"seller","type":"server_error"}}',
    })

/** What a seller does with a payment. */
const AFTER_PAYMENT: Readonly<Record<string, SellerHandler>> = {
  vanish: (_request, response) => void response.destroy(),
  reject: (_request, response) => send(response, challengeV2([OFFER], { error: 'invalid signature' })),
  raise: (_request, response) => send(response, challengeV2([{ ...OFFER, amount: '2000' }])),
  broken: error(500),
  busy: error(429),
  schema: error(422),
  large: error(413),
  'broken-paid': (_request, response) =>
    send(response, { status: 503, headers: { ...JSON_TYPE, ...RECEIPT }, body: '{}' }),
  cut: (request, response) => {
    const anthropic = request.url.endsWith('/messages')
    response.writeHead(200, { 'content-type': 'text/event-stream', ...RECEIPT })
    response.write(
      anthropic
        ? 'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":1,"output_tokens":1}}}\n\n' +
            'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n' +
            'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"half"}}\n\n'
        : 'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"half"},"finish_reason":null}]}\n\n',
    )
    setImmediate(() => response.destroy())
  },
}

let seller: ScriptedSeller
let gateway: TestGateway
let requests = 0

beforeAll(async () => {
  Object.assign(process.env, { ERRORS_WALLET: localAccounts().buyer.privateKey, ERRORS_KEY: 'right-key' })
  seller = await startScriptedSeller(async (request, response) => {
    const { model } = JSON.parse(request.body.toString()) as { model: string }
    if (model === 'unpaid-busy') return await error(503)(request, response)
    const paid = request.headers['payment-signature'] !== undefined
    if (paid) return await AFTER_PAYMENT[model]?.(request, response)
    if (model === 'down') return void response.destroy()
    if (model === 'solana') return send(response, challengeV2([{ ...OFFER, network: 'solana:x' }]))
    send(response, challengeV2([{ ...OFFER, amount: { dear: '200000', stop: '99950' }[model] ?? '1000' }]))
  })
  const paid = { api_base: seller.apiBase, payer: 'base' }
  const count = (event: TollwayEvent): void => {
    if (event.type === 'request') requests += 1
  }
  gateway = await startGateway(
    {
      callers: [{ id: 'client', key: '${env:ERRORS_KEY}' }],
      payers: { base: { kind: 'direct', key: '${env:ERRORS_WALLET}', networks: ['base-sepolia'] } },
      model_list: [
        { model_name: 'paid/*', model: '*', ...paid },
        { model_name: 'spent', model: 'stop', ...paid },
        { model_name: 'unpaid-busy', api_base: seller.apiBase },
      ],
      budgets: [{ name: 'today', per: 'model', limit_usd: '0.0999', window: 'day' }],
      router: { num_retries: 0, allowed_fails: 1000 },
      body_limit: '64kb',
    },
    { observers: [count] },
  )
})
afterAll(async () => {
  await gateway?.close()
  await seller?.close()
})
afterEach(() => {
  requests = 0
  seller.requests.length = 0
})

/** Says to clients that would wait before they ask again that they need not. */
const impatient: typeof fetch = async (input, init) => {
  const answer = await fetch(input, init)
  if (answer.ok) return answer
  const headers = new Headers(answer.headers)
  headers.set('retry-after-ms', '1')
  return new Response(answer.body, { status: answer.status, headers })
}

interface Call {
  readonly model: string
  readonly key?: string | undefined
  readonly prompt?: string | undefined
  readonly stream?: boolean | undefined
}

/** Asks once, as its users would; gives the text, and throws what its users would catch. */
const CLIENTS: Readonly<Record<string, (call: Call) => Promise<string>>> = {
  async openai({ model, key = 'right-key', prompt = 'hi', stream = false }) {
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: key, fetch: impatient })
    const messages = [{ role: 'user' as const, content: prompt }]
    if (!stream)
      return (await client.chat.completions.create({ model, messages })).choices[0]?.message.content ?? ''
    const runner = client.chat.completions.stream({ model, messages })
    const { choices } = await runner.finalChatCompletion()
    return `${choices[0]?.message.content} (${choices[0]?.finish_reason})`
  },
  async 'ai-sdk'({ model, key = 'right-key', prompt = 'hi', stream = false }) {
    const provider = createOpenAICompatible({
      name: 't',
      baseURL: `${gateway.url}/v1`,
      apiKey: key,
      fetch: impatient,
    })
    if (!stream) return (await generateText({ model: provider(model), prompt })).text
    const result = streamText({ model: provider(model), prompt })
    return `${await result.text} (${await result.finishReason})`
  },
  async langchain({ model, key = 'right-key', prompt = 'hi', stream = false }) {
    const chat = new ChatOpenAI({
      model,
      apiKey: key,
      maxRetries: 1,
      configuration: { baseURL: `${gateway.url}/v1` },
    })
    if (!stream) return (await chat.invoke(prompt)).text
    let [text, reason] = ['', '']
    for await (const chunk of await chat.stream(prompt)) {
      text += chunk.text
      const { finish_reason: ended } = chunk.response_metadata as { finish_reason?: string }
      reason = ended ?? reason
    }
    return `${text} (${reason})`
  },
  async anthropic({ model, key = 'right-key', prompt = 'hi', stream = false }) {
    const client = new Anthropic({ baseURL: gateway.url, apiKey: key, fetch: impatient })
    const asked = { model, max_tokens: 10, messages: [{ role: 'user' as const, content: prompt }] }
    const message = stream
      ? await client.messages.stream(asked).finalMessage()
      : await client.messages.create(asked)
    const text = message.content.map((block) => (block.type === 'text' ? block.text : '')).join('')
    return stream ? `${text} (${message.stop_reason})` : text
  },
}

function statusOf(thrown: unknown): number | undefined {
  const { status, statusCode, lastError } = thrown as {
    status?: number
    statusCode?: number
    lastError?: unknown
  }
  return status ?? statusCode ?? (lastError === undefined ? undefined : statusOf(lastError))
}

const paying = () => seller.requests.filter(({ headers }) => headers['payment-signature'] !== undefined)

/** Every case of an error: its status, and how often gateway, seller and wallet are asked by clients with two retries. */
const CASES: readonly {
  readonly name: string
  readonly call: Call
  readonly status: number
  readonly gateway: number
  readonly seller: number
  readonly payments: number
  /** Where LangChain asks again, and the others do not. */
  readonly langchain?: number
}[] = [
  { name: 'a budget stop', call: { model: 'spent' }, status: 402, gateway: 1, seller: 1, payments: 0 },
  { name: 'an unknown model', call: { model: 'nobody' }, status: 404, gateway: 1, seller: 0, payments: 0 },
  {
    name: 'a wrong key',
    call: { model: 'paid/x', key: 'wrong' },
    status: 401,
    gateway: 1,
    seller: 0,
    payments: 0,
  },
  {
    name: 'a body that is too large',
    call: { model: 'paid/x', prompt: 'x'.repeat(70_000) },
    status: 413,
    gateway: 1,
    seller: 0,
    payments: 0,
  },
  {
    name: 'a price above the ceiling',
    call: { model: 'paid/dear' },
    status: 400,
    gateway: 1,
    seller: 1,
    payments: 0,
  },
  {
    name: 'an offer nobody here can pay',
    call: { model: 'paid/solana' },
    status: 400,
    gateway: 1,
    seller: 1,
    payments: 0,
  },
  {
    name: 'a seller that is down',
    call: { model: 'paid/down' },
    status: 503,
    gateway: 3,
    seller: 3,
    payments: 0,
    langchain: 2,
  },
  {
    name: 'a paid reply that never arrives',
    call: { model: 'paid/vanish' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: 'a payment the seller rejects',
    call: { model: 'paid/reject' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: 'terms that changed after signing',
    call: { model: 'paid/raise' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: 'a seller that breaks after payment',
    call: { model: 'paid/broken' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: 'a seller that is busy after payment',
    call: { model: 'paid/busy' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: 'a paid error with a receipt',
    call: { model: 'paid/broken-paid' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: "the seller's own 413 after payment",
    call: { model: 'paid/large' },
    status: 413,
    gateway: 1,
    seller: 2,
    payments: 1,
  },
  {
    name: "the seller's own 422 after payment",
    call: { model: 'paid/schema' },
    status: 422,
    gateway: 1,
    seller: 2,
    payments: 1,
    langchain: 2,
  },
  {
    name: 'an unpaid upstream that is busy',
    call: { model: 'unpaid-busy' },
    status: 503,
    gateway: 3,
    seller: 3,
    payments: 0,
    langchain: 2,
  },
]

describe.each(Object.keys(CLIENTS))('%s', (name) => {
  const ask = async (call: Call): Promise<string> => (await CLIENTS[name]?.(call)) ?? ''

  test.each(CASES)('$name: status $status, at most $payments payments', async (expected) => {
    const thrown: unknown = await ask({ prompt: `${name}: ${expected.name}`, ...expected.call }).then(
      (text) => new Error(`answered ${text}`),
      (reason: unknown) => reason,
    )
    expect(statusOf(thrown), String(thrown)).toBe(expected.status)
    const asked = name === 'langchain' ? (expected.langchain ?? expected.gateway) : expected.gateway
    expect({ gateway: requests, payments: paying().length }).toEqual({
      gateway: asked,
      payments: expected.payments,
    })
    const repeats = expected.payments === 0 && expected.seller > 1 ? asked - expected.gateway : 0
    // A price that was heard once is refused without asking the seller again.
    if (expected.status === 402) expect(seller.requests.length).toBeLessThanOrEqual(1)
    else expect(seller.requests.length).toBe(expected.seller + repeats)
  })

  test('a paid stream that is cut ends as a truncated answer: asked once, paid once', async () => {
    const text = await ask({ model: 'paid/cut', stream: true, prompt: `${name} cut` })
    expect(text).toMatch(/^half \((?:length|max_tokens)\)$/)
    expect({ gateway: requests, payments: paying().length }).toEqual({ gateway: 1, payments: 1 })
  })
})
