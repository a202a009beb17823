/**
 * The transport of everything that may be charged: undici pools per origin, no redirects, no retries. Payment headers therefore
 * never follow a redirect, and no payment is sent twice without our knowledge.
 */
import { Agent, errors, type Dispatcher } from 'undici'
import type { Readable } from 'node:stream'
import { PrivateAddressError, publicConnector, type LookupAll } from './public-connector.ts'

/** The timeouts of one exchange with a seller or upstream, milliseconds. */
export interface Timeouts {
  readonly connectMs: number
  /** From the sent request to the response headers: official sellers are silent until settlement. */
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
  /** Aborts the request. A request that carries a payment still counts as sent. */
  readonly signal?: AbortSignal | undefined
}

/** A response whose headers have arrived; the body follows. */
export interface IncomingReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[]>>
  readonly body: Readable
}

/** Why no response came; `reason` is for the audit record. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly reason: 'connect' | 'timeout' | 'reset' | 'aborted' | 'malformed' | 'private'

  constructor(reason: UpstreamError['reason'], cause: unknown) {
    super(`no answer: ${reason}`, { cause })
    this.reason = reason
  }
}

/** Sends requests. One per gateway, closed with it. */
export interface Upstream {
  /** @throws UpstreamError when no response headers arrive */
  send(request: OutgoingRequest): Promise<IncomingReply>
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
}

/** Opens the transport. */
export function createUpstream(timeouts: Timeouts, options: UpstreamOptions = {}): Upstream {
  const agents = new Map<string, Dispatcher>()
  // One pool per connect timeout, because undici sets it per pool. Configurations have few of them.
  const poolFor = (toSeller: boolean, connectMs: number): Dispatcher => {
    const held = toSeller && options.publicSellers === true
    if (!held && options.dispatcher) return options.dispatcher
    const name = `${held ? 'public' : 'any'} ${connectMs}`
    const known = agents.get(name)
    if (known) return known
    const time = { timeout: connectMs }
    const made = agent(timeouts, held ? publicConnector(time, options.lookup) : time)
    agents.set(name, made)
    return made
  }
  return {
    async send(request) {
      const own = request.timeouts
      const total = AbortSignal.timeout(own?.totalMs ?? timeouts.totalMs)
      const signal = request.signal ? AbortSignal.any([request.signal, total]) : total
      try {
        const pool = poolFor(request.toSeller === true, own?.connectMs ?? timeouts.connectMs)
        const answer = await pool.request({
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
        answer.body.on('error', () => {})
        return { status: answer.statusCode, headers: defined(answer.headers), body: answer.body }
      } catch (cause) {
        throw new UpstreamError(reasonOf(cause, request.signal), cause)
      }
    },
    async close() {
      const pools = [...agents.values(), ...(options.dispatcher ? [options.dispatcher] : [])]
      await Promise.all(pools.map((pool) => pool.destroy()))
    },
  }
}

/** Path and query exactly as written: parsing would normalise them. */
function pathOf(url: string): string {
  const path = url.indexOf('/', url.indexOf('//') + 2)
  return path === -1 ? '/' : url.slice(path)
}

function agent(timeouts: Timeouts, connect: NonNullable<Agent.Options['connect']>): Agent {
  return new Agent({
    connect,
    headersTimeout: timeouts.firstByteMs,
    // The re-streamer watches the body with its own idle timer.
    bodyTimeout: 0,
    pipelining: 1,
    maxHeaderSize: MAX_HEADER_BYTES,
  })
}

function defined(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string | string[]> {
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) out[name] = value
  return out
}

function reasonOf(cause: unknown, signal: AbortSignal | undefined): UpstreamError['reason'] {
  if (signal?.aborted) return 'aborted'
  if (cause instanceof PrivateAddressError) return 'private'
  if (
    cause instanceof errors.HeadersTimeoutError ||
    (cause instanceof Error && cause.name === 'TimeoutError')
  )
    return 'timeout'
  if (cause instanceof errors.HTTPParserError) return 'malformed'
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  if (/^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/.test(code))
    return 'connect'
  if (/^(?:HPE_|UND_ERR_HEADERS_OVERFLOW)/.test(code)) return 'malformed'
  return 'reset'
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
