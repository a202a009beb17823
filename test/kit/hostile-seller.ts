import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { serveOnLoopback } from '../../src/app/sandbox/loopback.ts'

/** One request a hostile seller saw. */
export interface HostileRequest {
  method: string
  /** Path and query, as sent. */
  url: string
  headers: IncomingHttpHeaders
  body: Buffer
}

/** Answers one request; `request.body` is complete when it is called. What it throws cuts the connection. */
export type HostileHandler = (request: HostileRequest, response: ServerResponse) => void | Promise<void>

/** A running hostile seller. */
export interface HostileSeller {
  url: string
  /** What a client is pointed at: `url` + `/v1`. */
  apiBase: string
  /** Every request, oldest first. */
  requests: HostileRequest[]
  close(): Promise<void>
}

/** Headers and body of an answer. */
export interface Answer {
  status: number
  headers: Record<string, string>
  body: string
}

/** Starts a bare HTTP server that does whatever a test wants a bad seller to do, and remembers what it was sent. */
export async function startHostileSeller(handler: HostileHandler): Promise<HostileSeller> {
  const requests: HostileRequest[] = []
  const server = await serveOnLoopback((incoming, response) => {
    answer(incoming, response, handler, requests).catch(() => response.destroy())
  })
  return { url: server.url, apiBase: `${server.url}/v1`, requests, close: () => server.close() }
}

async function answer(
  incoming: IncomingMessage,
  response: ServerResponse,
  handler: HostileHandler,
  requests: HostileRequest[],
): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(Buffer.from(chunk))
  const { method = '', url = '', headers } = incoming
  const request = { method, url, headers, body: Buffer.concat(chunks) }
  requests.push(request)
  await handler(request, response)
}

/** Sends an answer. */
export function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(body)
}

/**
 * A v2 402: the offer in PAYMENT-REQUIRED (base64 of JSON), `{}` as the body.
 *
 * @param accepts - The entries, as wrong as a test likes.
 * @param extras - Further or replacing top-level fields, e.g. `{ error }`, `{ resource }`, `{ x402Version: 3 }`.
 */
export function challengeV2(accepts: readonly unknown[], extras: object = {}): Answer {
  const offer = {
    x402Version: 2,
    error: 'Payment required',
    resource: { url: 'http://127.0.0.1/', description: '', mimeType: 'application/json' },
    accepts,
    ...extras,
  }
  return {
    status: 402,
    headers: { 'content-type': 'application/json', 'payment-required': encodeHeader(offer) },
    body: '{}',
  }
}

/** A v1 402: the offer is the JSON body. */
export function challengeV1(accepts: readonly unknown[], extras: object = {}): Answer {
  return {
    status: 402,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ x402Version: 1, error: 'X-PAYMENT header is required', accepts, ...extras }),
  }
}

/** The header of a v2 receipt, to be spread into an answer's headers. */
export function receiptV2(receipt: object): { 'payment-response': string } {
  return { 'payment-response': encodeHeader(receipt) }
}

/** The header of a v1 receipt, to be spread into an answer's headers. */
export function receiptV1(receipt: object): { 'x-payment-response': string } {
  return { 'x-payment-response': encodeHeader(receipt) }
}

/** Standard base64 of JSON, as x402 puts objects into headers. */
export function encodeHeader(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}

/**
 * The object in an x402 header.
 *
 * @throws {Error} When the header is missing or does not hold JSON.
 */
export function decodeHeader(value: string | string[] | null | undefined): unknown {
  if (typeof value !== 'string') throw new Error('the header is missing')
  return JSON.parse(Buffer.from(value, 'base64').toString('utf8'))
}
