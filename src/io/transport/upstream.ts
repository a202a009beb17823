/**
 * The transport of everything that may be charged: undici pools per origin, no redirects, no retries. Payment headers therefore
 * never follow a redirect, and no payment is sent twice without our knowledge.
 */
import { Agent, buildConnector, Client, type Dispatcher } from 'undici'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { systemTimers, type Timers } from '../../core/timers.ts'
import { tellArrival } from './arrival.ts'
import { connectTo, telling } from './connector.ts'
import { startDeadline } from './deadline.ts'
import { FirstByteLimit } from './first-byte-limit.ts'
import { onlyConnection, openPaymentLine, takeWithin, type PaymentLine } from './payment-line.ts'
import { publicConnector, type LookupAll } from './public-connector.ts'
import { sendOnce, type HandOver } from './send-once.ts'
import { reasonOf, UpstreamError } from './upstream-error.ts'

/** Why the connection of a payment ends; one for all, as a stack trace for each costs more than the rest of it. */
const ANSWERED = new Error('the request of this connection has ended')

/** The timeouts of one exchange with a seller or upstream, milliseconds. */
export interface Timeouts {
  readonly connectMs: number
  /**
   * From the sent request to the response headers, whatever interim responses (1xx) come before: official sellers are silent
   * until settlement.
   */
  readonly firstByteMs: number
  /** The whole exchange, body included. */
  readonly totalMs: number
}

/** One request. */
export interface OutgoingRequest {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Buffer | undefined
  /** Overrides the transport's timeouts for this request. */
  readonly timeouts?: { readonly [K in keyof Timeouts]?: number | undefined } | undefined
  /** Whether it goes to a paid seller: policy may restrict those to the public internet. */
  readonly toSeller?: boolean | undefined
  /** It carries a payment: it is sent once at most, on a connection that nothing else was sent on. */
  readonly carriesPayment?: boolean | undefined
  /** Sent on a connection of its own, which nothing else was sent on. */
  readonly onFreshConnection?: boolean | undefined
  /** The connection that {@link Upstream.openLine} opened for this payment. */
  readonly line?: PaymentLine | undefined
  /** Aborts the request. A request that carries a payment still counts as sent. */
  readonly signal?: AbortSignal | undefined
}

/** A response whose headers have arrived; the body follows. */
export interface IncomingReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Readable
  /** Lower-case names; empty until the body has ended. */
  readonly trailers?: Readonly<Record<string, string>> | undefined
}

/** Sends requests. One per gateway, closed with it. */
export interface Upstream {
  /** @throws UpstreamError when no response headers arrive */
  send(request: OutgoingRequest): Promise<IncomingReply>
  /** Opens the connection for a payment ahead of it. Sends nothing. A transport without it opens one when it sends. */
  openLine?(request: OutgoingRequest): PaymentLine | undefined
  close(): Promise<void>
}

/** Offers carry up to 10 kB in headers; Node's default limit of 16 kB in total is too tight for that. */
const MAX_HEADER_BYTES = 131_072

/** Options of {@link createUpstream}. */
export interface UpstreamOptions {
  /** Replaced in tests. */
  readonly dispatcher?: Dispatcher | undefined
  /** Whether sellers must be on the public internet. */
  readonly publicSellers?: boolean | undefined
  /** Resolves the hosts of sellers if {@link UpstreamOptions.publicSellers}; replaced in tests. */
  readonly lookup?: LookupAll | undefined
  readonly timers?: Timers | undefined
}

/** Opens the transport. */
export function createUpstream(timeouts: Timeouts, options: UpstreamOptions = {}): Upstream {
  const { timers = systemTimers } = options
  const ways = new Map<string, Way>()
  const paying = new Set<Client>()
  // One pool per connect timeout, because undici sets it per pool. Configurations have few of them.
  const wayOf = ({ toSeller, timeouts: own }: OutgoingRequest): Way => {
    const held = toSeller === true && options.publicSellers === true
    if (!held && options.dispatcher) return { pool: options.dispatcher }
    const connectMs = own?.connectMs ?? timeouts.connectMs
    const name = `${held ? 'public' : 'any'} ${connectMs}`
    const known = ways.get(name)
    if (known) return known
    const time = { timeout: connectMs }
    const connect = telling(held ? publicConnector(time, options.lookup) : buildConnector(time))
    const made = { connect, pool: new Agent({ ...clientOptions(timeouts), connect }) }
    ways.set(name, made)
    return made
  }
  const openLine = (request: OutgoingRequest): PaymentLine | undefined => {
    const { connect } = wayOf(request)
    const { origin } = new URL(request.url)
    return connect && openPaymentLine(() => connectTo(connect, origin))
  }

  /** A client of its own for the connection of a payment; it ends with the answer. */
  const clientOn = (socket: Socket, { url }: OutgoingRequest): Client => {
    const client = new Client(new URL(url).origin, {
      ...clientOptions(timeouts),
      connect: onlyConnection(socket),
    })
    paying.add(client)
    return client
  }
  const end = (client: Client | undefined): void => {
    if (!client || !paying.delete(client)) return
    void client.destroy(ANSWERED).catch(() => undefined)
  }

  const send = async (request: OutgoingRequest): Promise<IncomingReply> => {
    const own = request.timeouts
    const deadline = startDeadline(own?.totalMs ?? timeouts.totalMs, request.signal)
    const { signal } = deadline
    const limit = new FirstByteLimit(own?.firstByteMs ?? timeouts.firstByteMs, timers, deadline)
    const handOver: HandOver = { isHandedOver: false }
    let client: Client | undefined
    try {
      if (request.carriesPayment === true || request.onFreshConnection === true) {
        const line = request.line ?? openLine(request)
        const socket = line && (await takeWithin(line, signal))
        if (socket) client = clientOn(socket, request)
      }
      const dispatcher = client ?? wayOf(request).pool
      const steps = request.carriesPayment === true ? [sendOnce(handOver)] : []
      const sender = dispatcher.compose(limit.intercept, ...steps)
      const answer = await sender.request({
        ...(own?.firstByteMs === undefined ? {} : { headersTimeout: own.firstByteMs }),
        origin: new URL(request.url).origin,
        path: pathOf(request.url),
        method: request.method,
        headers: Object.entries(request.headers).flatMap(([name, value]) =>
          typeof value === 'string' ? [name, value] : value.flatMap((one) => [name, one]),
        ),
        body: request.body ?? null,
        signal,
      })
      // A discarded body that breaks must not end the process. Readers still get the error when they read.
      answer.body
        .on('error', () => {})
        .once('close', () => {
          deadline.end()
          end(client)
        })
      const { statusCode: status, body, trailers } = answer
      tellArrival(body, () => limit.isWhole)
      return { status, headers: defined(answer.headers), body, trailers }
    } catch (cause) {
      deadline.end()
      end(client)
      const isHandedOver = request.carriesPayment === true ? handOver.isHandedOver : undefined
      const reason = reasonOf(cause, request.signal, isHandedOver)
      throw new UpstreamError(reason, cause, isHandedOver === undefined ? undefined : !isHandedOver)
    } finally {
      limit.end()
    }
  }

  return {
    send,
    openLine,
    async close() {
      const pools = [...ways.values()].map(({ pool }) => pool)
      const all = [...pools, ...paying, ...(options.dispatcher ? [options.dispatcher] : [])]
      await Promise.all(all.map((each) => each.destroy()))
    },
  }
}

/** How requests of one kind are connected. */
interface Way {
  /** None where tests put their own dispatcher. */
  readonly connect?: buildConnector.connector
  readonly pool: Dispatcher
}

/** Path and query exactly as written: parsing would normalise them. */
function pathOf(url: string): string {
  const path = url.indexOf('/', url.indexOf('//') + 2)
  return path === -1 ? '/' : url.slice(path)
}

function clientOptions(timeouts: Timeouts) {
  return {
    headersTimeout: timeouts.firstByteMs,
    // The re-streamer watches the body with its own idle timer.
    bodyTimeout: 0,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
}

function defined(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) out[name] = value
  return out
}

/** The start of a body. */
export interface BoundedBody {
  readonly bytes: Buffer
  /** Whether the body was longer. */
  readonly truncated: boolean
}

/**
 * Reads at most `limit` bytes of a body, for at most `timeoutMs`, and closes the connection when there is more.
 * @throws when the body breaks off or the time is up
 */
export async function readBounded(
  body: AsyncIterable<Uint8Array> & { destroy(error?: Error): unknown },
  limit: number,
  timeoutMs: number,
): Promise<BoundedBody> {
  const chunks: Uint8Array[] = []
  let size = 0
  const timer = setTimeout(() => body.destroy(new UpstreamError('timeout', undefined)), timeoutMs)
  try {
    for await (const chunk of body) {
      if (size + chunk.length > limit) return { bytes: Buffer.concat(chunks), truncated: true }
      chunks.push(chunk)
      size += chunk.length
    }
    return { bytes: Buffer.concat(chunks), truncated: false }
  } finally {
    clearTimeout(timer)
    body.destroy()
  }
}
