/** What is sent to a seller or upstream for one candidate: URL, bytes and headers. */
import type { IncomingHttpHeaders } from 'node:http'
import { TollwayError } from '../src/core/errors.ts'
import type { Exchange } from '../src/core/exchange.ts'
import { replaceMember, scanTopLevel } from '../src/core/json-scan.ts'
import type { Candidate } from '../src/core/route.ts'
import type { OutgoingRequest } from '../src/io/upstream.ts'
import { isCredential } from './credentials.ts'
import type { Request } from './handler.ts'
import { isHopByHop } from './relay-headers.ts'

/** Client headers a paid seller gets: what shapes the answer, and nothing that identifies the client. */
const TO_SELLERS: readonly string[] = [
  'content-type',
  'accept',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
]

/** Never forwarded to an unpaid upstream: addressed to us, or recomputed. */
const NEVER_FORWARDED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'payment-signature',
  'x-payment',
])

/**
 * The request for one candidate. The body is the client's, byte for byte; only `model` is rewritten where the route
 * renames it.
 * @throws TollwayError `model_rename_unsupported`
 */
export function outgoingRequest(req: Request, exchange: Exchange, candidate: Candidate): OutgoingRequest {
  const url = req.originalUrl ?? req.url ?? ''
  const question = url.indexOf('?')
  return {
    method: 'POST',
    url: `${candidate.route.apiBase}${exchange.endpoint}${question < 0 ? '' : url.slice(question)}`,
    headers:
      candidate.route.payer === undefined
        ? upstreamHeaders(req.headers, candidate)
        : sellerHeaders(req.headers),
    body: renamed(exchange, candidate, req.headers['content-type'] ?? ''),
    toSeller: candidate.route.payer !== undefined,
  }
}

function sellerHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const out: Record<string, string> = { 'user-agent': 'tollway', 'accept-encoding': 'identity' }
  for (const name of TO_SELLERS) {
    const value = headers[name]
    if (typeof value === 'string') out[name] = value
  }
  return out
}

function upstreamHeaders(
  headers: IncomingHttpHeaders,
  candidate: Candidate,
): Record<string, string | string[]> {
  const { apiKey, forwardCredentials } = candidate.route
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || isHopByHop(name) || named.has(name) || NEVER_FORWARDED.has(name)) continue
    if (isCredential(name) && (!forwardCredentials || apiKey !== undefined)) continue
    out[name] = value
  }
  if (apiKey !== undefined) out['authorization'] = `Bearer ${apiKey}`
  return out
}

function renamed(exchange: Exchange, candidate: Candidate, contentType: string): Buffer | undefined {
  const { body, model } = exchange
  if (!body || candidate.remoteModel === model) return body
  if (/^\s*multipart\//i.test(contentType)) {
    throw new TollwayError({
      code: 'model_rename_unsupported',
      message: `The route renames "${model}" to "${candidate.remoteModel}", which is not possible inside a multipart body.`,
      advice: ["Send the seller's own model name, or add a route that does not rename."],
      param: 'model',
    })
  }
  const member = scanTopLevel(body)?.find(({ key }) => key === 'model')
  if (!member)
    throw new TollwayError({ code: 'model_unreadable', message: 'The body names no model.', param: 'model' })
  return replaceMember(body, member, JSON.stringify(candidate.remoteModel))
}
