import type { IncomingHttpHeaders } from 'node:http'
import express from 'express'
import type { RequestHandler } from 'express'

/** The x402 version of the payment in a request. */
export type PaymentGeneration = 'v1' | 'v2' | 'none'

/** One request that a seller received. */
export interface SeenRequest {
  method: string
  /** Path and query, as sent. */
  path: string
  hadPayment: PaymentGeneration
  headers: IncomingHttpHeaders
  /** The bytes of the body. */
  body: Buffer
}

const keptRequests = 1_000

/**
 * Reads every request's body as bytes and records the request before it is answered.
 *
 * @param log - Receives the requests, oldest first; the last 1,000 are kept.
 * @returns Handlers to mount first. `request.body` is a Buffer after them, whatever the content type.
 */
export function recordRequests(log: SeenRequest[]): RequestHandler[] {
  return [
    express.raw({ type: () => true, limit: '64mb' }),
    (request, _response, next) => {
      const body: unknown = request.body
      const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
      const { method, originalUrl: path, headers } = request
      log.push({ method, path, hadPayment: paymentIn(headers), headers, body: bytes })
      if (log.length > keptRequests) log.shift()
      next()
    },
  ]
}

function paymentIn(headers: IncomingHttpHeaders): PaymentGeneration {
  if (headers['payment-signature'] !== undefined) return 'v2'
  return headers['x-payment'] === undefined ? 'none' : 'v1'
}
