/** `/api/events`: the feed as server-sent events (WHATWG HTML, section 9.2). */
import type { ServerResponse } from 'node:http'
import { TollwayError } from '../../core/errors.ts'
import type { Request } from '../../../middleware/http/handler.ts'
import type { ChargeFeed, FeedEvent } from './feed.ts'

/** Dependencies of {@link EventStreams}. */
export interface EventStreamOptions {
  readonly feed: ChargeFeed
  /** Identifies this process in event ids: event numbers of another process are meaningless here. */
  readonly instance: string
  /** Maximum number of streams; default 50. */
  readonly maxClients?: number | undefined
  /** Interval of heartbeats, milliseconds; default 15,000. Proxies cut silent connections after 30 to 60 seconds. */
  readonly heartbeatMs?: number | undefined
  /**
   * Maximum duration of a stream, milliseconds; default 15 minutes. The browser then reconnects, and its access is
   * checked again.
   */
  readonly lifetimeMs?: number | undefined
}

/** Most bytes that may be queued for a client that does not read. */
const MAX_WAITING_BYTES = 1_048_576
/** How long a browser waits before it reconnects, milliseconds. */
const RETRY_MS = 2_000

/** The open streams. */
export class EventStreams {
  readonly #options: EventStreamOptions
  readonly #open = new Set<() => void>()
  #closed = false

  constructor(options: EventStreamOptions) {
    this.#options = options
  }

  /**
   * Answers with a stream. A client that names the last event it saw (`Last-Event-ID`) gets the events after it,
   * or `reset` if they are no longer kept, upon which it reloads everything.
   * @throws TollwayError `too_many_streams`
   */
  serve(req: Request, res: ServerResponse): void {
    const { feed, maxClients = 50, heartbeatMs = 15_000, lifetimeMs = 900_000 } = this.#options
    if (this.#closed || this.#open.size >= maxClients) {
      throw new TollwayError({
        code: 'too_many_streams',
        message: `${maxClients} live streams are open, which is the limit.`,
        advice: ['Close a page that shows the spending, or ask /api/charges from time to time.'],
      })
    }
    res.statusCode = 200
    res.setHeader('content-type', 'text/event-stream')
    res.setHeader('cache-control', 'no-store')
    res.setHeader('x-accel-buffering', 'no')
    res.write(`retry: ${RETRY_MS}\n\n`)
    for (const event of this.#missed(req)) res.write(this.#frame(event))
    const end = (): void => {
      if (!this.#open.delete(end)) return
      stop()
      clearInterval(beat)
      clearTimeout(life)
      res.end()
    }
    const stop = feed.listen((event) => {
      res.write(this.#frame(event))
      if (res.writableLength > MAX_WAITING_BYTES) res.destroy()
    })
    const beat = setInterval(() => res.write(': alive\n\n'), heartbeatMs).unref()
    const life = setTimeout(end, lifetimeMs).unref()
    this.#open.add(end)
    res.on('close', end)
  }

  /** Number of open streams. */
  get size(): number {
    return this.#open.size
  }

  /** Ends every stream and accepts no more. */
  close(): void {
    this.#closed = true
    for (const end of this.#open) end()
  }

  /** The first message gives a new client its position, so that it can resume. */
  #missed(req: Request): readonly FeedEvent[] {
    const { feed, instance } = this.#options
    const hello = { number: feed.newest, name: 'hello', data: '{}' }
    const last = req.headers['last-event-id']
    if (typeof last !== 'string' || last === '') return [hello]
    const [from, number] = last.split(':', 2)
    const known =
      from === instance && /^\d{1,15}$/.test(number ?? '') ? feed.since(Number(number)) : undefined
    return known ?? [{ ...hello, name: 'reset' }]
  }

  #frame({ number, name, data }: FeedEvent): string {
    return `id: ${this.#options.instance}:${number}\nevent: ${name}\ndata: ${data}\n\n`
  }
}
