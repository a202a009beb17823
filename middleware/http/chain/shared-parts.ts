/** What the middlewares of one chain share about a request: whoever has a part gives it to those behind it. */
import type { Exchange } from '../../../src/core/request/exchange.ts'
import type { Observer } from '../../../src/core/telemetry/events.ts'
import type { SharedAuditFile } from '../../../src/io/audit/lazy-audit-file.ts'
import type { Ledger } from '../../../src/io/ledger/ledger.ts'
import type { Store } from '../../../src/io/store/store.ts'

/** A ledger, and how it came about. */
export interface SharedLedger {
  readonly ledger: Ledger
  /** The store that it was opened on; `undefined` for a ledger that was given. */
  readonly store: string | Store | undefined
  /** Nobody named a store: it is kept in memory, which is not enough to pay from. */
  readonly isDefault: boolean
  /** The factory that brought it, for messages. */
  readonly from: string
}

/** The parts that a request carries. */
export interface SharedParts {
  ledger: SharedLedger | undefined
  /** Where the ledger writes its records. */
  audit: SharedAuditFile | undefined
  /** Told about everything that happens to the request, beside those that a factory was given. */
  observers: readonly Observer[]
}

const PARTS = new WeakMap<Exchange, SharedParts>()

/** The parts that a request carries; empty at first. */
export function sharedParts(exchange: Exchange): SharedParts {
  let parts = PARTS.get(exchange)
  if (!parts) {
    parts = { ledger: undefined, audit: undefined, observers: [] }
    PARTS.set(exchange, parts)
  }
  return parts
}

/** Adds observers, each once: they are told about everything that the middlewares behind do for this request. */
export function observeWith(exchange: Exchange, ...observers: readonly Observer[]): void {
  const parts = sharedParts(exchange)
  parts.observers = [...new Set([...parts.observers, ...observers])]
}
