/**
 * The state of one request on its way through the middlewares. Each part fills in its own fields and reads
 * those of the parts before it; nothing else is shared.
 */
import type { CallerBudget } from '../budget/caller-budgets.ts'
import type { Charge } from '../charge/charge.ts'
import { costOfCall, type CallCost, type MeteredCall } from '../metering/metered-call.ts'
import { scanTopLevel, type Member } from '../json/json-scan.ts'
import type { Quote } from '../policy/gate.ts'
import type { ErrorCode } from '../errors.ts'
import type { RequestOutcome, StreamConversion } from '../telemetry/events.ts'
import type { RequestMark } from './idempotency.ts'
import { matchesPattern } from '../name-pattern.ts'
import type { Candidate, ModelInfo } from '../routing/route.ts'
import type { Usage } from '../stream/usage.ts'
import type { Routing } from '../routing/attempt.ts'

/** An answer of a seller or upstream, not yet relayed. */
export interface Reply {
  readonly status: number
  /** Lower-case names; repeated headers as arrays. */
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  /** The body as it arrives. Destroying it lets go of the connection. */
  readonly body: AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown }
  /** `paid`: filtered and spliced; `unpaid`: byte for byte. */
  readonly kind: 'paid' | 'unpaid'
  /** Takes the payment out of the body once it is decoded: in a compressed one it cannot be seen. */
  readonly redactDecoded?: ((body: Reply['body']) => Reply['body']) | undefined
}

/** What the budget guard gives the payment interceptor: the only way to a reservation. */
export interface Guard {
  /**
   * Reserves the exact quoted price in every budget that matches, or in none.
   * @param pin whether the payee is pinned for this seller on first use
   * @throws TollwayError `budget_exhausted`, `payee_not_allowed`, `store_unavailable`, `audit_unavailable`
   */
  reserve(quote: Quote, candidate: Candidate, pin: boolean): Promise<Charge>
  /**
   * Refuses a price that does not fit now, without reserving it.
   * @throws TollwayError `budget_exhausted`, `store_unavailable`
   */
  check?(quote: Quote, candidate: Candidate): Promise<void>
  /**
   * Reserves the most that a call without a payment may cost at an upstream, and use of budgets in tokens and requests. Where
   * a budget has no room for it and the route has `reduceMaxTokens`, its limit on output tokens is lowered until it fits.
   * @param body as it is sent, decoded
   * @param info the prices of its model
   * @param approval asked before anything is reserved for a call that may cost too much
   * @returns `undefined` when the model has no price and no budget counts the call
   * @throws TollwayError `budget_exhausted`, `store_unavailable`, `audit_unavailable`
   */
  meter?(
    candidate: Candidate,
    body: Buffer | undefined,
    info: ModelInfo | undefined,
    approval?: MeteredApproval,
  ): Promise<MeteredHold | undefined>
}

/** Asks a person about a call without a payment, which may cost at most so many micro-USD. */
export interface MeteredApproval {
  isNeeded(microUsd: bigint): boolean
  /** @throws TollwayError `approval_refused`; ClientLeftError */
  ask(microUsd: bigint): Promise<void>
}

/** A call without a payment that may be sent. */
export interface MeteredHold extends MeteredCall {
  /** What to send instead, with a lower limit on output tokens. */
  readonly reduced: Buffer | undefined
  /**
   * Call it once the answer has begun: where the client is gone for which it was sent, and others wait for the same answer,
   * nobody sees its end, and the most counts. Never rejects.
   */
  readonly answered?: (() => Promise<void>) | undefined
}

/** What the idempotency middleware gives the payment interceptor: one run of a request that several clients may wait for. */
export interface Run {
  /** Kept with the charge, so that the request is known again. */
  readonly mark: RequestMark
  /** Aborted when the last client has left, instead of when the first one leaves. */
  readonly leaving: AbortSignal
  /** The interceptor has taken the request on: it will call {@link Run.complete} or {@link Run.fail}. */
  begin(): void
  /** There is an answer in the exchange: shares its body between everybody who waits. */
  complete(exchange: Exchange): void
  /** There is none and will be none. */
  fail(exchange: Exchange, error: unknown): void
  /**
   * The client is about to learn that it gets no answer for its money, or not all of one. Await it before the client is told: its
   * next attempt may reach another process, which must know by then. Never rejects.
   */
  lost(): Promise<void>
}

/** Where the time of a request goes, milliseconds of a clock that only runs forward. */
export interface Timing {
  readonly begunAt: number
  /** Spent waiting for sellers and upstreams so far. */
  awaitedMs: number
  /** When the answer could be relayed; `undefined` for repeats and refusals. */
  readyAt: number | undefined
}

/** The limits of one caller; a missing field means no limit. */
export interface CallerLimits {
  readonly requestsPerMinute?: number | undefined
  /** Tokens of answers, input and output together. */
  readonly tokensPerMinute?: number | undefined
  /** Requests at once. */
  readonly parallel?: number | undefined
}

/** Where a request goes that names its seller by its path. */
export interface Direct {
  /** With the query: method, address and body go there as they came. */
  readonly url: string
}

/** The endpoint of a direct request that is for none of the model endpoints. */
export const DIRECT_ENDPOINT = '/upstream'

/** Who asks: filled in by `caller()`. */
export interface ExchangeCaller {
  id: string
  /** The models the caller may use: names, or patterns with one `*`. `['*']` when no callers are configured. */
  allowedModels: readonly string[]
  /** The caller's own limits, if it has any. */
  limits: CallerLimits | undefined
  /** The team it belongs to, if any: a subject of budgets per team. */
  team?: string | undefined
  /** What it may spend, beside the configured budgets: of keys that are added while the gateway runs. */
  budgets?: readonly CallerBudget[] | undefined
}

/** What the client sent: filled in by `readBody()`. */
export interface ExchangeRequest {
  /** Set before the body is read, where the path says which seller is meant. */
  direct: Direct | undefined
  /** The body, decoded where it came with a Content-Encoding. */
  body: Buffer | undefined
  /** The body as it came, where that was compressed. */
  encoded: Buffer | undefined
  /** The top-level members of a JSON body; read them by {@link membersOf}. */
  members: readonly Member[] | undefined
  /** The model as the client named it. */
  model: string | undefined
  /** Whether the client asked for a stream. */
  stream: boolean
}

/** Where the request goes: filled in by `modelRouter()`, and kept current by the payment engine. */
export interface ExchangeRouting {
  /** The candidates of another model that the caller may use; none where it may not, or no route serves it. */
  candidatesOf: ((model: string) => readonly Candidate[]) | undefined
  /** The budget that had no room, and the model that took over. */
  exhausted: { readonly budget: string; readonly routeTo: string } | undefined
  /** Name of the route of the candidate that is asked, or answered. */
  route: string | undefined
  /** Payer of that route. */
  payer: string | undefined
  /** Host of the upstream that a path without a candidate goes to. */
  provider: string | undefined
  /** Who may serve the request, best first. */
  candidates: readonly Candidate[] | undefined
  /** The candidate that is asked, or answered. */
  candidate: Candidate | undefined
  /** Health, places and stand-ins of the candidates. */
  attempts: Routing | undefined
}

/** What is paid, and with whose permission: `budgetGuard()`, `idempotency()` and the payment engine. */
export interface ExchangePayment {
  /** Subjects of the budgets per tag: declared ones and `other`. */
  tags: readonly string[]
  guard: Guard | undefined
  run: Run | undefined
  charge: Charge | undefined
  /** What an upstream without a payment will bill for the answer; settled when that is through. */
  metered?: MeteredCall | undefined
  /** A charge of the same request whose payment the seller did not take, as far as it says: it counts in addition to `charge`. */
  earlier: Charge | undefined
  /** A payment for the same call may have been taken under another model: no paid stand-in follows an unpaid answer (rule 5). */
  noPaidStandIn?: boolean | undefined
  /** The request only asked for its price, and was answered with a quote. */
  isDryRun: boolean
  /** The limit on answer tokens the seller was asked with, where `reduce_max_tokens` lowered it. */
  reducedMaxTokens: number | undefined
  /** The outcome of the seller's offer to sign in instead of paying; `undefined` when it made none. */
  signIn: 'offered' | 'no_signer' | 'accepted' | 'refused' | 'not_vetted' | 'failed' | undefined
  /** What was found of the seller's signed offer and receipt, such as `offer=verified, receipt=verified`. */
  evidence: string | undefined
  /** Sends keep-alives to the client while a paid call is silent; returns what ends them. */
  sendKeepAlives: (() => () => void) | undefined
}

/** The answer and what was learned while it was relayed: the payment engine and `sseRestreamer()`. */
export interface ExchangeRelay {
  reply: Reply | undefined
  /** Whether the stream's usage chunk was asked for by the client, or only by Tollway; set with the outgoing request. */
  usageChunk: 'asked' | 'forced' | undefined
  /** The stream was opened before the paid status was known (`early_keepalive`). */
  openedEarly: boolean
  usage: Usage | undefined
  /** What a handler of the host reported by `reportUsage()`: it counts instead of what the answer says. */
  reported?: Usage | undefined
  /** Status of the host's own upstream when that refused the call: nothing is billed for it. */
  refusedBy?: number | undefined
  /** The client has its answer, and the seller has a moment to report `usage`: records wait until this resolves. */
  usageToCome: Promise<void> | undefined
  /** A paid stream ended without its terminal marker. */
  truncated: boolean
  /** The client was cut off before the end of the answer, so that it can tell that the answer is incomplete. */
  cut: boolean
  /** Why Tollway itself closed the client's connection; records then do not say that the client left. */
  closedBy: 'shutdown' | undefined
  /** The answer came in one form and went out in the other. */
  conversion: StreamConversion | undefined
  firstByteAt: number | undefined
}

/** What the audit record and the metrics say of the request; every part may add to it, and no part decides by it. */
export interface ExchangeRecord {
  outcome: RequestOutcome | undefined
  code: ErrorCode | undefined
  details: Record<string, string | number | boolean | null>
  /** What the error said to do, one sentence each. */
  advice?: readonly string[] | undefined
}

/** The state of one request, grouped by the part that owns it. */
export interface Exchange {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly timing: Timing
  /** A served path without the `/v1` prefix, e.g. `/chat/completions`, or `other`. */
  endpoint: string
  readonly caller: ExchangeCaller
  readonly request: ExchangeRequest
  readonly routing: ExchangeRouting
  readonly payment: ExchangePayment
  readonly relay: ExchangeRelay
  readonly record: ExchangeRecord
}

/** What is known of a request when its exchange opens. */
export interface ExchangeStart {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  /** The same instant by `performance.now()`. */
  readonly begunAt: number
}

/** Opens the exchange of a request of which nothing but its start is known. */
export function newExchange({ id, startedAt, begunAt }: ExchangeStart): Exchange {
  return {
    id,
    startedAt,
    timing: { begunAt, awaitedMs: 0, readyAt: undefined },
    endpoint: 'other',
    caller: { id: 'anonymous', allowedModels: ['*'], limits: undefined },
    request: {
      direct: undefined,
      body: undefined,
      encoded: undefined,
      members: undefined,
      model: undefined,
      stream: false,
    },
    routing: {
      candidatesOf: undefined,
      exhausted: undefined,
      route: undefined,
      payer: undefined,
      provider: undefined,
      candidates: undefined,
      candidate: undefined,
      attempts: undefined,
    },
    payment: {
      tags: [],
      guard: undefined,
      run: undefined,
      charge: undefined,
      earlier: undefined,
      isDryRun: false,
      reducedMaxTokens: undefined,
      signIn: undefined,
      evidence: undefined,
      sendKeepAlives: undefined,
    },
    relay: {
      reply: undefined,
      usageChunk: undefined,
      openedEarly: false,
      usage: undefined,
      usageToCome: undefined,
      truncated: false,
      cut: false,
      closedBy: undefined,
      conversion: undefined,
      firstByteAt: undefined,
    },
    record: { outcome: undefined, code: undefined, details: {} },
  }
}

/** The top-level members of a JSON body, which is scanned once; empty for every other body. */
export function membersOf(request: ExchangeRequest): readonly Member[] {
  request.members ??= (request.body && scanTopLevel(request.body)) ?? []
  return request.members
}

/** Whether money moved for this request: `unknown` while a charge is authorized or uncertain. */
export function spentOf({ payment }: Spending): 'no' | 'yes' | 'unknown' {
  const state = payment.charge?.state
  if (state === 'settled') return 'yes'
  if (state === 'authorized' || state === 'uncertain') return 'unknown'
  return payment.earlier === undefined ? 'no' : 'unknown'
}

/** What the request costs, or may cost, micro-USD: all of its charges; `undefined` when it is not known. */
export function costOf({ payment: { charge, earlier } }: Spending): bigint | undefined {
  if (earlier === undefined) return charge?.microUsd
  return charge?.microUsd === undefined || earlier.microUsd === undefined
    ? undefined
    : charge.microUsd + earlier.microUsd
}

/** What an upstream bills for the answer to a key, as far as it is known; `undefined` for a payment, and without a price. */
export function keyedCostOf({ payment: { metered }, relay: { usage } }: Exchange): CallCost | undefined {
  return metered && metered.isHandlers !== true ? costOfCall(metered, usage) : undefined
}

/** The part of an exchange that says what was spent. */
interface Spending {
  readonly payment: Pick<ExchangePayment, 'charge'> & Partial<Pick<ExchangePayment, 'earlier'>>
}

/** Whether the caller of an exchange may use a model. */
export function mayUse(exchange: Exchange, model: string): boolean {
  return exchange.caller.allowedModels.some((pattern) => matchesPattern(pattern, model))
}
