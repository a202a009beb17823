/** Reads the body of a model request once, as the bytes that will be forwarded, and extracts the model's name. */
import bytes from 'bytes'
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import { printable } from '../src/core/printable.ts'
import { decodeRequest, REQUEST_CODINGS, requestCodings } from '../src/io/transport/decode-request.ts'
import { readDirectBody } from './read-body/direct-body.ts'
import type { Exchange } from '../src/core/request/exchange.ts'
import { collect, tooLarge } from './read-body/collect.ts'
import { isAlreadyRead, offerParsed, parsedBytes } from './read-body/parsed-body.ts'
import { setupError } from './http/setup-error.ts'
import { withFacts } from './http/chain/part-facts.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { endpointOf, isRouted } from './http/paths.ts'
import { isMultipart, readJsonModel, readMultipartModel } from './read-body/read-model.ts'

/** Options of {@link readBody}. */
export interface ReadBodyOptions {
  /** Largest body: bytes, or text such as `"32mb"` (the default; 1 mb is 1,048,576 bytes). */
  readonly limit?: number | string | undefined
  /**
   * `true`: takes bodies that `express.json()` or another parser of the host has read before. Forwarded are the bytes in
   * `req.rawBody` if the host kept them (`express.json({ verify: (req, res, bytes) => { req.rawBody = bytes } })`), else
   * `req.body` written as JSON again, in which numbers beyond 2^53 are rounded. Default `false`: such a request is
   * refused with `setup_error`.
   */
  readonly parsedBody?: boolean | undefined
}

const DEFAULT_LIMIT = 32 * 1024 * 1024

const SCHEMA = z.strictObject({
  limit: z
    .union([z.number(), z.string()])
    .default(DEFAULT_LIMIT)
    .transform((value) => (typeof value === 'string' ? bytes.parse(value) : value))
    .refine((value): value is number => value !== null && Number.isSafeInteger(value) && value > 0, {
      message: 'give a number of bytes above 0, or text such as "32mb"',
    }),
  parsedBody: z.boolean().default(false),
})

/**
 * Reads the body of POST requests to model endpoints into `exchange.request`, with `model` and `stream`, and fills
 * `exchange.endpoint`. Everything else passes untouched. Answers 413 `request_too_large`, 415
 * `unsupported_encoding` (a coding that is not read, or neither JSON nor multipart: a browser form must not reach a paid route),
 * 400 `invalid_json` and `model_unreadable`. A direct request (`exchange.request.direct`) may have any method and
 * any body. When the client leaves before the body is complete, no later middleware runs. Handlers behind find the
 * body unread, byte for byte, and a JSON one parsed in `req.body` too.
 * @throws ConfigError for a mistake in the options
 */
export function readBody(options: ReadBodyOptions = {}): Handler {
  const { limit, parsedBody } = parseOptions('readBody', SCHEMA, options)

  const handler = asyncHandler('readBody', async (req, res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    const { direct } = exchange.request
    if (!direct) exchange.endpoint = endpointOf(req) ?? exchange.endpoint
    if (exchange.request.body !== undefined) return next()
    const isRead = isAlreadyRead(req)
    if (isRead && !parsedBody) throw alreadyRead()
    if (!direct) refuseHeaders(req)
    const received = isRead ? takeParsed(req, exchange) : await collect(req, limit)
    if (received === undefined) {
      exchange.record.outcome ??= 'failed'
      exchange.record.details['fault'] = 'client left before the body was whole'
      return
    }
    // A parser of the host has decoded what it read.
    const codings = direct || isRead ? [] : requestCodings(req.headers['content-encoding'])
    const body = codings.length === 0 ? received : await decoded(received, codings, limit)
    const type = req.headers['content-type'] ?? ''
    const { model, stream, members } = direct
      ? await readDirectBody(exchange, type, body)
      : isMultipart(type)
        ? await readMultipartModel(type, body)
        : readJsonModel(body)
    exchange.request.body = body
    exchange.request.encoded = codings.length === 0 ? undefined : received
    exchange.request.members = members
    exchange.request.model = model
    exchange.request.stream = stream
    if (members) offerParsed(req, body)
    // Bytes that no later handler reads must not block the parser of the connection.
    res.once('close', () => void (req.readableEnded || req.resume()))
    next()
  })
  return withFacts(handler, { takesParsedBody: parsedBody })
}

/** @throws TollwayError `setup_error` when the host's parser left nothing that can be forwarded */
function takeParsed(req: Request, exchange: Exchange): Buffer {
  const taken = parsedBytes(req)
  if (!taken) throw alreadyRead()
  if (taken.rewritten) exchange.record.details['body_rewritten'] = true
  return taken.bytes
}

/** @throws TollwayError `unsupported_encoding`, `request_too_large` */
async function decoded(body: Buffer, codings: readonly string[], limit: number): Promise<Buffer> {
  const result = await decodeRequest(body, codings, limit)
  if ('bytes' in result) return result.bytes
  if (result.fault === 'too_large') throw tooLarge(limit)
  const coding = codings.map((name) => printable(name, 40)).join(', ')
  throw result.fault === 'malformed'
    ? unsupported(`The body is not well-formed ${coding}.`, 'Send it whole, or without Content-Encoding.')
    : unsupported(
        `A body with Content-Encoding ${coding} is not read.`,
        `Send it without, or as one of ${REQUEST_CODINGS.join(', ')}.`,
      )
}

function refuseHeaders(req: Request): void {
  const type = req.headers['content-type'] ?? ''
  if (isMultipart(type)) return
  const advice = 'Send it with "Content-Type: application/json".'
  if (!isJson(type)) throw unsupported('The body must be JSON or multipart/form-data.', advice)
  if (!/^[^;]*(?:;\s*charset\s*=\s*"?utf-?8"?\s*)?;?\s*$/i.test(type)) {
    throw unsupported('JSON is read as UTF-8 only.', advice)
  }
}

function isJson(type: string): boolean {
  return /^\s*application\/json\s*(?:;|$)/i.test(type)
}

function unsupported(message: string, advice: string): TollwayError {
  return new TollwayError({ code: 'unsupported_encoding', message, advice: [advice] })
}

function alreadyRead(): TollwayError {
  return setupError(
    'readBody() found the body already read by another body parser. Nothing was paid.',
    'Mount readBody() before express.json() and every other body parser, so that the bytes are forwarded as they came; or mount readBody({ parsedBody: true }), which forwards what the parser read.',
  )
}
