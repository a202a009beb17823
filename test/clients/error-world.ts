/**
 * Every kind of error a gateway with a paid route can answer, for the tests of real clients: a scripted seller (no chain: what
 * it is paid is counted by the signatures it gets), a gateway before it, and what each case may cost.
 */
import type { TollwayEvent } from '../../src/core/telemetry/events.ts'
import { localAccounts } from '../../src/app/sandbox/chain/accounts.ts'
import { startScriptedSeller, type SellerHandler } from '../kit/scripted-seller.ts'
import { challengeV2, receiptV2, send } from '../kit/seller-answers.ts'
import { startGateway } from '../kit/gateway.ts'

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

/** How a client asks. */
export interface Call {
  readonly model: string
  readonly key?: string | undefined
  readonly prompt?: string | undefined
  readonly stream?: boolean | undefined
}

/** One kind of error. */
export interface ErrorCase {
  readonly name: string
  readonly call: Call
  readonly status: number
  readonly gateway: number
  readonly seller: number
  readonly payments: number
  /** Where LangChain asks again, and the others do not. */
  readonly langchain?: number
}

/** Every case of an error: its status, and how often gateway, seller and wallet are asked by clients with two retries. */
export const ERROR_CASES: readonly ErrorCase[] = [
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
    // Each question is asked once more on a fresh connection.
    seller: 6,
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
    name: 'a 422 after payment, which LangChain and LiteLLM would repeat',
    call: { model: 'paid/schema' },
    status: 400,
    gateway: 1,
    seller: 2,
    payments: 1,
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

/** The key of the gateway's one caller. */
export const ERROR_CALLER_KEY = 'right-key'

/** What passed since the last `reset()`. */
export interface ErrorCounts {
  /** Requests that reached the gateway. */
  readonly gateway: number
  /** Requests that reached the seller, unpaid ones too. */
  readonly seller: number
  /** Requests that carried a payment to the seller. */
  readonly payments: number
}

/** See {@link startErrorWorld}. */
export interface ErrorWorld {
  /** Root address of the gateway, without `/v1`. */
  readonly url: string
  counts(): ErrorCounts
  reset(): void
  close(): Promise<void>
}

/** Starts the seller and the gateway. Each case of {@link ERROR_CASES} is asked for by its model. */
export async function startErrorWorld(): Promise<ErrorWorld> {
  Object.assign(process.env, {
    ERRORS_WALLET: localAccounts().buyer.privateKey,
    ERRORS_KEY: ERROR_CALLER_KEY,
  })
  const seller = await startScriptedSeller(async (request, response) => {
    const { model } = JSON.parse(request.body.toString()) as { model: string }
    if (model === 'unpaid-busy') return await error(503)(request, response)
    const isPaid = request.headers['payment-signature'] !== undefined
    if (isPaid) return await AFTER_PAYMENT[model]?.(request, response)
    if (model === 'down') return void response.destroy()
    if (model === 'solana') return send(response, challengeV2([{ ...OFFER, network: 'solana:x' }]))
    send(response, challengeV2([{ ...OFFER, amount: { dear: '200000', stop: '99950' }[model] ?? '1000' }]))
  })
  let requests = 0
  const count = (event: TollwayEvent): void => {
    if (event.type === 'request') requests += 1
  }
  const paid = { api_base: seller.apiBase, payer: 'base' }
  const gateway = await startGateway(
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
  const hasPayment = ({ headers }: (typeof seller.requests)[number]): boolean =>
    headers['payment-signature'] !== undefined
  return {
    url: gateway.url,
    counts: () => ({
      gateway: requests,
      seller: seller.requests.length,
      payments: seller.requests.filter(hasPayment).length,
    }),
    reset() {
      requests = 0
      seller.requests.length = 0
    },
    async close() {
      await gateway.close()
      await seller.close()
    },
  }
}
