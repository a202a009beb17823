import type { IncomingMessage } from 'node:http'
import { TollwayError } from '../../src/core/errors.ts'
import type { Request } from '../http/handler.ts'

/** The least that is read of a refused body before the connection is cut, bytes. */
const LEAST_ALLOWANCE = 32 * 1024 * 1024

/**
 * The body's bytes, or `undefined` when the client left before its end: there is no one to answer, and a partial
 * body must not be sent to a seller. The bytes are put back, so that a handler behind can read them again.
 * @throws TollwayError `request_too_large`, at once when Content-Length says so
 */
export function collect(req: Request, limit: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const refuse = (): void => {
      stop()
      discardRest(req, limit)
      reject(tooLarge(limit))
    }
    const onReadable = (): void => {
      for (let chunk = read(req); chunk; chunk = read(req)) {
        size += chunk.length
        if (size > limit) return refuse()
        chunks.push(chunk)
      }
      if (!req.complete) return
      stop()
      const body = Buffer.concat(chunks, size)
      // In the same turn as the last read: after `end` nothing can be put back.
      if (size > 0) req.unshift(body)
      resolve(body)
    }
    const onClose = (): void => {
      stop()
      resolve(undefined)
    }
    const stop = (): void => {
      req.off('readable', onReadable)
      req.off('close', onClose)
    }
    // Keep this listener: an aborted request emits an error that would end the process if unhandled.
    req.on('error', () => undefined)
    if (Number(req.headers['content-length'] ?? 0) > limit) return refuse()
    if (req.destroyed) return onClose()
    // A body that ended before anyone listened, such as that of a GET behind an asynchronous middleware, emits no end event any more.
    if (req.complete && req.readableLength === 0) return resolve(Buffer.alloc(0))
    req.on('readable', onReadable)
    req.on('close', onClose)
  })
}

function read(req: Request): Buffer | undefined {
  const chunk: unknown = req.read()
  // Text where an earlier handler called setEncoding().
  if (typeof chunk === 'string') return Buffer.from(chunk, req.readableEncoding ?? 'utf8')
  return Buffer.isBuffer(chunk) ? chunk : undefined
}

/** @param limit bytes */
export function tooLarge(limit: number): TollwayError {
  return new TollwayError({
    code: 'request_too_large',
    message: `The request body is over the limit of ${limit} bytes.`,
    advice: ['Send less, or raise body_limit.'],
  })
}

/**
 * Reads and discards the rest, so that a client that writes its whole body before it reads still gets the answer.
 * After `allowance` more bytes (at least 32 MiB) the connection is cut instead.
 */
function discardRest(req: IncomingMessage, allowance: number): void {
  const most = Math.max(allowance, LEAST_ALLOWANCE)
  let discarded = 0
  req.on('data', (chunk: Buffer) => {
    discarded += chunk.length
    if (discarded > most) req.destroy()
  })
  req.on('error', () => undefined)
  req.resume()
}
