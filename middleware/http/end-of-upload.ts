/** Answers that are ready before the body of their request has come: the client must get them whole, and know what becomes of the connection. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { systemTimers } from '../../src/core/timers.ts'

/** A rest of this size is read and dropped, and the connection serves on. */
const SMALL_BYTES = 1024 * 1024

/** The most bytes read of a larger one, so that the client gets to read the answer. */
const MOST_BYTES = 32 * 1024 * 1024
const MOST_MS = 5_000

/** Whether more of the body is to come. */
export function hasRest(req: IncomingMessage): boolean {
  if (req.complete || req.destroyed) return false
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0
}

/** Whether the rest is so small that the connection can be kept. */
export function isSmallRest(req: IncomingMessage): boolean {
  if (req.headers['transfer-encoding'] !== undefined) return false
  return Number(req.headers['content-length'] ?? 0) <= SMALL_BYTES
}

/**
 * Makes an answer end only when the rest of the body has been read and dropped, within bounds: a connection that is
 * closed with unread bytes in it is reset, and the answer with it. Call it before the answer begins; a larger rest
 * ends the connection, which `Connection: close` says.
 */
export function endAfterUpload(req: IncomingMessage, res: ServerResponse): void {
  if (!hasRest(req)) return
  if (isSmallRest(req)) {
    res.once('finish', () => {
      req.unpipe()
      req.resume()
    })
    return
  }
  if (req.httpVersionMajor === 1) res.setHeader('connection', 'close')
  const write = res.write.bind(res)
  const end = res.end.bind(res)
  let isEnding = false
  Object.assign(res, {
    end(chunk?: unknown): ServerResponse {
      if (isEnding) return res
      isEnding = true
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) write(chunk)
      else res.flushHeaders()
      dropRest(req, () => end())
      return res
    },
  })
}

function dropRest(req: IncomingMessage, done: () => void): void {
  if (req.complete || req.destroyed) return done()
  let dropped = 0
  const count = (chunk: Buffer): void => {
    dropped += chunk.length
    if (dropped > MOST_BYTES) finish()
  }
  const cancel = systemTimers.after(MOST_MS, finish)
  function finish(): void {
    cancel()
    req.off('data', count)
    for (const event of ['end', 'close']) req.off(event, finish)
    done()
  }
  for (const event of ['end', 'close']) req.on(event, finish)
  req.on('error', () => undefined)
  req.unpipe()
  req.on('data', count)
  req.resume()
}
