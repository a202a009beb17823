import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { TollwayError } from '../../src/core/errors.ts'
import type { Exchange } from '../../src/core/request/exchange.ts'

/** Answers an upgrade request with an error. It has no response object, only the socket. */
export function refuseUpgrade(socket: Duplex, error: TollwayError, exchange: Exchange): void {
  exchange.record.code = error.code
  exchange.record.outcome = error.status >= 500 ? 'failed' : 'refused'
  Object.assign(exchange.record.details, error.details)
  const body = JSON.stringify(error.toBody())
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${exchange.id}`,
    'x-tollway-spent: no',
    ...Object.entries(error.headers).map(([name, value]) => `${name}: ${value}`),
    'connection: close',
  ]
  socket.on('error', () => undefined)
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
