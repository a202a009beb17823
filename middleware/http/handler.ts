/** The shapes of a middleware: `node:http` types only, so that Express 4, Express 5 and bare servers all fit. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { TollwayError } from '../../src/core/errors.ts'
import { isSharedWithAnotherCopy, ofThisCopy, ONE_COPY } from './one-copy.ts'
import { setupError } from './setup-error.ts'

/** A request as Express hands it on. */
export interface Request extends IncomingMessage {
  /** The URL before any mount path was cut off. */
  originalUrl?: string
  /** Set by body parsers; Tollway's own does not touch it. */
  body?: unknown
}

export type Next = (error?: unknown) => void
export type Handler = (req: Request, res: ServerResponse, next: Next) => void
export type ErrorHandler = (error: unknown, req: Request, res: ServerResponse, next: Next) => void

/** Errors that a middleware of ours threw. */
const OWN_FAULTS = new WeakSet<object>()

/** Whether a middleware of ours threw this, and not the application around it. */
export function isOwnFault(error: unknown): boolean {
  return typeof error === 'object' && error !== null && OWN_FAULTS.has(error)
}

/** Runs async work as a middleware: a rejection goes to `next`, never to an unhandled rejection (Express 4 too). */
export function asyncHandler(
  name: string,
  work: (req: Request, res: ServerResponse, next: Next) => Promise<void>,
): Handler {
  const handler: Handler = (req, res, next) => {
    work(req, res, next).catch((error: unknown) => {
      if (typeof error === 'object' && error !== null) OWN_FAULTS.add(error)
      next(withCopies(error, req))
    })
  }
  return named(name, handler)
}

/** What is missing may be there, in another copy of the package. */
function withCopies(error: unknown, req: Request): unknown {
  if (!(error instanceof TollwayError) || error.code !== 'setup_error') return error
  return isSharedWithAnotherCopy(req) ? setupError(error.message, ONE_COPY) : error
}

/** Gives a handler the name of its factory: it keeps stack traces readable, and `assertOrder()` relies on it. */
export function named<T extends (...args: never[]) => unknown>(name: string, handler: T): T {
  return Object.defineProperty(ofThisCopy(handler), 'name', { value: name })
}
