/** What the middlewares of one chain share about a request: each adds what it has for those mounted after it. */
import type { HookRunner } from '../../../src/core/hooks/hook-runner.ts'
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
  /** No store was configured: it is kept in memory, which is not enough to pay from. */
  readonly isDefault: boolean
  /** The factory that brought it, for messages. */
  readonly from: string
}

/** What a request carries through the chain. */
export interface SharedContext {
  ledger: SharedLedger | undefined
  /** Where the ledger writes its records. */
  audit: SharedAuditFile | undefined
  /** They receive every event of the request, in addition to the observers that a factory was given. */
  observers: readonly Observer[]
  /** The hooks of the middlewares that it passed. */
  hooks: readonly HookRunner[]
}

const CONTEXTS = new WeakMap<Exchange, SharedContext>()

/** What a request carries through the chain; empty at first. */
export function sharedContext(exchange: Exchange): SharedContext {
  let shared = CONTEXTS.get(exchange)
  if (!shared) {
    shared = { ledger: undefined, audit: undefined, observers: [], hooks: [] }
    CONTEXTS.set(exchange, shared)
  }
  return shared
}

/** Adds observers, each once: they receive every event of the middlewares mounted after this one. */
export function observeWith(exchange: Exchange, ...observers: readonly Observer[]): void {
  const shared = sharedContext(exchange)
  shared.observers = [...new Set([...shared.observers, ...observers])]
}
