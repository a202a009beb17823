/**
 * The state of one request on its way through the middlewares. Each part fills in its own fields and reads
 * those of the parts before it; nothing else is shared.
 */
import type { Charge } from '../charge/charge.ts'
import type { Quote } from '../policy/gate.ts'
import type { ErrorCode } from '../errors.ts'
import type { RequestOutcome, StreamConversion } from '../telemetry/events.ts'
import type { RequestMark } from './idempotency.ts'
import { type Candidate, matchesPattern } from '../routing/route.ts'
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
}

/** What the budget guard gives the payment interceptor: the only way to a reservation. */
export interface Guard {
  /**
   * Reserves the exact quoted price in every budget that matches, or in none.
   * @param pin whether the payee is pinned for this seller on first use
   * @throws TollwayError `budget_exhausted`, `payee_not_allowed`, `store_unavailable`, `audit_unavailable`
   */
  reserve(quote: Quote, candidate: Candidate, pin: boolean): Promise<Charge>
}

/** What the idempotency middleware gives the payment interceptor: one run of a request that several clients may wait for. */
export interface Run {
  /** Kept with the charge, so that the request is known again. */
  readonly mark: RequestMark
  /** Aborted when nobody waits any more, instead of when the first client leaves. */
  readonly leaving: AbortSignal
  /** The interceptor has taken the request on: it will call {@link Run.land} or {@link Run.fail}. */
  begin(): void
  /** There is an answer in the exchange: shares its body between everybody who waits. */
  land(exchange: Exchange): void
  /** There is none and will be none. */
  fail(exchange: Exchange, error: unknown): void
}

/** Where the time of a request goes, milliseconds of a clock that only runs forward. */
export interface Timing {
  readonly begunAt: number
  /** Spent waiting for sellers and upstreams so far. */
  awaitedMs: number
  /** When the answer could be relayed; `undefined` for repeats and refusals. */
  readyAt: number | undefined
}

/** What one caller may ask for; what is not given is not limited. */
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

/** The state of one request. */
export interface Exchange {
  readonly id: string
  readonly startedAt: number
  readonly timing: Timing
  /** A served path without the `/v1` prefix, e.g. `/chat/completions`, or `other`. */
  endpoint: string
  caller: string
  /** The models the caller may use: names, or patterns with one `*`. `['*']` when no callers are configured. */
  allowedModels: readonly string[]
  /** The caller's own limits, if it has any. */
  limits?: CallerLimits | undefined
  /** Set before the body is read, where the path says which seller is meant. */
  direct?: Direct | undefined
  /** The raw request body, as received. */
  body: Buffer | undefined
  /** As the client named it. */
  model: string | undefined
  stream: boolean
  route: string | undefined
  payer: string | undefined
  candidates: readonly Candidate[] | undefined
  routing?: Routing | undefined
  /** The candidate that is asked, or answered. */
  candidate?: Candidate | undefined
  /** Whether the stream's usage chunk was asked for by the client, or only by Tollway; set with the outgoing request. */
  usageChunk?: 'asked' | 'forced' | undefined
  /** The stream was opened before the paid status was known (`early_keepalive`). */
  openedEarly?: boolean | undefined
  /** Says something to the client while a paid call is silent; returns what ends it. */
  waitAloud?: (() => () => void) | undefined
  /** Subjects of the budgets per tag: declared ones and `other`. */
  tags: readonly string[]
  guard: Guard | undefined
  run: Run | undefined
  charge: Charge | undefined
  reply: Reply | undefined
  usage: Usage | undefined
  /** A paid stream ended without its terminal marker. */
  truncated: boolean
  /** The answer came in one form and went out in the other. */
  conversion?: StreamConversion | undefined
  firstByteAt: number | undefined
  outcome: RequestOutcome | undefined
  code: ErrorCode | undefined
  details: Record<string, string | number | boolean | null>
}

/** Whether money moved for this request: `unknown` while a charge is authorized or uncertain. */
export function spentOf(exchange: Exchange): 'no' | 'yes' | 'unknown' {
  const state = exchange.charge?.state
  if (state === 'settled') return 'yes'
  return state === 'authorized' || state === 'uncertain' ? 'unknown' : 'no'
}

/** Whether the caller of an exchange may use a model. */
export function mayUse(exchange: Exchange, model: string): boolean {
  return exchange.allowedModels.some((pattern) => matchesPattern(pattern, model))
}
