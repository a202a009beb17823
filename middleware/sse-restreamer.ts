/** Relays the answer of a seller or upstream to the client, as it comes. */
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { systemClock, type Clock } from '../src/core/clock.ts'
import { systemTimers, type Timers } from '../src/core/timers.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from './http/handler.ts'
import { endpointOf } from './http/paths.ts'
import { takesReply } from './http/chain/part-facts.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { Turns } from './sse-restreamer/fair-share.ts'
import { replyOf, type OwnReply } from './sse-restreamer/own-reply.ts'
import { relayReply } from './sse-restreamer/relay.ts'

export type { OwnReply }

/** Options of {@link sseRestreamer}. */
export interface SseRestreamerOptions {
  /** Longest silence of a body, and longest time a client may read nothing, milliseconds, 1 to 2^31-1; default 300,000. */
  readonly idleMs?: number | undefined
  /** How long a paid stream may still be read after its client left (`drain`), milliseconds; default 3,600,000. */
  readonly drainMs?: number | undefined
  /**
   * What happens to a paid stream when its client leaves: `abort` (default) closes the seller's connection,
   * `drain` reads to the end.
   */
  readonly onDisconnect?: 'abort' | 'drain' | undefined
  /** How a paid stream that breaks ends: `length` (default) as a truncated answer, `error` with an in-stream error. */
  readonly onTruncated?: 'length' | 'error' | undefined
  /** Longest silence of a paid stream before a keep-alive comment is sent, milliseconds; default 0, no comments. */
  readonly keepaliveMs?: number | undefined
  /**
   * Largest JSON answer that is buffered until it is complete, bytes; default 8 MiB. A larger one is relayed as it
   * arrives, still with its cost set. An answer that is converted, from JSON or to JSON, may have four times as many.
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
  keepaliveMs: z
    .int()
    .min(0, 'give milliseconds, or 0 for none')
    .max(MAX_DELAY_MS, 'at most 2147483647 milliseconds')
    .default(0),
  maxJsonBytes: z
    .int()
    .min(0, 'give a number of bytes')
    .default(8 * 1024 * 1024),
  clock: z.custom<Clock>((value) => isObject(value) && 'now' in value, 'give { now() }').default(systemClock),
  timers: z
    .custom<Timers>((value) => isObject(value) && 'after' in value, 'give { after(ms, work) }')
    .default(systemTimers),
})

/**
 * Relays `exchange.relay.reply`; without one it calls the next middleware. Answers of unpaid routes pass byte for
 * byte. For paid answers the headers are filtered, `usage.cost` is set to what was paid, JSON and streams are
 * converted into each other where the client asked for the other form, and a stream that breaks ends as a
 * truncated answer. Fills `usage`, `firstByteAt` and `truncated` of `exchange.relay`.
 * @throws ConfigError for a mistake in the options
 */
export function sseRestreamer(options: SseRestreamerOptions = {}): Handler {
  const settings = { ...parseOptions('sseRestreamer', SCHEMA, options), turns: new Turns() }
  const handler = asyncHandler('sseRestreamer', async (req, res, next) => {
    const exchange = exchangeOf(req, settings.clock)
    if (!exchange.relay.reply) return next()
    await relayReply(settings, exchange, exchange.relay.reply, res)
  })
  return takesReply(handler)
}

/** The relay with the default options. */
const OWN_SETTINGS = SCHEMA.parse({})

/**
 * Relays an answer of an upstream of yours to the client, byte for byte as it arrives: with backpressure, an idle watchdog
 * of 300 seconds, and `no-transform` where `compression()` is mounted. When the client leaves, reading ends and the
 * upstream's connection is let go; when the upstream breaks off, the client is cut off, so that it can tell. The tokens that
 * the answer reports are noted in `exchangeOf(req).relay.usage`, for `auditLogger()`, `metrics()` and `budgetGuard()`.
 *
 * @example
 *   app.post('/v1/chat/completions', async (req, res) => {
 *     await restream(res, await fetch(UPSTREAM, { method: 'POST', headers, body: JSON.stringify(req.body) }))
 *   })
 * @param res the response of Express or `node:http`, to which nothing was sent yet
 * @param reply what `fetch()` or undici's `request()` returned, or `{ status, headers, body }`
 * @throws TypeError for what is no answer, or when an answer has begun
 */
export async function restream(res: ServerResponse, reply: OwnReply): Promise<void> {
  if (res.headersSent || begun.has(res)) throw new TypeError('restream(): an answer has begun already.')
  const req: Request = res.req
  const exchange = exchangeOf(req)
  if (exchange.endpoint === 'other') exchange.endpoint = endpointOf(req) ?? exchange.endpoint
  const own = replyOf(reply)
  // Two at once would mix their answers: the head of the first is sent only when its first bytes are known.
  begun.add(res)
  if (own.status < 200 || own.status > 299) exchange.relay.refusedBy = own.status
  // A body longer than it says would go out as the beginning of the next answer.
  res.strictContentLength = true
  await relayReply(OWN_SETTINGS, exchange, own, res)
}

const begun = new WeakSet<ServerResponse>()

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
