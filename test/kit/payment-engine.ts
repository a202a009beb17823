/** The payment engine without sockets: a scripted seller, a stand-in payer, a ledger in memory and a clock that stands still. */
import { Readable } from 'node:stream'
import type { BudgetRule } from '../../src/core/budget/budget.ts'
import { BUILT_IN_ASSETS } from '../../src/core/money/assets.ts'
import type { Provider } from '../../src/core/payer/provider.ts'
import { newExchange, type Exchange } from '../../src/core/request/exchange.ts'
import type { Candidate, Route } from '../../src/core/routing/route.ts'
import { encodeBase64Json } from '../../src/core/x402/wire-json.ts'
import { Ledger } from '../../src/io/ledger/ledger.ts'
import { memoryStore } from '../../src/io/store/memory/store.ts'
import type { Store } from '../../src/io/store/store.ts'
import type { IncomingReply, OutgoingRequest } from '../../src/io/transport/upstream.ts'
import { CallsInFlight } from '../../src/payment/calls-in-flight.ts'
import { RememberedTerms } from '../../src/core/x402/remembered-terms.ts'
import { tryCandidates } from '../../src/payment/try-candidates.ts'
import type { PaymentContext, PayingCall } from '../../src/payment/payment-context.ts'
import { termsOf } from '../../src/payment/reserve-terms.ts'
import { instance, signed } from '../store/samples.ts'
import { offerV2 } from './quotes.ts'

/** Answers one request of the engine, or throws as the transport does. */
export type Script = (request: OutgoingRequest, isPaid: boolean) => IncomingReply | Promise<IncomingReply>

/** How the engine is set up. */
export interface EngineOptions {
  readonly seller: Script
  readonly budgets?: readonly BudgetRule[]
  readonly payer?: Partial<Provider>
  readonly policy?: Partial<PaymentContext['policy']>
  readonly store?: Store
  readonly approval?: PaymentContext['approval']
}

/** The engine and what went through it. */
export interface Engine {
  readonly context: PaymentContext
  readonly ledger: Ledger
  readonly store: Store
  readonly payer: Provider
  readonly exchange: Exchange
  /** Everything that left, in order. */
  readonly sent: OutgoingRequest[]
  /** What carried a payment. */
  paid(): readonly OutgoingRequest[]
  /** How the payer was told its charges ended. */
  readonly closed: string[]
  /** The client's end of the request: abort it to leave. */
  readonly client: AbortController
  /** Lets time pass: the engine's clock, milliseconds since the epoch. */
  readonly clock: { at: number }
  /** Sends a request of its own on its way from candidate to candidate. @returns its exchange, and what it failed with */
  ask(body: object, candidate?: Candidate): Promise<{ readonly exchange: Exchange; readonly error: unknown }>
  /** The call of one candidate. */
  call(candidate?: Candidate): PayingCall
}

/** The instant at which all of it happens, milliseconds since the epoch. */
export const NOW = 1_800_000_000_000

/** A candidate of a paid route; `changes` for other routes. */
export function candidateAt(host: string, changes: Partial<Route> = {}): Candidate {
  const route: Route = {
    modelName: 'paid/m',
    model: undefined,
    apiBase: `https://${host}/v1`,
    payer: 'wallet',
    apiKey: undefined,
    order: 0,
    ...changes,
  }
  return { route, remoteModel: 'm' }
}

/** An answer of a seller. */
export function reply(
  status: number,
  body = '{}',
  headers: Readonly<Record<string, string>> = {},
): IncomingReply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: Readable.from([Buffer.from(body)]),
  }
}

/** A 402 with these offers; default one of 1,000 units ($0.001). */
export function challenge(...offers: readonly object[]): IncomingReply {
  const accepts = offers.length > 0 ? offers : [offerV2]
  const required = { x402Version: 2, accepts, resource: { url: 'https://seller.test/v1/chat/completions' } }
  return reply(402, '{}', { 'payment-required': encodeBase64Json(required) })
}

/** The header of a receipt. */
export function receiptOf(success: boolean): Readonly<Record<string, string>> {
  return { 'payment-response': encodeBase64Json({ success, transaction: `0x${'ab'.repeat(32)}` }) }
}

/** Sets the engine up for one request to `/chat/completions`. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  const store = options.store ?? memoryStore()
  const clock = { at: NOW, now: () => clock.at }
  const ledger = await Ledger.open({
    store,
    audit: { append: async () => undefined, close: async () => undefined },
    clock,
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    instance: instance('engine', { pid: process.pid }),
    observers: [],
  })
  const sent: OutgoingRequest[] = []
  const closed: string[] = []
  const client = new AbortController()
  let nonce = 0
  const payer: Provider = {
    name: 'stand-in',
    networks: [offerV2.network],
    supports: () => true,
    authorize: async () => {
      nonce += 1
      const header = { name: 'payment-signature', value: `signature-${nonce}` }
      return { kind: 'authorization', header, record: signed(nonce, { validBefore: NOW / 1000 + 60 }) }
    },
    closed: async (_charge, { state }) => void closed.push(state),
    close: async () => undefined,
    ...options.payer,
  }
  let requests = 0
  const open = (body: object): Exchange => {
    requests += 1
    const opened = newExchange({ id: `req_${requests}`, startedAt: NOW, begunAt: 0 })
    opened.endpoint = '/chat/completions'
    opened.request.body = Buffer.from(JSON.stringify(body))
    opened.request.model = 'm'
    opened.payment.guard = {
      reserve: (quote, candidate, pin) =>
        ledger.reserve({ ...termsOf(opened, quote, candidate), tags: [] }, options.budgets ?? [], pin),
    }
    return opened
  }
  const exchange = open({ model: 'm', messages: [] })
  const context: PaymentContext = {
    ledger,
    upstream: {
      send: async (request) => {
        sent.push(request)
        return await options.seller(request, isPaid(request))
      },
      close: async () => undefined,
    },
    payers: new Map([['wallet', payer]]),
    origins: new Set(['https://seller.test', 'https://second.test']),
    policy: {
      maxMicroUsd: 100_000n,
      maxValiditySeconds: 600,
      payTo: new Map(),
      assets: BUILT_IN_ASSETS,
      ...options.policy,
    },
    running: new CallsInFlight(),
    terms: new RememberedTerms(),
    approval: options.approval,
    clock,
    timers: { after: () => () => undefined },
    keepaliveMs: 15_000,
    observers: [],
  }
  return {
    context,
    ledger,
    store,
    payer,
    exchange,
    sent,
    paid: () => sent.filter(isPaid),
    closed,
    client,
    clock,
    async ask(body, candidate = candidateAt('seller.test')) {
      const opened = open(body)
      opened.routing.candidates = [candidate]
      const req = { method: 'POST', url: '/v1/chat/completions', headers: {} }
      const error: unknown = await tryCandidates(context, req, opened, client.signal).then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      return { exchange: opened, error }
    },
    call: (candidate = candidateAt('seller.test')) => ({
      context,
      exchange,
      candidate,
      payer,
      leaving: client.signal,
    }),
  }
}

function isPaid(request: OutgoingRequest): boolean {
  return request.headers['payment-signature'] !== undefined
}
