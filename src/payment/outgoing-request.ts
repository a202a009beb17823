/** What is sent to a seller or upstream for one candidate: URL, bytes and headers. */
import type { IncomingHttpHeaders } from 'node:http'
import { TollwayError } from '../core/errors.ts'
import { endpointUrl } from '../core/request/endpoints.ts'
import { membersOf, type Direct, type Exchange } from '../core/request/exchange.ts'
import { findFormField } from '../core/json/form-scan.ts'
import { removeMembers, replaceMember, scanTopLevel } from '../core/json/json-scan.ts'
import type { Candidate } from '../core/routing/route.ts'
import { answerKind } from '../core/stream/stream-json.ts'
import { asksForUsage, withLimit, withStream, withUsage } from '../core/stream/stream-request.ts'
import type { OutgoingRequest } from '../io/transport/upstream.ts'
import { isCredential } from '../core/request/credentials.ts'
import { isPriced } from '../core/metering/token-prices.ts'
import { isHopByHop } from '../core/request/header-policy.ts'

/** The fields that are read of a client's request; Express's own fits. */
export interface ClientRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  /** The URL before any mount path was cut off. */
  readonly originalUrl?: string | undefined
  readonly headers: IncomingHttpHeaders
}

/** Client headers a paid seller gets: what shapes the answer, and nothing that identifies the client. */
const TO_SELLERS: readonly string[] = [
  'content-type',
  'accept',
  'anthropic-version',
  'anthropic-beta',
  'openai-beta',
]

/** What shapes the answer to other requests than those for models. */
const TO_DIRECT_SELLERS: readonly string[] = [...TO_SELLERS, 'accept-language', 'content-encoding', 'range']

/** Never forwarded to an unpaid upstream: addressed to us, or recomputed. */
const NEVER_FORWARDED: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'expect',
  'payment-signature',
  'x-payment',
])

/**
 * The request for one candidate; a direct one as it came, but for headers that are not the seller's business. The body is the client's, byte for byte; only `model` is rewritten where the route
 * renames it, and fields that the route drops are taken out.
 * @throws TollwayError `model_rename_unsupported`
 */
export function outgoingRequest(
  req: ClientRequest,
  exchange: Exchange,
  candidate: Candidate,
): OutgoingRequest {
  if (exchange.request.direct) return directRequest(req, exchange, exchange.request.direct, candidate)
  const url = req.originalUrl ?? req.url ?? ''
  const encoded = encodedBody(exchange, candidate)
  const question = url.indexOf('?')
  return {
    method: 'POST',
    url: `${endpointUrl(candidate.route.apiBase, exchange.endpoint)}${question < 0 ? '' : url.slice(question)}`,
    headers: {
      ...(candidate.route.payer === undefined
        ? upstreamHeaders(req.headers, candidate, encoded !== undefined)
        : sellerHeaders(req.headers, candidate)),
      ...(candidate.route.alwaysStream === true && answerKind(exchange.endpoint) !== undefined
        ? { accept: 'text/event-stream' }
        : {}),
    },
    body:
      encoded ??
      streamedBody(exchange, candidate, bodyFor(exchange, candidate, req.headers['content-type'] ?? '')),
    toSeller: candidate.route.payer !== undefined,
    timeouts: candidate.route.timeouts,
  }
}

function directRequest(
  req: ClientRequest,
  { request: { body } }: Exchange,
  { url }: Direct,
  candidate: Candidate,
): OutgoingRequest {
  return {
    method: req.method ?? 'GET',
    url,
    headers: sellerHeaders(req.headers, candidate, TO_DIRECT_SELLERS),
    // A GET with a body of no bytes would say that it has one.
    body: body?.length === 0 ? undefined : body,
    toSeller: true,
    timeouts: candidate.route.timeouts,
  }
}

function sellerHeaders(
  headers: IncomingHttpHeaders,
  { route }: Candidate,
  names = TO_SELLERS,
): Record<string, string> {
  const out: Record<string, string> = {
    'user-agent': route.userAgent ?? 'tollway',
    'accept-encoding': 'identity',
  }
  for (const name of names) {
    const value = headers[name]
    if (typeof value === 'string') out[name] = value
  }
  const { traceparent } = headers
  if (route.sendTraceparent === true && typeof traceparent === 'string') out['traceparent'] = traceparent
  return out
}

/**
 * The compressed body as it came, for the default upstream: not where the model is renamed, and not from a caller with a
 * list of models, whose model was read by our decoder and not by the upstream's.
 */
function encodedBody({ request, caller }: Exchange, { route, remoteModel }: Candidate): Buffer | undefined {
  const isAsItCame = request.model === undefined || request.model === remoteModel
  return route.sendEncoded === true && isAsItCame && caller.allowedModels.includes('*')
    ? request.encoded
    : undefined
}

function upstreamHeaders(
  headers: IncomingHttpHeaders,
  candidate: Candidate,
  isEncoded: boolean,
): Record<string, string | string[]> {
  const { apiKey, forwardCredentials } = candidate.route
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()))
  const out: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || isHopByHop(name) || named.has(name) || NEVER_FORWARDED.has(name)) continue
    // The body is sent decoded.
    if (name === 'content-encoding' && !isEncoded) continue
    if (isCredential(name) && (!forwardCredentials || apiKey !== undefined)) continue
    out[name] = value
  }
  if (apiKey !== undefined) out['authorization'] = `Bearer ${apiKey}`
  return out
}

function bodyFor(exchange: Exchange, candidate: Candidate, contentType: string): Buffer | undefined {
  const { body } = exchange.request
  if (!body) return body
  if (/^\s*multipart\//i.test(contentType)) return renamedForm(exchange, candidate, contentType, body)
  const named = renamed(exchange, candidate, body)
  const { dropParams = [] } = candidate.route
  const kept =
    dropParams.length === 0 ? named : removeMembers(named, scanTopLevel(named) ?? [], new Set(dropParams))
  return limited(exchange, candidate, kept)
}

/** With the route's limit on output tokens, where the client sets none; the client is told of it. */
function limited(exchange: Exchange, { route }: Candidate, body: Buffer): Buffer {
  const { endpoint, payment } = exchange
  const kind = answerKind(endpoint)
  // That of another candidate.
  payment.reducedMaxTokens = undefined
  if (route.defaultMaxTokens === undefined || kind === undefined) return body
  const ofChat = new URL(route.apiBase).hostname === OPENAI_HOST ? 'max_completion_tokens' : 'max_tokens'
  const name = kind === 'responses' ? 'max_output_tokens' : kind === 'chat' ? ofChat : 'max_tokens'
  const capped = withLimit(body, name, route.defaultMaxTokens)
  if (!capped) return body
  payment.reducedMaxTokens = route.defaultMaxTokens
  return capped
}

/** Its newer models refuse `max_tokens`, which all other upstreams read. */
const OPENAI_HOST = 'api.openai.com'

/**
 * Asks for a stream where the seller answers nothing else, and for the usage chunk of every stream that is paid or has a price:
 * without it it is not known what was bought. A route that drops `stream_options` does without.
 */
function streamedBody(
  exchange: Exchange,
  { route }: Candidate,
  body: Buffer | undefined,
): Buffer | undefined {
  const kind = answerKind(exchange.endpoint)
  exchange.relay.usageChunk = undefined
  if (!body || !exchange.request.body || kind === undefined) return body
  const streams = exchange.request.stream || route.alwaysStream === true
  const asked = exchange.request.stream ? body : route.alwaysStream === true ? withStream(body) : body
  if (!streams || (kind !== 'chat' && kind !== 'text')) return asked
  const members = membersOf(exchange.request)
  const isAsked = asksForUsage(exchange.request.body, members)
  if (isAsked) exchange.relay.usageChunk = 'asked'
  const isBilled = route.payer !== undefined || isPriced(route.info)
  if (isAsked || !isBilled || route.dropParams?.includes('stream_options') === true) return asked
  exchange.relay.usageChunk = 'forced'
  // A form has no members, and stays as it is.
  const isScanned = asked === exchange.request.body && members.length > 0
  return isScanned ? withUsage(asked, members) : withUsage(asked)
}

function renamedForm(
  { request: { model } }: Exchange,
  { remoteModel }: Candidate,
  contentType: string,
  body: Buffer,
): Buffer {
  if (remoteModel === model || model === undefined) return body
  const value = findFormField(body, contentType, 'model')
  // Two readers that disagree on where the name stands must not decide what is paid for.
  if (!value || body.toString('utf8', value.start, value.end) !== model) {
    throw new TollwayError({
      code: 'model_rename_unsupported',
      message: `The route renames "${model}" to "${remoteModel}", and the place of the name in this multipart body is not clear.`,
      advice: ["Send the seller's own model name, or add a route that does not rename."],
      param: 'model',
    })
  }
  return Buffer.concat([body.subarray(0, value.start), Buffer.from(remoteModel), body.subarray(value.end)])
}

function renamed({ request }: Exchange, { remoteModel }: Candidate, body: Buffer): Buffer {
  // A body without a model goes to the default upstream as it is.
  if (request.model === undefined || remoteModel === request.model) return body
  const member = membersOf(request).find(({ key }) => key === 'model')
  if (!member)
    throw new TollwayError({ code: 'model_unreadable', message: 'The body names no model.', param: 'model' })
  return replaceMember(body, member, JSON.stringify(remoteModel))
}
