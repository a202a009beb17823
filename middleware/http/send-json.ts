import type { ServerResponse } from 'node:http'
import type { Exchange } from '../../src/core/request/exchange.ts'
import { setNoSniff, setResponseHeaders } from './response-headers.ts'

/** Answers with JSON that must not be cached; for a HEAD request Node sends the headers only. */
export function sendJson(res: ServerResponse, exchange: Exchange, status: number, value: unknown): void {
  setResponseHeaders(res, exchange)
  const body = Buffer.from(JSON.stringify(value))
  res.statusCode = status
  setNoSniff(res)
  res.setHeader('content-type', 'application/json')
  res.setHeader('content-length', body.length)
  res.setHeader('cache-control', 'no-store')
  res.end(body)
}
