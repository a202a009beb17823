import type { Handler } from './handler.ts'

/** A middleware that may have opened something of its own, such as a ledger or a connection pool. */
export interface ClosableHandler extends Handler {
  /** Closes what this middleware opened itself, never what it was given. Call it after the server has closed. */
  close(): Promise<void>
}

/** Adds `close()` to a handler. */
export function closable(handler: Handler, close: () => Promise<void>): ClosableHandler {
  return Object.assign(handler, { close })
}
