/** Relays the answer of a seller or upstream to the client, as it comes. */
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import type { Exchange, Reply } from '../src/core/exchange.ts'
import { CostSplicer } from '../src/core/cost-splicer.ts'
import { scanTopLevel } from '../src/core/json-scan.ts'
import { formatUsd } from '../src/core/money.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import { readUsage } from '../src/core/usage.ts'
import { headerText, setAnswerHeaders } from './answer-headers.ts'
import { exchangeOf } from './exchange.ts'
import { asyncHandler, type Handler } from './handler.ts'
import { parseOptions } from './options.ts'
import { ClientSink, watchBody } from './relay-body.ts'
import { isEncoded, mediaType, relayedHeaders } from './relay-headers.ts'
import { SseRelay, usageTap } from './sse-relay.ts'
import { brokenOff, streamShape } from './truncation.ts'

/** Options of {@link sseRestreamer}. */
export interface SseRestreamerOptions {
  /** Longest silence of a body, and longest time a client may read nothing, milliseconds, 1 to 2^31-1; default 300,000. */
  readonly idleMs?: number | undefined
  /** Longest time a paid stream is read on after its client left (`drain`), milliseconds; default 3,600,000. */
  readonly drainMs?: number | undefined
  /** What becomes of a paid stream whose client left: `abort` (default) lets go of the seller, `drain` reads to the end. */
  readonly onDisconnect?: 'abort' | 'drain' | undefined
  /** How a paid stream that breaks ends: `length` (default) as a truncated answer, `error` with an in-stream error. */
  readonly onTruncated?: 'length' | 'error' | undefined
  /**
   * Largest JSON answer that is held until it is whole, bytes; default 8 MiB. A larger one is relayed as it comes, its
   * cost set all the same.
   */
  readonly maxJsonBytes?: number | undefined
  readonly clock?: Clock | undefined
  readonly timers?: Timers | undefined
}

const MAX_DELAY_MS = 2 ** 31 - 1
const milliseconds = z
  .int()
  .min(1, 'give at least 1 millisecond')
  .max(MAX_DELAY_MS, 'at most 2147483647 milliseconds')

const SCHEMA = z.strictObject({
  idleMs: milliseconds.default(300_000),
  drainMs: milliseconds.default(3_600_000),
  onDisconnect: z.enum(['abort', 'drain'], 'use "abort" or "drain"').default('abort'),
  onTruncated: z.enum(['length', 'error'], 'use "length" or "error"').default('length'),
  maxJsonBytes: z
    .int()
    .min(0, 'give a number of bytes')
    .default(8 * 1024 * 1024),
  clock: z.custom<Clock>((value) => isObject(value) && 'now' in value, 'give { now() }').default(systemClock),
  timers: z
    .custom<Timers>((value) => isObject(value) && 'after' in value, 'give { after(ms, work) }')
    .default(systemTimers),
})

type Settings = z.output<typeof SCHEMA>

/**
 * Relays `exchange.reply`; without one the next middleware is asked. Unpaid answers go through byte for byte. Of paid
 * answers the headers are filtered, `usage.cost` is set to what was paid, and a stream that breaks ends as a truncated
 * answer. Fills `exchange.usage`, `exchange.firstByteAt` and `exchange.truncated`.
 * @throws ConfigError for a mistake in the options
 */
export function sseRestreamer(options: SseRestreamerOptions = {}): Handler {
  const settings = parseOptions('sseRestreamer', SCHEMA, options)
  return asyncHandler('sseRestreamer', async (req, res, next) => {
    const exchange = exchangeOf(req, settings.clock)
    if (!exchange.reply) return next()
    await new Relay(settings, exchange, exchange.reply, res).run()
  })
}

/** One answer on its way. */
class Relay {
  readonly #settings: Settings
  readonly #exchange: Exchange
  readonly #reply: Reply
  readonly #res: ServerResponse
  readonly #client: ClientSink
  readonly #stop = new AbortController()

  constructor(settings: Settings, exchange: Exchange, reply: Reply, res: ServerResponse) {
    this.#settings = settings
    this.#exchange = exchange
    this.#reply = reply
    this.#res = res
    this.#client = new ClientSink(res, {
      onFirstByte: () => (exchange.firstByteAt = settings.clock.now()),
      onStall: () => (exchange.details['client'] = 'stopped reading'),
      idleMs: settings.idleMs,
      timers: settings.timers,
    })
  }

  async run(): Promise<void> {
    const { headers, kind } = this.#reply
    const readable = !isEncoded(headers)
    const type = mediaType(headers)
    const undo = this.#watchClient()
    try {
      if (readable && type === 'text/event-stream') {
        await (kind === 'paid' ? this.#events() : this.#eventsUntouched())
      } else if (readable && kind === 'paid' && isJson(type)) await this.#json()
      else await this.#untouched()
    } finally {
      undo()
    }
  }

  /** A client that leaves ends the reading; for a paid answer to be drained, a time limit does. */
  #watchClient(): () => void {
    const { onDisconnect, drainMs, timers } = this.#settings
    let cancel: (() => void) | undefined
    const left = (): void => {
      if (this.#reply.kind === 'unpaid' || onDisconnect === 'abort') this.#stop.abort()
      else cancel = timers.after(drainMs, () => this.#stop.abort())
    }
    if (this.#client.gone.aborted) left()
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
    if (this.#left) return
    res.statusCode = this.#reply.status
    for (const [name, value] of relayedHeaders(this.#reply)) res.setHeader(name, value)
    for (const [name, value] of Object.entries(overrides)) {
      if (value === undefined) res.removeHeader(name)
      else res.setHeader(name, value)
    }
    setAnswerHeaders(res, this.#exchange)
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
      this.#client.end()
    } catch (error) {
      this.#broke(error)
      this.#client.cut()
    }
  }

  async #eventsUntouched(): Promise<void> {
    const tap = usageTap()
    await this.#untouched((chunk) => {
      tap.push(chunk)
    })
    this.#exchange.usage = tap.usage ?? this.#exchange.usage
  }

  async #events(): Promise<void> {
    const exchange = this.#exchange
    const relay = new SseRelay({
      splicer: () => this.#splicer(),
      shape: streamShape(exchange.endpoint),
      onTruncated: this.#settings.onTruncated,
    })
    this.#open({
      'content-length': undefined,
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
    })
    if (!this.#left) this.#res.flushHeaders()
    let broken = false
    try {
      for await (const chunk of this.#chunks()) {
        await this.#client.write(relay.push(chunk))
        if (relay.sellerError !== undefined) break
      }
    } catch (error) {
      this.#broke(error)
      broken = true
    }
    exchange.usage = relay.usage ?? exchange.usage
    if (this.#stop.signal.aborted) return
    const end = relay.end(broken, {
      requestId: exchange.id,
      model: exchange.model ?? '',
      nowMs: this.#settings.clock.now(),
    })
    exchange.usage = relay.usage ?? exchange.usage
    exchange.truncated = end.truncated
    const words = relay.sellerError ?? relay.sellerWords
    if (words !== undefined) exchange.details['stream_error'] = headerText(words)
    await this.#client.write(end.bytes)
    if (end.cut) this.#client.cut()
    else this.#client.end()
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
      this.#client.cut()
      return
    }
    if (this.#stop.signal.aborted) return
    if (!opened) {
      const body = Buffer.concat(held)
      this.#noteUsage(body)
      this.#open({ 'content-length': String(body.length) })
      await this.#client.write(body)
    }
    this.#client.end()
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

function isJson(type: string): boolean {
  return type === 'application/json' || type.endsWith('+json')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch {
    return undefined
  }
}
