/**
 * `early_keepalive`: opens the stream before the paid status is known, because a client would give up on a seller
 * that is silent for minutes. The drawback: a later failure can no longer have its own HTTP status.
 */
import { sendHead } from './send-head.ts'
import type { ServerResponse } from 'node:http'
import type { TollwayError } from '../../src/core/errors.ts'
import type { Exchange } from '../../src/core/request/exchange.ts'
import { answerKind, eventText, type StreamEvent } from '../../src/core/stream/stream-json.ts'
import type { Timers } from '../../src/core/timers.ts'
import { setResponseHeaders, trailersOf } from './response-headers.ts'
import { KeepAlive } from '../../src/core/relay/keep-alive.ts'

const WAITING = ': waiting\n\n'

/**
 * Sends `: waiting` to a streaming client each time `everyMs` passes without an answer.
 * @returns a function that stops the comments
 */
export function sendKeepAlives(
  res: ServerResponse,
  exchange: Exchange,
  everyMs: number,
  timers: Timers,
): () => void {
  const wait = new KeepAlive(everyMs, timers, () => {
    if (res.destroyed || res.writableEnded) return
    if (!res.headersSent) openEarly(res, exchange)
    // A client that is not reading does not need more comments.
    if (!res.writableNeedDrain) res.write(WAITING)
  })
  wait.heard()
  return () => wait.stop()
}

function openEarly(res: ServerResponse, exchange: Exchange): void {
  res.statusCode = 200
  setStreamHeaders(res)
  res.setHeader('content-type', 'text/event-stream; charset=utf-8')
  setResponseHeaders(res, exchange)
  exchange.relay.openedEarly = true
  exchange.record.details['opened_early'] = true
  sendHead(res)
}

/**
 * Sets the headers of a stream that Tollway writes; values known only at its end go into trailers, for clients
 * that accept them.
 */
export function setStreamHeaders(res: ServerResponse): void {
  res.setHeader('cache-control', 'no-cache, no-transform')
  res.setHeader('x-accel-buffering', 'no')
  if (!takesTrailers(res)) return
  res.setHeader('trailer', 'x-tollway-truncated, x-tollway-spent, x-tollway-charge, x-tollway-cost-usd')
}

/** HTTP/1.0 has no trailers; other clients get them only if they asked for them (RFC 9110, 6.5.1). */
function takesTrailers({ req }: ServerResponse): boolean {
  const { httpVersionMajor, httpVersionMinor, headers } = req
  const hasThem = httpVersionMajor > 1 || (httpVersionMajor === 1 && httpVersionMinor >= 1)
  return hasThem && /(?:^|,)\s*trailers\s*(?:,|;|$)/i.test(String(headers['te'] ?? ''))
}

/** Reports an error to a client whose stream was opened early. */
export function endEarly(res: ServerResponse, exchange: Exchange, error: TollwayError): void {
  exchange.relay.openedEarly = false
  const { message, code } = error.toBody().error
  const event = errorEvent(exchange.endpoint, error, message, code)
  if (res.hasHeader('trailer')) res.addTrailers(trailersOf(exchange))
  res.end(eventText(event))
}

function errorEvent(endpoint: string, error: TollwayError, message: string, code: string): StreamEvent {
  const kind = answerKind(endpoint)
  if (kind === 'anthropic') {
    return { event: 'error', data: { type: 'error', error: { type: error.type, message } } }
  }
  if (kind === 'responses') {
    return { event: 'error', data: { type: 'error', sequence_number: 0, code, message, param: null } }
  }
  return { data: { ...error.toBody() } }
}
