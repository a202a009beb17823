/** The two sides of one answer: the seller's body and the client that reads it, with headers and record in between. */
import { sendHead } from '../http/send-head.ts'
import type { ServerResponse } from 'node:http'
import { isBlankText, isUndecided } from '../../src/core/stream/answer-check.ts'
import type { Clock } from '../../src/core/clock.ts'
import { ClaimedUsage } from './claimed-usage.ts'
import type { Usage } from '../../src/core/stream/usage.ts'
import { CostSplicer } from '../../src/core/stream/cost-splicer.ts'
import { costOf, keyedCostOf, type Exchange, type Reply } from '../../src/core/request/exchange.ts'
import { formatUsd } from '../../src/core/money/money.ts'
import type { Timers } from '../../src/core/timers.ts'
import { setNoSniff, setResponseHeaders, trailersOf } from '../http/response-headers.ts'
import { printable } from '../../src/core/printable.ts'
import { setStreamHeaders } from '../http/early-stream.ts'
import { FairShare, type Turns } from './fair-share.ts'
import { abandon, BodyReader } from './body-reader.ts'
import { ClientSink } from './relay-body.ts'
import { setRelayedHeaders } from './relay-headers.ts'
import type { TruncationFallback } from '../../src/core/stream/truncation.ts'

/** See `SseRestreamerOptions`. */
export interface RelaySettings {
  readonly idleMs: number
  readonly drainMs: number
  readonly onDisconnect: 'abort' | 'drain'
  readonly onTruncated: 'length' | 'error'
  readonly keepaliveMs: number
  readonly maxJsonBytes: number
  readonly clock: Clock
  readonly timers: Timers
  /** Shared by all answers of a gateway; by default each has its own. */
  readonly turns?: Turns | undefined
}

/** How long a seller's connection stays open after the protocol's end, milliseconds. */
const LINGER_MS = 1000

const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const

/** Most white space before an answer, bytes: some sellers send it to keep a connection open. */
const MAX_BLANK_BYTES = 65_536

/** State shared by every way of relaying. */
export class RelaySession {
  readonly settings: RelaySettings
  readonly exchange: Exchange
  readonly client: ClientSink
  /** What this answer may take of the thread. */
  readonly share: FairShare
  readonly #res: ServerResponse
  readonly #stop = new AbortController()
  #reply: Reply
  /** Whether the answer was opened as our own stream. */
  #isStream = false
  #receivedBytes = 0
  readonly #claims: ClaimedUsage
  /** The bytes read ahead. */
  #ahead: { readonly first: Uint8Array[]; text: Uint8Array } | undefined
  #body: BodyReader | undefined

  constructor(settings: RelaySettings, exchange: Exchange, reply: Reply, res: ServerResponse) {
    const route = exchange.routing.candidate?.route
    this.settings = {
      ...settings,
      idleMs: route?.timeouts?.idleMs ?? settings.idleMs,
      onDisconnect: route?.onDisconnect ?? settings.onDisconnect,
    }
    this.share = new FairShare(settings.turns)
    this.exchange = exchange
    this.#reply = reply
    this.#res = res
    this.#claims = new ClaimedUsage(exchange)
    this.client = new ClientSink(res, {
      onFirstByte: () => (exchange.relay.firstByteAt = settings.clock.now()),
      onStall: async () => {
        exchange.record.details['client'] = 'stopped reading'
        this.nothingLost()
        exchange.relay.cut = true
        await exchange.payment.run?.lost()
      },
      idleMs: this.settings.idleMs,
      timers: settings.timers,
    })
  }

  /**
   * Stops reading when the client leaves, or, for a paid answer that is drained, at a time limit. The record is
   * written the moment the client leaves, so the disconnect action is set in it beforehand and removed when the
   * answer is complete.
   * @returns a function that stops watching
   */
  watchClient(): () => void {
    const { onDisconnect, drainMs, timers } = this.settings
    const drains = this.reply.kind === 'paid' && onDisconnect === 'drain'
    let cancel: (() => void) | undefined
    const left = (): void => {
      if (!drains) this.#stop.abort()
      else cancel = timers.after(drainMs, () => this.#stop.abort())
    }
    if (this.reply.kind === 'paid')
      this.exchange.record.details['client_left'] = drains ? 'drained' : 'aborted'
    if (this.left) left()
    else this.client.gone.addEventListener('abort', left)
    return () => {
      this.client.gone.removeEventListener('abort', left)
      cancel?.()
      // An error of ours ended the relay: the client is there and gets it.
      this.nothingLost()
    }
  }

  /** Largest answer that is converted from JSON or to JSON: so many times the bytes of one that is only buffered. */
  get maxConvertedBytes(): number {
    return 4 * this.settings.maxJsonBytes
  }

  /** The answer that is relayed. */
  get reply(): Reply {
    return this.#reply
  }

  /** The seller's bytes in slices, to be read. @throws BodyIdleError, or the error of the body */
  async *slices(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let chunk = await this.read(); chunk; chunk = await this.read()) yield* this.share.slices(chunk)
    } finally {
      this.letGo()
    }
  }

  /**
   * The next of the seller's bytes, to be passed on. Let go of the body at the end.
   * @returns `undefined` at the end, or when the reading was stopped
   * @throws BodyIdleError, or the error of the body
   */
  async read(): Promise<Uint8Array | undefined> {
    return this.#ahead?.first.shift() ?? (await this.#readBody())
  }

  /**
   * Waits for the first bytes, which show what the answer is; {@link RelaySession.read} still starts with them.
   * @returns no bytes if there are none or the client left
   * @throws BodyIdleError, or the error of the body
   */
  async beginning(): Promise<Uint8Array> {
    if (this.#ahead) return this.#ahead.text
    const first: Uint8Array[] = []
    const text: Uint8Array = new Uint8Array()
    const ahead = { first, text }
    this.#ahead = ahead
    for (let size = 0; size <= MAX_BLANK_BYTES;) {
      const chunk = await this.#readBody()
      if (!chunk) break
      ahead.first.push(chunk)
      size += chunk.length
      if (ahead.text.length === 0 && isBlankText(chunk)) continue
      ahead.text = ahead.text.length === 0 ? chunk : Buffer.concat([ahead.text, chunk])
      if (!isUndecided(ahead.text)) break
    }
    return ahead.text
  }

  /**
   * The answer is complete. Its connection has a moment to end on its own, so that it can be reused, and is then
   * closed. Anything that still arrives, such as heartbeats, is discarded.
   * @param found reads what still arrives until it has found what it looks for
   * @returns resolves when it was found, or nothing more arrives
   */
  linger(
    chunks: AsyncGenerator<Uint8Array, void, undefined>,
    found: (chunk: Uint8Array) => boolean = () => false,
  ): Promise<void> {
    const cancel = this.letGoSoon()
    return new Promise((resolve) => {
      const readOn = async (): Promise<void> => {
        for (let step = await chunks.next(); step.done !== true; step = await chunks.next()) {
          if (found(step.value)) resolve()
        }
      }
      const ended = (): void => {
        cancel()
        resolve()
      }
      readOn().then(ended, ended)
    })
  }

  /** Closes the seller's body in a second. @returns a function that cancels this */
  letGoSoon(): () => void {
    return this.settings.timers.after(LINGER_MS, () => this.letGo())
  }

  /** Closes the seller's body. */
  letGo(): void {
    abandon(this.#reply.body)
  }

  /** Drops a byte order mark, which JSON parsers reject. Call it after {@link RelaySession.beginning}. */
  dropByteOrderMark(): void {
    const ahead = this.#ahead
    if (!ahead || BYTE_ORDER_MARK.some((byte, at) => ahead.text[at] !== byte)) return
    ahead.text = ahead.text.subarray(BYTE_ORDER_MARK.length)
    ahead.first.splice(0, ahead.first.length, ahead.text)
  }

  /** Sets the content type that the answer really has. */
  retype(type: string): void {
    this.#reply = { ...this.#reply, headers: { ...this.#reply.headers, 'content-type': type } }
  }

  async #readBody(): Promise<Uint8Array | undefined> {
    const { idleMs, timers } = this.settings
    this.#body ??= new BodyReader(this.#reply.body, { idleMs, timers, stop: this.#stop.signal })
    const chunk = await this.#body.read()
    this.#receivedBytes += chunk?.length ?? 0
    return chunk
  }

  /** Whether the client has left. */
  get left(): boolean {
    return this.client.gone.aborted
  }

  /** Whether reading was stopped because the client left: there is nothing more to do. */
  get stopped(): boolean {
    return this.#stop.signal.aborted
  }

  /** Whether the headers have been sent to the client: the form of the answer is fixed. */
  get opened(): boolean {
    return this.#res.headersSent
  }

  /** Whether the answer is, or may still become, our own stream, which can carry comments. */
  get mayComment(): boolean {
    return !this.left && (!this.opened || this.#isStream || this.exchange.relay.openedEarly)
  }

  /** Sets the headers, which are sent with the first byte. @param overrides `undefined` removes a header */
  open(overrides: Readonly<Record<string, string | undefined>> = {}): void {
    const res = this.#res
    if (this.left || res.headersSent) return
    res.statusCode = this.reply.status
    setRelayedHeaders(res, this.reply)
    if (this.reply.kind === 'paid') setNoSniff(res)
    for (const [name, value] of Object.entries(overrides)) {
      if (value === undefined) res.removeHeader(name)
      else res.setHeader(name, value)
    }
    setResponseHeaders(res, this.exchange)
  }

  /** Sends the headers at once. */
  flush(): void {
    if (!this.left) sendHead(this.#res)
  }

  /** Opens the answer as an event stream. */
  openStream(): void {
    if (this.left || this.opened) return
    const isStream = String(this.reply.headers['content-type']).startsWith('text/event-stream')
    const type = isStream ? {} : { 'content-type': 'text/event-stream; charset=utf-8' }
    this.open({ 'content-length': undefined, ...type })
    setStreamHeaders(this.#res)
    this.#isStream = true
    sendHead(this.#res)
  }

  /** Ends the answer normally. */
  end(): void {
    this.nothingLost()
    if (!this.left && this.#res.hasHeader('trailer')) this.#res.addTrailers(trailersOf(this.exchange))
    this.client.end()
  }

  /** Cuts the client off, so that it can tell that the answer is incomplete. */
  async cut(): Promise<void> {
    this.nothingLost()
    if (!this.left) this.exchange.relay.cut = true
    await this.exchange.payment.run?.lost()
    this.client.cut()
  }

  /** The answer itself is complete: whether the client waits for the end of the body no longer matters. */
  nothingLost(): void {
    if (!this.left) delete this.exchange.record.details['client_left']
  }

  /** Records that the seller's answer was incomplete. */
  broke(error: unknown): void {
    this.exchange.relay.truncated = true
    this.exchange.record.details['stream_broke'] = error instanceof Error ? error.name : 'Error'
  }

  /** Records the seller's error message; it is not sent to the client. */
  noteStreamError(error: string | undefined): void {
    if (error !== undefined) this.exchange.record.details['stream_error'] = printable(error)
  }

  /**
   * Keeps the token counts that the answer claims, as far as they are possible. The client still reads the claim.
   * @param received what has arrived of the answer, decoded, bytes
   */
  noteUsage(claimed: Usage | undefined, received: number = this.#receivedBytes): void {
    if (claimed) this.#claims.note(claimed, received, this.reply.kind)
  }

  /** Sets the amount paid in one JSON text. */
  splicer(): CostSplicer {
    const microUsd = costOf(this.exchange)
    return new CostSplicer(microUsd === undefined ? undefined : formatUsd(microUsd))
  }

  /** Whether an upstream bills the answer to a key, by prices that are known. */
  get isKeyed(): boolean {
    return this.reply.kind === 'unpaid' && keyedCostOf(this.exchange) !== undefined
  }

  /** Sets what an upstream bills to a key; `undefined` while that is not known. */
  keyedSplicer(): CostSplicer | undefined {
    const cost = keyedCostOf(this.exchange)
    return cost?.isExact === true ? new CostSplicer(formatUsd(cost.microUsd)) : undefined
  }

  /** Sets the cost in a complete JSON text. */
  async spliced(body: Buffer): Promise<Buffer> {
    const splicer = this.reply.kind === 'paid' ? this.splicer() : this.keyedSplicer()
    if (!splicer) return body
    const chunks: Buffer[] = []
    for await (const slice of this.share.slices(body)) chunks.push(splicer.push(slice))
    return await this.share.whole(chunks)
  }

  /** Values that replace what the seller did not send. */
  fallback(): TruncationFallback {
    const { id } = this.exchange
    const { model = '' } = this.exchange.request
    return { requestId: id, model, nowMs: this.settings.clock.now() }
  }
}
