/**
 * One request in flight or finished: which clients wait for it, its outcome, and whether any client received the
 * answer.
 */
import type { ServerResponse } from 'node:http'
import type { Charge } from '../../src/core/charge/charge.ts'
import { property } from '../../src/core/property.ts'
import {
  spentOf,
  type Exchange,
  type ExchangePayment,
  type ExchangeRecord,
  type ExchangeRelay,
  type ExchangeRouting,
  type Reply,
  type Run,
} from '../../src/core/request/exchange.ts'
import { isJsonType, mediaType } from '../../src/core/request/header-policy.ts'
import type { RepeatableRequest, Presented, RequestMark } from '../../src/core/request/idempotency.ts'
import { SharedBody, type SharedBodyOptions } from './shared-body.ts'

/** The outcome of a request. */
export type FlightOutcome =
  /** An answer of the seller. */
  | { readonly kind: 'reply'; readonly head: Omit<Reply, 'body'>; readonly body: SharedBody }
  | { readonly kind: 'error'; readonly error: unknown }
  /** It ended before anything was sent: it was refused, or its client left. The next waiting request runs on its own. */
  | { readonly kind: 'nothing' }

/**
 * What a repeat takes over from the request it repeats: what was paid and how the answer is relayed, so that a
 * repeat gets what the first client got.
 */
export interface Facts {
  readonly routing: Pick<ExchangeRouting, 'route' | 'payer' | 'candidate'>
  readonly payment: Pick<ExchangePayment, 'charge' | 'earlier'>
  readonly record: Pick<ExchangeRecord, 'outcome'>
  readonly relay: Pick<ExchangeRelay, 'usageChunk'>
}

/** Options of a {@link Flight}. */
export interface FlightOptions extends Omit<SharedBodyOptions, 'isWanted'> {
  readonly mark: RequestMark
  readonly presented: Presented
  /** The newest charge for the same body when it came: that of an earlier request. */
  readonly knew: string | undefined
  /** Its client marks its retries or names its requests, so a repeat may ask for the same answer. */
  readonly mayBeAskedAgain: boolean
  readonly now: () => number
  /** Called when the last client left before the payment's outcome was known and before any client received a byte. */
  readonly onAbandoned: (flight: Flight) => void
  /** Called before a client learns that its answer is lost. */
  readonly onLost: (chargeId: string) => Promise<void>
  /** Called once, when no client waits any more and what was paid is known. */
  readonly onEnd: (flight: Flight) => void
}

/** One request with its clients and its outcome. */
export class Flight implements Run, RepeatableRequest {
  readonly mark: RequestMark
  readonly startedAt: number
  readonly #options: FlightOptions
  #left = new AbortController()
  readonly #outcome = Promise.withResolvers<FlightOutcome>()
  /** Exchange of the client that made the request. */
  #exchange: Exchange | undefined
  /** Charge of the request, kept after the request itself is dropped. */
  #chargeId: string | undefined
  #known: FlightOutcome | undefined
  #facts: Facts | undefined
  #begun = false
  #waiting = 0
  #delivered = false
  #cut = false
  #endedAt: number | undefined
  /** The answer's headers, emptied when the answer is forgotten. */
  #kept: Record<string, Reply['headers'][string]> = {}

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

  get knew(): string | undefined {
    return this.#options.knew
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
    // Regardless of its status: a stream that was opened early reports a failure inside a 200 answer.
    if (this.#known.kind === 'error') return 'failed'
    if (this.#delivered) return 'delivered'
    return this.#known.kind === 'reply' && this.#waiting > 0 ? 'running' : 'failed'
  }

  /** Whether another process pays, or paid, for the same request: this attempt is none that a later one could repeat. */
  get isOfAnother(): boolean {
    return this.#known?.kind === 'error' && property(this.#known.error, 'code') === 'request_in_progress'
  }

  /** Whether a client was cut off from its answer: a repeat would be cut off in the same place. */
  get isCut(): boolean {
    return this.#cut && !this.#delivered
  }

  /** The last charge it reserved, whatever its outcome. */
  get chargeId(): string | undefined {
    return this.#exchange?.payment.charge?.id ?? this.#chargeId
  }

  /** The charge that was paid, or may have been paid, for it; known at the end. */
  get charge(): Charge | undefined {
    return this.#paid ? this.#facts?.payment.charge : undefined
  }

  /** The exchange's part of the outcome; `undefined` until it is known. */
  get facts(): Facts | undefined {
    return this.#facts
  }

  /** The outcome; resolves when it is known, which for an answer is before its body has arrived. */
  get outcome(): Promise<FlightOutcome> {
    return this.#outcome.promise
  }

  /** The answer's body, while it can still be read from the beginning. */
  get shared(): SharedBody | undefined {
    return this.#known?.kind === 'reply' ? this.#known.body : undefined
  }

  /**
   * Counts a client as waiting until its response closes.
   * @param isFirst whether this client made the request that is in flight
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
    // The client already left while another middleware was busy: `close` will not fire again.
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
    this.#kept = { ...head.headers }
    this.#options.onSize(sizeOf(this.#kept))
    this.#settle({ kind: 'reply', head: { ...head, headers: this.#kept }, body: shared }, exchange)
  }

  /** Drops what is kept of the answer; clients that are reading it continue. */
  forget(): void {
    this.#options.onSize(-sizeOf(this.#kept))
    // Emptied in place: the outcome's promise holds it as well.
    for (const name of Object.keys(this.#kept)) delete this.#kept[name]
    this.shared?.forget()
  }

  fail(exchange: Exchange, error: unknown): void {
    const isNothing = this.leaving.aborted && spentOf(exchange) === 'no'
    this.#settle(isNothing ? { kind: 'nothing' } : { kind: 'error', error }, exchange)
  }

  async lost(): Promise<void> {
    const { payment } = this.#exchange ?? this.#facts ?? {}
    if (payment?.charge && spentOf({ payment }) !== 'no') await this.#options.onLost(payment.charge.id)
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
      payment: { charge: payment.charge, earlier: payment.earlier },
      record: { outcome: record.outcome },
      relay: { usageChunk: relay.usageChunk },
    }
    this.#outcome.resolve(outcome)
    if (this.#waiting === 0) this.#end()
  }

  /** The request was answered or its client left before the interceptor ran: the waiting requests run on their own. */
  #cancel(): void {
    this.#left.abort()
    this.#known ??= { kind: 'nothing' }
    this.#outcome.resolve(this.#known)
    this.#end()
  }

  /** No client waits any more. What was sent is still completed and recorded. */
  #deserted(): void {
    if (this.#known) return this.#end()
    this.#left.abort()
    if (this.abandoned) this.#options.onAbandoned(this)
  }

  #end(): void {
    // An undelivered answer is read to its end, in case the client comes back; so is one with its own idempotency
    // key.
    const isOwed = !this.#delivered || this.#options.presented.named === 'idempotency-key'
    if (this.#paid && isOwed) this.shared?.keep()
    else this.shared?.release()
    if (this.#endedAt !== undefined) return
    this.#endedAt = this.#options.now()
    this.#forgetRequest()
    this.#options.onEnd(this)
  }

  /** Only digests of a request are remembered: a body of tens of megabytes must not stay in memory for minutes. */
  #forgetRequest(): void {
    this.#chargeId = this.chargeId
    this.#exchange = undefined
    // Listeners of the old signal are done with it, and may hold the request in memory.
    const left = new AbortController()
    // A string, because an Error object would keep the objects of its stack alive.
    if (this.#left.signal.aborted) left.abort('ended')
    this.#left = left
    if (this.#known?.kind === 'error')
      this.#known = { kind: 'error', error: withoutFrames(this.#known.error) }
  }
}

/** Turns an error's stack into text: until it is read, V8 keeps the objects of its frames, and with them the request. */
function withoutFrames(error: unknown): unknown {
  for (let one = error; one instanceof Error && one.stack !== undefined; one = one.cause);
  return error
}

/**
 * Whether a client received what was paid for, now that its response is closed: a complete answer, or as much of a
 * stream as the client wanted. An answer that was cut off, truncated or ended with an error is not delivered.
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

/** The size of headers as they are sent, bytes. */
function sizeOf(headers: Reply['headers']): number {
  let size = 0
  for (const [name, value] of Object.entries(headers)) size += name.length + String(value).length
  return size
}
