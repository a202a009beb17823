/** Answers requests that Node's HTTP parser rejects, in the format of every other error. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { property } from '../src/core/property.ts'

/**
 * For `server.on('clientError', clientErrorHandler)`: 431 for headers that are too large, else 400. Never 408,
 * which clients retry. Nothing is written on a connection that is in the middle of an answer: the client could
 * parse neither the answer nor the error.
 */
export function clientErrorHandler(
  error: Error & { readonly code?: string | undefined },
  socket: Duplex,
): void {
  if (error.code === 'ECONNRESET' || !socket.writable || hasAnswerUnderWay(socket)) {
    socket.destroy()
    return
  }
  const overflow = error.code === 'HPE_HEADER_OVERFLOW'
  const status = overflow ? 431 : 400
  const message = overflow
    ? 'The request headers are too large.'
    : 'The request is not well-formed HTTP, or did not arrive in time.'
  const code = overflow ? 'request_too_large' : null
  const body = JSON.stringify({ error: { message, type: 'invalid_request_error', param: null, code } })
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    'x-tollway-spent: no',
    'x-should-retry: false',
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** Node keeps the response in progress here, and its own handler checks the same property. */
function hasAnswerUnderWay(socket: Duplex): boolean {
  const message = property(socket, '_httpMessage')
  return message !== undefined && message !== null
}
