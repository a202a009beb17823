/** Makes a store of contracts that do their work synchronously inside a transaction, as memory and SQLite do. */
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
import { composeStore } from './compose-store.ts'
import type { Store } from './store.ts'

/** A contract whose methods run to their end inside one transaction. */
export type InTransaction<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => Promise<infer R> ? (...args: A) => R : never
}

/** One implementation per contract. */
export interface SynchronousContracts {
  readonly charges: InTransaction<ChargeStore>
  readonly spending: InTransaction<SpendingStore>
  readonly flags: InTransaction<FlagStore>
  readonly budgets: InTransaction<BudgetStore>
  readonly sellers: InTransaction<SellerStore>
  readonly idempotency: InTransaction<IdempotencyStore>
  readonly auditHeads: InTransaction<AuditHeadStore>
  readonly instances: InTransaction<InstanceStore>
  readonly vouchers: InTransaction<VoucherStore>
  readonly purchases: InTransaction<PurchaseStore>
  readonly notices: InTransaction<NoticeStore>
  readonly outbox: InTransaction<AuditOutbox>
}

/** Runs work in a transaction. All reject with `store_unavailable` once the store is closed. */
export interface SynchronousTransactions {
  readonly read: Run
  /** As in `Transactions`. */
  readonly write: Run
  /** As in `Transactions`. */
  readonly writeSoon: Run
}

type Run = <T>(work: () => T) => Promise<T>

/** Composes the store: each method of each contract in a transaction of its own. */
export function synchronousStore(
  contracts: SynchronousContracts,
  { read, write, writeSoon }: SynchronousTransactions,
  own: Pick<Store, 'kind' | 'ping' | 'close'>,
): Store {
  return composeStore(
    {
      read: (work) => read(() => work(contracts)).then((result) => result),
      write: (work) => write(() => work(contracts)).then((result) => result),
      writeSoon: (work) => writeSoon(() => work(contracts)).then((result) => result),
      writeEnd: (work) => writeSoon(() => work(contracts)).then((result) => result),
    },
    own,
  )
}
