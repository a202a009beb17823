/** Turns errors into answers: the error's own status and an OpenAI-shaped (or Anthropic-shaped) body. */
import { systemClock } from '../src/core/clock.ts'
import { LogLimit } from '../src/core/log-limit.ts'
import type { ServerResponse } from 'node:http'
import { z } from 'zod'
import { TollwayError } from '../src/core/errors.ts'
import { spentOf, type Exchange } from '../src/core/request/exchange.ts'
import { setNoSniff, setResponseHeaders } from './http/response-headers.ts'
import { printable } from '../src/core/printable.ts'
import { endEarly } from './http/early-stream.ts'
import { exchangeOf } from './http/exchange-of.ts'
import { isOwnFault, type ErrorHandler, type Handler, type Request } from './http/handler.ts'
import { stderrLog } from './http/stderr-log.ts'
import { logOption } from './http/options.ts'
import { type Log } from '../src/core/log.ts'
import { named } from './http/handler.ts'
import { ONE_COPY } from './http/one-copy.ts'
import { setupError } from './http/setup-error.ts'
import { parseOptions } from '../src/io/names/parse-options.ts'
import { otherMethod } from './http/other-method.ts'
import { outcomeOf } from '../src/core/request/outcome.ts'
import { endpointOf } from './http/paths.ts'
import { endAfterUpload } from './http/end-of-upload.ts'
import { pathAdvice } from './http/path-advice.ts'

/** Anthropic's error types for the statuses where its SDKs distinguish errors by type; 400 and 402 keep ours. */
const ANTHROPIC_TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  500: 'api_error',
  503: 'api_error',
}

/** Options of {@link errorHandler}. */
export interface ErrorHandlerOptions {
  /** Receives internal errors and mistakes in the mounting; default one line for each on standard error. */
  readonly log?: Log | undefined
  /**
   * What happens to errors that the application around Tollway threw: `pass` (default) hands them on to its own error
   * handler, `answer` answers them with 500 `internal_error`. Once money moved for a request, its errors are answered.
   */
  readonly hostErrors?: 'pass' | 'answer' | undefined
}

const SCHEMA = z.strictObject({
  log: logOption.default(stderrLog),
  hostErrors: z.enum(['pass', 'answer'], 'use "pass" or "answer"').default('pass'),
})

/** Statuses on which stock clients retry: never sent when money may have moved. */
const RETRIED = (status: number): boolean =>
  status >= 500 || status === 408 || status === 409 || status === 429

/** Headers of an answer that was started and will not be sent; they would misdescribe the error's body. */
const ENTITY_HEADERS =
  /^(?:content-.+|transfer-encoding|trailer|etag|last-modified|expires|set-cookie|connection|retry-after)$/

/**
 * The last handler: answers every error of Tollway's, and leaves those of the application to the application. Faults of
 * our own become 500 `internal_error` with a fixed message and are logged. Once money may have moved, no status is sent that makes a client retry. An
 * answer that has already begun is cut off.
 * @throws ConfigError for a mistake in the options
 */
export function errorHandler(options: ErrorHandlerOptions = {}): ErrorHandler {
  const { log, hostErrors } = parseOptions('errorHandler', SCHEMA, options)
  const faults = new LogLimit(systemClock)

  const handler: ErrorHandler = (error, req, res, next) => {
    const exchange = exchangeOf(req)
    if (hostErrors === 'pass' && isOfHost(error, exchange)) return next(error)
    const own = ownError(error)
    if (own.code === 'internal_error' && own !== error) {
      exchange.record.details['fault'] = error instanceof Error ? error.name : typeof error
      faults.pass(String(error), (more) =>
        log.error({ err: error, requestId: exchange.id, ...more }, 'a request failed with an internal error'),
      )
    } else if (own.code === 'setup_error') {
      faults.pass(own.message, (more) =>
        log.error(
          { err: own, requestId: exchange.id, ...own.details, ...more },
          'the middlewares are mounted wrongly',
        ),
      )
    }
    const sent = fitting(own, exchange)
    exchange.record.code = sent.code
    exchange.record.advice = sent.advice
    Object.assign(exchange.record.details, own.details, sent === own ? {} : { replaced: own.code })
    exchange.record.outcome = outcomeOf(exchange, sent.status)
    const answer = (): void => {
      if (!res.headersSent) {
        sendOrCut(res, exchange, () =>
          send(req, res, sent, exchange, (endpointOf(req) ?? exchange.endpoint).startsWith('/messages')),
        )
      } else if (exchange.relay.openedEarly && !res.writableEnded) endEarly(res, exchange, sent)
      else if (!res.writableEnded) res.destroy()
    }
    const { run } = exchange.payment
    if (run && spentOf(exchange) !== 'no') run.lost().then(answer).catch(next)
    else answer()
  }
  return named('errorHandler', handler)
}

/**
 * Answers 404 `not_found`, or 405 `method_not_allowed` for one of our paths. Mount it after everything that serves
 * a path and before {@link errorHandler}.
 * @throws ConfigError for options: it has none
 */
export function notFound(options: Readonly<Record<string, never>> = {}): Handler {
  parseOptions('notFound', z.strictObject({}), options)
  return named<Handler>('notFound', (req, _res, next) => {
    const path = (req.originalUrl ?? req.url ?? '').split(/[?#]/, 1)[0] ?? ''
    const other = otherMethod(req)
    if (other) return next(other)
    next(
      new TollwayError({
        code: 'not_found',
        message: `${printable(req.method ?? '')} ${printable(path)} is not served here.`,
        advice: [...pathAdvice(req), 'Check the base URL; for example, GET /v1/models is served.'],
      }),
    )
  })
}

/** None of our middlewares threw it, nothing was paid, and none of our responses is under way. */
function isOfHost(error: unknown, exchange: Exchange): boolean {
  if (error instanceof TollwayError || isOwnFault(error) || isErrorOfAnotherCopy(error)) return false
  return spentOf(exchange) === 'no' && !exchange.relay.reply && !exchange.relay.openedEarly
}

/** Whether a second copy of this package made it: its classes are others. */
function isErrorOfAnotherCopy(error: unknown): error is Error {
  return error instanceof Error && error.name === 'TollwayError' && !(error instanceof TollwayError)
}

function ownError(error: unknown): TollwayError {
  if (error instanceof TollwayError) return error
  if (isErrorOfAnotherCopy(error)) return setupError(error.message, ONE_COPY)
  // Express throws this for a path that it cannot decode.
  if (error instanceof URIError) {
    return new TollwayError({ code: 'not_found', message: 'The path is not well-formed.' })
  }
  return new TollwayError({
    code: 'internal_error',
    message: 'Internal error in Tollway.',
    advice: ['The log has the details under this request id.'],
    cause: error,
  })
}

/** A response that the host has changed may throw: what would answer then knows nothing of the money. */
function sendOrCut(res: ServerResponse, exchange: Exchange, write: () => void): void {
  try {
    write()
  } catch (error) {
    if (spentOf(exchange) === 'no') throw error
    res.destroy()
  }
}

function fitting(error: TollwayError, exchange: Exchange): TollwayError {
  const spent = spentOf(exchange)
  if (spent === 'no' || !RETRIED(error.status)) return error
  return spent === 'yes'
    ? new TollwayError({
        code: 'paid_not_delivered',
        message: 'The seller took the payment, and its answer could not be delivered.',
        advice: ['Sending the request again may pay again.'],
      })
    : new TollwayError({
        code: 'payment_uncertain',
        message: 'A payment was sent, and it is not known yet whether it was taken.',
        advice: ['Sending the request again may pay again.'],
      })
}

function send(
  req: Request,
  res: ServerResponse,
  error: TollwayError,
  exchange: Exchange,
  anthropic: boolean,
): void {
  for (const name of res.getHeaderNames()) if (ENTITY_HEADERS.test(name)) res.removeHeader(name)
  endAfterUpload(req, res)
  setResponseHeaders(res, exchange)
  for (const [name, value] of Object.entries(error.headers)) res.setHeader(name, value)
  if (error.status < 500 && error.status !== 429) res.setHeader('x-should-retry', 'false')
  setNoSniff(res)
  res.setHeader('content-type', 'application/json')
  res.setHeader('cache-control', 'no-store')
  const body = Buffer.from(JSON.stringify(errorBody(error, anthropic)))
  res.setHeader('content-length', body.length)
  res.statusCode = error.status
  res.statusMessage = ''
  res.end(body)
}

/** The JSON of an error: OpenAI's envelope, or Anthropic's on its own endpoints. */
function errorBody(error: TollwayError, anthropic: boolean): Readonly<Record<string, unknown>> {
  if (!anthropic) return { ...error.toBody() }
  const type = ANTHROPIC_TYPES[error.status] ?? error.type
  const { message, seller } = error
  return { type: 'error', error: { type, message, ...(seller ? { seller } : {}) } }
}
