/** One answer on its way to the client. */
import type { ServerResponse } from 'node:http'
import type { Clock } from '../src/core/clock.ts'
import { CostSplicer } from '../src/core/cost-splicer.ts'
import { streamOfJson } from '../src/core/answer-conversion.ts'
import type { Exchange, Reply } from '../src/core/exchange.ts'
import { scanTopLevel } from '../src/core/json-scan.ts'
import { formatUsd } from '../src/core/money.ts'
import { answerKind, type AnswerKind } from '../src/core/stream-json.ts'
import type { Timers } from '../src/core/timers.ts'
import { readUsage } from '../src/core/usage.ts'
import { headerText, setAnswerHeaders, trailersOf } from './answer-headers.ts'
import { AnswerFromEvents } from './answer-from-events.ts'
import { setStreamHeaders } from './early-answer.ts'
import { KeepAlive } from './keep-alive.ts'
import { Pacer } from './pacer.ts'
import { ClientSink, watchBody } from './relay-body.ts'
import { relayedHeaders } from './relay-headers.ts'
import { SseRelay, usageTap, type SseEnd } from './sse-relay.ts'
import { planOf } from './stream-plan.ts'
import { brokenOff, type TruncationFallback } from './truncation.ts'

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
}

/** See the file's head. */
export class Relay {
  readonly #settings: RelaySettings
  readonly #exchange: Exchange
  readonly #reply: Reply
  readonly #res: ServerResponse
  readonly #client: ClientSink
  readonly #stop = new AbortController()
  readonly #pacer: Pacer | undefined

  constructor(settings: RelaySettings, exchange: Exchange, reply: Reply, res: ServerResponse) {
    const route = exchange.candidate?.route
    this.#settings = {
      ...settings,
      idleMs: route?.timeouts?.idleMs ?? settings.idleMs,
      onDisconnect: route?.onDisconnect ?? settings.onDisconnect,
    }
    this.#exchange = exchange
    this.#reply = reply
    this.#res = res
    this.#client = new ClientSink(res, {
      onFirstByte: () => (exchange.firstByteAt = settings.clock.now()),
      onStall: () => (exchange.details['client'] = 'stopped reading'),
      idleMs: this.#settings.idleMs,
      timers: settings.timers,
    })
    const pace = route?.eventsPerSecond
    this.#pacer = pace === undefined ? undefined : new Pacer(pace, settings.timers, this.#client.gone)
  }

  async run(): Promise<void> {
    const plan = planOf(this.#exchange, this.#reply)
    const undo = this.#watchClient()
    try {
      switch (plan.way) {
        case 'untouched':
          return await this.#untouched()
        case 'watched':
          return await this.#watched()
        case 'events':
          return await this.#events()
        case 'json':
          return await this.#json()
        case 'json-to-events':
          return await this.#jsonAsEvents(plan.kind)
        case 'events-to-json':
          return await this.#eventsAsJson(plan.kind)
        default:
          return plan satisfies never
      }
    } finally {
      undo()
    }
  }

  /**
   * A client that leaves ends the reading; for a paid answer to be drained, a time limit does. What was done is in the
   * record, which is written the moment the client leaves: so it stands there until the answer is through.
   */
  #watchClient(): () => void {
    const { onDisconnect, drainMs, timers } = this.#settings
    const drains = this.#reply.kind === 'paid' && onDisconnect === 'drain'
    let cancel: (() => void) | undefined
    const left = (): void => {
      if (!drains) this.#stop.abort()
      else cancel = timers.after(drainMs, () => this.#stop.abort())
    }
    if (this.#reply.kind === 'paid') this.#exchange.details['client_left'] = drains ? 'drained' : 'aborted'
    if (this.#left) left()
    else this.#client.gone.addEventListener('abort', left)
    return () => {
      this.#client.gone.removeEventListener('abort', left)
      cancel?.()
    }
  }

  #chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const { idleMs, timers } = this.#settings
    return watchBody(this.#reply.body, { idleMs, timers, stop: this.#stop.signal })
  }

  /** Whether nobody is there to answer any more. */
  get #left(): boolean {
    return this.#client.gone.aborted
  }

  #open(overrides: Readonly<Record<string, string | undefined>> = {}): void {
    const res = this.#res
    if (this.#left || res.headersSent) return
    res.statusCode = this.#reply.status
    for (const [name, value] of relayedHeaders(this.#reply)) res.setHeader(name, value)
    for (const [name, value] of Object.entries(overrides)) {
      if (value === undefined) res.removeHeader(name)
      else res.setHeader(name, value)
    }
    setAnswerHeaders(res, this.#exchange)
  }

  #openStream(): void {
    if (this.#left || this.#res.headersSent) return
    const isStream = String(this.#reply.headers['content-type']).startsWith('text/event-stream')
    this.#open({
      'content-length': undefined,
      ...(isStream ? {} : { 'content-type': 'text/event-stream; charset=utf-8' }),
    })
    setStreamHeaders(this.#res)
    this.#res.flushHeaders()
  }

  /** Ends the answer well. */
  #end(): void {
    this.#nothingLost()
    if (!this.#left && this.#res.hasHeader('trailer')) this.#res.addTrailers(trailersOf(this.#exchange))
    this.#client.end()
  }

  #cut(): void {
    this.#nothingLost()
    this.#client.cut()
  }

  /** What comes now is the rest: whether the client waits for its end says nothing. */
  #nothingLost(): void {
    if (!this.#left) delete this.#exchange.details['client_left']
  }

  /** Bytes as they come; a body that breaks cuts the client off too, so that it can tell. */
  async #untouched(tap: (chunk: Uint8Array) => void = () => {}): Promise<void> {
    this.#open()
    if (!this.#left) this.#res.flushHeaders()
    try {
      for await (const chunk of this.#chunks()) {
        tap(chunk)
        await this.#client.write(chunk)
      }
      this.#end()
    } catch (error) {
      this.#broke(error)
      this.#cut()
    }
  }

  async #watched(): Promise<void> {
    const tap = usageTap()
    await this.#untouched((chunk) => {
      tap.push(chunk)
    })
    this.#exchange.usage = tap.usage ?? this.#exchange.usage
  }

  async #events(): Promise<void> {
    const relay = this.#sseRelay()
    this.#openStream()
    await this.#speaking(relay, async (write) => {
      let broken = false
      try {
        for await (const chunk of this.#chunks()) {
          const bytes = relay.push(chunk)
          // Many clients leave at `[DONE]`, before the end of the body.
          if (relay.complete) this.#nothingLost()
          await write(bytes)
          if (relay.sellerError !== undefined) break
        }
      } catch (error) {
        this.#broke(error)
        broken = true
      }
      await this.#finish(relay, broken, write)
    })
  }

  /** The whole JSON answer as the stream that the client asked for. */
  async #jsonAsEvents(kind: AnswerKind): Promise<void> {
    const relay = this.#sseRelay()
    await this.#speaking(relay, async (write) => {
      const held: Uint8Array[] = []
      let passing: ((chunk: Uint8Array) => Uint8Array) | undefined
      let size = 0
      let broken = false
      try {
        for await (const chunk of this.#chunks()) {
          if (passing) {
            await this.#client.write(passing(chunk))
            continue
          }
          held.push(chunk)
          size += chunk.length
          if (size <= this.#settings.maxJsonBytes) continue
          if (this.#res.headersSent) throw new RangeError('the answer is too large to convert')
          // Paid for: better in the wrong form than lost.
          passing = this.#passing()
          this.#open({ 'content-length': undefined })
          await this.#client.write(passing(Buffer.concat(held.splice(0))))
        }
      } catch (error) {
        this.#broke(error)
        broken = true
        if (passing) return this.#cut()
        if (!this.#res.headersSent) throw brokenOff(error)
      }
      if (this.#stop.signal.aborted) return
      if (passing) return this.#end()
      const stream = broken ? undefined : streamOfJson(kind, Buffer.concat(held).toString('utf8'))
      if (!stream && !this.#res.headersSent) return await this.#whole(Buffer.concat(held))
      this.#exchange.details['converted'] = 'json_to_sse'
      this.#openStream()
      if (stream) await write(relay.push(stream))
      await this.#finish(relay, stream === undefined, write)
    })
  }

  /** The whole stream as the JSON answer that the client asked for. */
  async #eventsAsJson(kind: AnswerKind): Promise<void> {
    const { maxJsonBytes, onTruncated } = this.#settings
    const answer = new AnswerFromEvents(kind, 4 * maxJsonBytes)
    let broken = false
    try {
      for await (const chunk of this.#chunks()) if (answer.push(chunk)) break
    } catch (error) {
      this.#broke(error)
      broken = true
    }
    const end = answer.end(broken, this.#fallback())
    this.#exchange.usage = answer.usage ?? this.#exchange.usage
    this.#exchange.truncated = end.truncated
    this.#noteWords(answer.words)
    if (this.#stop.signal.aborted) return
    if (!end.json || (end.truncated && onTruncated === 'error')) throw brokenOff()
    this.#exchange.details['converted'] = 'sse_to_json'
    await this.#whole(Buffer.from(JSON.stringify(end.json)), {
      'content-type': 'application/json',
      ...(end.truncated ? { 'x-tollway-truncated': 'true' } : {}),
    })
  }

  #passing(): (chunk: Uint8Array) => Uint8Array {
    if (this.#reply.kind === 'unpaid') return (chunk) => chunk
    const splicer = this.#splicer()
    return (chunk) => splicer.push(chunk)
  }

  #sseRelay(): SseRelay {
    const { endpoint, usageChunk } = this.#exchange
    return new SseRelay({
      splicer: this.#reply.kind === 'paid' ? () => this.#splicer() : undefined,
      shape: answerKind(endpoint) ?? 'other',
      onTruncated: this.#settings.onTruncated,
      stripUsage: usageChunk === 'forced',
      tellsUsage: usageChunk === 'asked',
    })
  }

  /** Lets comments go out between events whenever nothing else did for a while. */
  async #speaking(
    relay: SseRelay,
    work: (write: (bytes: Buffer) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const { keepaliveMs, timers } = this.#settings
    let isWriting = false
    const every = keepaliveMs === 0 || this.#reply.kind === 'unpaid' ? undefined : keepaliveMs
    const keepAlive = new KeepAlive(every, timers, () => {
      if (isWriting || this.#left || (this.#res.headersSent && !this.#res.hasHeader('trailer'))) return
      const comment = relay.comment('keep-alive')
      if (!comment) return
      this.#openStream()
      void this.#client.write(comment)
    })
    const send = (bytes: Buffer): Promise<void> => this.#client.write(bytes)
    keepAlive.heard()
    try {
      await work(async (bytes) => {
        if (bytes.length === 0) return
        isWriting = true
        keepAlive.heard()
        if (this.#pacer) await this.#pacer.write(bytes, send)
        else await send(bytes)
        isWriting = false
      })
    } finally {
      keepAlive.stop()
    }
  }

  async #finish(relay: SseRelay, broken: boolean, write: (bytes: Buffer) => Promise<void>): Promise<void> {
    const exchange = this.#exchange
    exchange.usage = relay.usage ?? exchange.usage
    this.#noteWords(relay.sellerError ?? relay.sellerWords)
    if (this.#stop.signal.aborted) return
    const end: SseEnd = relay.end(broken, this.#fallback())
    exchange.usage = relay.usage ?? exchange.usage
    exchange.truncated = end.truncated
    this.#noteWords(relay.sellerError ?? relay.sellerWords)
    this.#nothingLost()
    await write(end.bytes)
    if (end.cut) this.#cut()
    else this.#end()
  }

  #fallback(): TruncationFallback {
    const { id, model = '' } = this.#exchange
    return { requestId: id, model, nowMs: this.#settings.clock.now() }
  }

  #noteWords(words: string | undefined): void {
    if (words !== undefined) this.#exchange.details['stream_error'] = headerText(words)
  }

  /**
   * Sets the cost as the answer comes. A small one is held, so that one that breaks off still gets a status of its own;
   * a large one goes on in chunks, since its length is not known.
   */
  async #json(): Promise<void> {
    const splicer = this.#splicer()
    const held: Uint8Array[] = []
    let size = 0
    let opened = false
    try {
      for await (const chunk of this.#chunks()) {
        const bytes = splicer.push(chunk)
        if (opened) {
          await this.#client.write(bytes)
          continue
        }
        held.push(bytes)
        size += chunk.length
        if (size <= this.#settings.maxJsonBytes) continue
        opened = true
        this.#open({ 'content-length': undefined })
        await this.#client.write(Buffer.concat(held.splice(0)))
      }
    } catch (error) {
      this.#broke(error)
      if (!opened) throw brokenOff(error)
      this.#cut()
      return
    }
    if (this.#stop.signal.aborted) return
    if (opened) this.#end()
    else await this.#send(Buffer.concat(held))
  }

  async #whole(body: Buffer, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.#send(this.#reply.kind === 'paid' ? this.#splicer().push(body) : body, headers)
  }

  async #send(body: Buffer, headers: Readonly<Record<string, string>> = {}): Promise<void> {
    this.#noteUsage(body)
    this.#open({ ...headers, 'content-length': String(body.length) })
    await this.#client.write(body)
    this.#end()
  }

  #noteUsage(body: Buffer): void {
    const usage = scanTopLevel(body)?.findLast(({ key }) => key === 'usage')
    if (!usage) return
    const read = readUsage(parse(body.subarray(usage.valueStart, usage.valueEnd)))
    this.#exchange.usage = read ?? this.#exchange.usage
  }

  #broke(error: unknown): void {
    this.#exchange.truncated = true
    this.#exchange.details['stream_broke'] = error instanceof Error ? error.name : 'Error'
  }

  #splicer(): CostSplicer {
    const microUsd = this.#exchange.charge?.microUsd
    return new CostSplicer(microUsd === undefined ? undefined : formatUsd(microUsd))
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
