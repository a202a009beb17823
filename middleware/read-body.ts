/** Reads the body of a model request once, as the bytes that will be forwarded, and extracts the model's name. */
import bytes from 'bytes'
import { z } from 'zod'
import { ConfigError, TollwayError } from '../src/core/errors.ts'
import { readDirectBody } from './read-body/direct-body.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { asyncHandler, type Handler, type Request } from './http/handler.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { endpointOf, isRouted } from './http/paths.ts'
import { isMultipart, readJsonModel, readMultipartModel } from './read-body/read-model.ts'
import type { IncomingMessage } from 'node:http'

/** The least that is read of a refused body before the connection is cut, bytes. */
const LEAST_ALLOWANCE = 1024 * 1024

/** Options of {@link readBody}. */
export interface ReadBodyOptions {
  /** Largest body: bytes, or text such as `"32mb"` (the default; 1 mb is 1,048,576 bytes). */
  readonly limit?: number | string | undefined
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
})

/**
 * Reads the body of POST requests to model endpoints into `exchange.request`, with `model` and `stream`, and fills
 * `exchange.endpoint`. Everything else passes untouched. Answers 413 `request_too_large`, 415
 * `unsupported_encoding` (compressed, or neither JSON nor multipart: a browser form must not reach a paid route),
 * 400 `invalid_json` and `model_unreadable`. A direct request (`exchange.request.direct`) may have any method and
 * any body. When the client leaves before the body is complete, no later middleware runs.
 * @throws ConfigError for a mistake in the options
 */
export function readBody(options: ReadBodyOptions = {}): Handler {
  const { limit } = parseOptions('readBody', SCHEMA, options)

  return asyncHandler('readBody', async (req, _res, next) => {
    if (!isRouted(req)) return next()
    const exchange = exchangeOf(req)
    const { direct } = exchange.request
    if (!direct) exchange.endpoint = endpointOf(req) ?? exchange.endpoint
    if (exchange.request.body !== undefined) return next()
    if (req.body !== undefined || req.readableEnded) throw alreadyRead()
    if (!direct) refuseHeaders(req)
    const body = await collect(req, limit)
    if (body === undefined) {
      exchange.record.outcome ??= 'failed'
      exchange.record.details['fault'] = 'client left before the body was whole'
      return
    }
    const type = req.headers['content-type'] ?? ''
    const { model, stream, members } = direct
      ? await readDirectBody(exchange, type, body)
      : isMultipart(type)
        ? await readMultipartModel(type, body)
        : readJsonModel(body)
    exchange.request.body = body
    exchange.request.members = members
    exchange.request.model = model
    exchange.request.stream = stream
    next()
  })
}

/**
 * The body's bytes, or `undefined` when the client left before its end: there is no one to answer, and a partial
 * body must not be sent to a seller.
 * @throws TollwayError `request_too_large`, at once when Content-Length says so
 */
function collect(req: Request, limit: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const refuse = (): void => {
      stop()
      discardRest(req, limit)
      reject(tooLarge(limit))
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      if (size > limit) refuse()
      else chunks.push(chunk)
    }
    const onEnd = (): void => {
      stop()
      resolve(Buffer.concat(chunks, size))
    }
    const onClose = (): void => {
      stop()
      resolve(undefined)
    }
    const stop = (): void => {
      req.off('data', onData)
      req.off('end', onEnd)
      req.off('close', onClose)
    }
    // Keep this listener: an aborted request emits an error that would end the process if unhandled.
    req.on('error', () => undefined)
    if (Number(req.headers['content-length'] ?? 0) > limit) return refuse()
    if (req.destroyed) return onClose()
    req.on('data', onData)
    req.on('end', onEnd)
    req.on('close', onClose)
  })
}

function refuseHeaders(req: Request): void {
  const encoding = req.headers['content-encoding']
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    throw unsupported('Compressed request bodies are not read.', 'Send the body without Content-Encoding.')
  }
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

function tooLarge(limit: number): TollwayError {
  return new TollwayError({
    code: 'request_too_large',
    message: `The request body is over the limit of ${limit} bytes.`,
    advice: ['Send less, or raise body_limit.'],
  })
}

function alreadyRead(): ConfigError {
  return new ConfigError(
    'readBody() found the body already read. Mount it before express.json() and every other body parser: the bytes ' +
      'are forwarded as they came.',
  )
}

/**
 * Reads and discards the rest, so that a client that writes its whole body before it reads still gets the answer.
 * After `allowance` more bytes (at least 1 MiB) the connection is cut instead.
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
