/**
 * The contract of the ledger's store, composed of one contract per owner (contracts/). Callers name the narrow contract that
 * they need.
 *
 * Every method is one transaction across all processes that share the store: it happens whole or not at all. When its promise
 * resolves, the effect survives what the store promises to survive (SQLite: power loss). Callers assume neither that a method
 * finishes within one turn of the event loop nor that they are the only process. One conformance suite per contract runs over
 * every implementation (src/testing/store, run by test/store/store.test.ts).
 *
 * @throws TollwayError `store_unavailable` from any method when the store cannot be read or written, or is closed
 */
import type { AuditHeadStore } from './contracts/audit-heads.ts'
import type { AuditOutbox } from './contracts/audit-outbox.ts'
import type { BudgetStore } from './contracts/budgets.ts'
import type { ChargeStore } from './contracts/charges.ts'
import type { FlagStore } from './contracts/flags.ts'
import type { IdempotencyStore } from './contracts/idempotency.ts'
import type { InstanceStore } from './contracts/instances.ts'
import type { NoticeStore } from './contracts/notices.ts'
import type { PurchaseStore } from './contracts/purchases.ts'
import type { SellerStore } from './contracts/sellers.ts'
import type { SpendingStore } from './contracts/spending.ts'
import type { VoucherStore } from './contracts/vouchers.ts'

/** The contracts whose methods a store has itself. */
export interface LedgerContracts
  extends
    ChargeStore,
    SpendingStore,
    FlagStore,
    BudgetStore,
    SellerStore,
    IdempotencyStore,
    AuditHeadStore,
    InstanceStore {}

/** The ledger's store. */
export interface Store extends LedgerContracts {
  /** For messages and metrics: `memory`, `sqlite`. */
  readonly kind: string
  /** Payments signed ahead. */
  readonly vouchers: VoucherStore
  /** Orders of vouchers. */
  readonly purchases: PurchaseStore
  /** Approvals that are waited for, and messages that are not delivered. */
  readonly notices: NoticeStore
  /** Moves that the audit file may not hold yet. */
  readonly outbox: AuditOutbox

  /**
   * How far the clock that charges are dated by is ahead of this process's, milliseconds; without it they are dated by this process's.
   * For stores that processes on several machines share.
   */
  readonly clockAheadMs?: (() => number) | undefined

  /** Resolves when a write would succeed now; used by readiness. */
  ping(): Promise<void>
  /** Finishes what was asked for and closes. Every later call rejects with `store_unavailable`. */
  close(): Promise<void>
}
