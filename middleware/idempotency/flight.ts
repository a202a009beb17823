/** One request on its way, or as it ended: who waits for it, what it came to, and whether anybody got the answer. */
import type { ServerResponse } from 'node:http'
import type { Charge } from '../../src/core/charge/charge.ts'
import type {
  Exchange,
  ExchangePayment,
  ExchangeRecord,
  ExchangeRelay,
  ExchangeRouting,
  Reply,
  Run,
} from '../../src/core/request/exchange.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'
import type { RepeatableRequest, Presented, RequestMark } from '../../src/core/request/idempotency.ts'
import { spentOf } from '../../src/core/request/exchange.ts'
import { SharedBody, type SharedBodyOptions } from './shared-body.ts'

/** What a request came to. */
export type FlightOutcome =
  /** An answer of the seller. */
  | { readonly kind: 'reply'; readonly head: Omit<Reply, 'body'>; readonly body: SharedBody }
  | { readonly kind: 'error'; readonly error: unknown }
  /** It ended before anything was asked: refused on the way, or its client left. The next one tries by itself. */
  | { readonly kind: 'nothing' }

/**
 * What an exchange learns when its request turns out to be a repeat: what was paid, and how the answer is to be handed on, so
 * that a repeat gets what the first client got.
 */
export interface Facts {
  readonly routing: Pick<ExchangeRouting, 'route' | 'payer' | 'candidate'>
  readonly payment: Pick<ExchangePayment, 'charge'>
  readonly record: Pick<ExchangeRecord, 'outcome'>
  readonly relay: Pick<ExchangeRelay, 'usageChunk'>
}

/** What a {@link Flight} is made with. */
export interface FlightOptions extends Omit<SharedBodyOptions, 'isWanted'> {
  readonly mark: RequestMark
  readonly presented: Presented
  /** Its client marks its retries, or names its requests: a repeat may come that wants the same answer. */
  readonly mayBeAskedAgain: boolean
  readonly now: () => number
  /** Told when the last client left while it is not known what comes of its payment, and none of them had a byte. */
  readonly onAbandoned: (flight: Flight) => void
  /** Told once, when nobody waits any more and it is known what was paid. */
  readonly onEnd: (flight: Flight) => void
}

/** See the file's head. */
export class Flight implements Run, RepeatableRequest {
  readonly mark: RequestMark
  readonly startedAt: number
  readonly #options: FlightOptions
  #left = new AbortController()
  readonly #outcome = Promise.withResolvers<FlightOutcome>()
  /** Of the client whose request it is. */
  #exchange: Exchange | undefined
  /** Of the request, once that is forgotten. */
  #chargeId: string | undefined
  #known: FlightOutcome | undefined
  #facts: Facts | undefined
  #begun = false
  #waiting = 0
  #delivered = false
  #cut = false
  #endedAt: number | undefined

  constructor(options: FlightOptions) {
    this.#options = options
    this.mark = options.mark
    this.startedAt = options.now()
  }

  get body(): string {
    return this.mark.body
  }

  get mayBeAskedAgain(): boolean {
    return this.#options.mayBeAskedAgain
  }

  get leaving(): AbortSignal {
    return this.#left.signal
  }

  get endedAt(): number | undefined {
    return this.#endedAt
  }

  get abandoned(): boolean {
    return this.#waiting === 0 && !this.#delivered
  }

  get state(): RepeatableRequest['state'] {
    if (!this.#known) return 'running'
    if (this.#known.kind === 'nothing' || !this.#paid) return 'unpaid'
    // Whatever its status: in a stream that was opened early a failure is told inside an answer of 200.
    if (this.#known.kind === 'error') return 'failed'
    if (this.#delivered) return 'delivered'
    return this.#known.kind === 'reply' && this.#waiting > 0 ? 'running' : 'failed'
  }

  /** Whether a client was cut off from its answer: another one would be cut off from it too. */
  get isCut(): boolean {
    return this.#cut && !this.#delivered
  }

  /** The charge it reserved last, whatever became of it. */
  get chargeId(): string | undefined {
    return this.#exchange?.payment.charge?.id ?? this.#chargeId
  }

  /** The charge that was paid, or perhaps paid, for it; known at the end. */
  get charge(): Charge | undefined {
    return this.#paid ? this.#facts?.payment.charge : undefined
  }

  /** The exchange's part of what it came to; `undefined` until then. */
  get facts(): Facts | undefined {
    return this.#facts
  }

  /** What it came to; resolves when that is known, which for an answer is before its body has come. */
  get outcome(): Promise<FlightOutcome> {
    return this.#outcome.promise
  }

  /** The answer's body, while it can still be read from the beginning. */
  get shared(): SharedBody | undefined {
    return this.#known?.kind === 'reply' ? this.#known.body : undefined
  }

  /**
   * Counts a client in until its response closes.
   * @param isFirst the client whose request is the one on its way
   */
  enter(res: ServerResponse, exchange: Exchange, isFirst: boolean): void {
    this.#waiting += 1
    if (isFirst) this.#exchange = exchange
    const left = (): void => {
      this.#waiting -= 1
      this.#delivered ||= isDelivered(res, exchange)
      this.#cut ||= exchange.relay.cut
      if (isFirst && !this.#begun) this.#cancel()
      else if (this.#waiting === 0) this.#deserted()
    }
    // Gone already, while another middleware was busy: its `close` will not come again.
    if (res.closed) left()
    else res.once('close', left)
  }

  begin(): void {
    this.#begun = true
  }

  complete(exchange: Exchange): void {
    const { reply } = exchange.relay
    if (!reply) throw new TypeError('there is no answer to share')
    const { body, ...head } = reply
    const shared = new SharedBody(body, { ...this.#options, isWanted: () => this.#waiting > 0 })
    exchange.relay.reply = { ...head, body: shared.read() ?? body }
    this.#settle({ kind: 'reply', head, body: shared }, exchange)
  }

  fail(exchange: Exchange, error: unknown): void {
    const isNothing = this.leaving.aborted && spentOf(exchange) === 'no'
    this.#settle(isNothing ? { kind: 'nothing' } : { kind: 'error', error }, exchange)
  }

  get #paid(): boolean {
    const charge = this.#facts?.payment.charge
    return charge !== undefined && charge.state !== 'held' && charge.state !== 'released'
  }

  #settle(outcome: FlightOutcome, exchange: Facts): void {
    if (this.#known) return
    this.#known = outcome
    const { routing, payment, record, relay } = exchange
    const { route, payer, candidate } = routing
    this.#facts = {
      routing: { route, payer, candidate },
      payment: { charge: payment.charge },
      record: { outcome: record.outcome },
      relay: { usageChunk: relay.usageChunk },
    }
    this.#outcome.resolve(outcome)
    if (this.#waiting === 0) this.#end()
  }

  /** It was answered or left on its way to the interceptor: whoever waits goes on by itself. */
  #cancel(): void {
    this.#left.abort()
    this.#known ??= { kind: 'nothing' }
    this.#outcome.resolve(this.#known)
    this.#end()
  }

  /** Nobody waits any more. What was sent is finished and booked, whoever left. */
  #deserted(): void {
    if (this.#known) return this.#end()
    this.#left.abort()
    if (this.abandoned) this.#options.onAbandoned(this)
  }

  #end(): void {
    // An answer nobody got is read to its end, for the client that comes back; so is one that has a key of its own.
    const isOwed = !this.#delivered || this.#options.presented.named === 'idempotency-key'
    if (this.#paid && isOwed) this.shared?.keep()
    else this.shared?.release()
    if (this.#endedAt !== undefined) return
    this.#endedAt = this.#options.now()
    this.#forgetRequest()
    this.#options.onEnd(this)
  }

  /** What is remembered of a request is its digests: a body of tens of megabytes must not stay for minutes. */
  #forgetRequest(): void {
    this.#chargeId = this.chargeId
    this.#exchange = undefined
    // Whoever listened to the signal listens no more, and may hold the request.
    const left = new AbortController()
    // A text: the error that is made otherwise keeps the objects of its stack.
    if (this.#left.signal.aborted) left.abort('ended')
    this.#left = left
    if (this.#known?.kind === 'error')
      this.#known = { kind: 'error', error: withoutFrames(this.#known.error) }
  }
}

/** An error whose stack is text: until it is read, V8 keeps the objects of its frames, and with them the request. */
function withoutFrames(error: unknown): unknown {
  for (let one = error; one instanceof Error && one.stack !== undefined; one = one.cause);
  return error
}

/**
 * Whether a client has what was paid for, now that its response is closed: an answer that came to its end, or as much of one that
 * is read as it comes as the client wanted. What was cut off, cut short or ended with an error is not delivered.
 */
function isDelivered(res: ServerResponse, { relay, record }: Exchange): boolean {
  if (relay.cut || relay.truncated || record.code !== undefined) return false
  if (res.writableFinished) return res.statusCode < 400
  return relay.firstByteAt !== undefined && !isJsonType(mediaType({ 'content-type': typeOf(res) }))
}

function typeOf(res: ServerResponse): string {
  const type = res.getHeader('content-type')
  return typeof type === 'string' ? type : ''
}
