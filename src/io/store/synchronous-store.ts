/** Makes a store of contracts that do their work synchronously inside a transaction, as memory and SQLite do. */
import type { AuditHeadStore } from './contracts/audit-heads.ts'
import type { AuditOutbox } from './contracts/audit-outbox.ts'
import type { BudgetStore } from './contracts/budgets.ts'
import type { ChargeStore } from './contracts/charges.ts'
import type { FlagStore } from './contracts/flags.ts'
import type { IdempotencyStore } from './contracts/idempotency.ts'
import type { InstanceStore } from './contracts/instances.ts'
import type { PurchaseStore } from './contracts/purchases.ts'
import type { SellerStore } from './contracts/sellers.ts'
import type { SpendingStore } from './contracts/spending.ts'
import type { VoucherStore } from './contracts/vouchers.ts'
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
  readonly outbox: InTransaction<AuditOutbox>
}

/** Runs work in a transaction. Both reject with `store_unavailable` once the store is closed. */
export interface Transactions {
  /** On one snapshot. */
  readonly read: <T>(work: () => T) => Promise<T>
  /** All or nothing; durable when it resolves. */
  readonly write: <T>(work: () => T) => Promise<T>
  /**
   * All or nothing, and durable with the next durable write. For what may be lost with the power and is then found out again: a
   * reservation, for which nothing was signed yet, and the end of a payment, which is uncertain and counted without it.
   */
  readonly writeSoon: <T>(work: () => T) => Promise<T>
}

/** Composes the store: each method of each contract in a transaction of its own. */
export function synchronousStore(
  contracts: SynchronousContracts,
  { read, write, writeSoon }: Transactions,
  own: Pick<Store, 'kind' | 'ping' | 'close'>,
): Store {
  const { charges, spending, flags, budgets, sellers, idempotency, auditHeads, instances } = contracts
  return {
    ...own,
    reserve: (...args) => writeSoon(() => charges.reserve(...args)),
    authorize: (...args) => write(() => charges.authorize(...args)),
    takeOver: (...args) => write(() => charges.takeOver(...args)),
    move: (...args) => writeSoon(() => charges.move(...args)),
    settleTokens: (...args) => write(() => charges.settleTokens(...args)),
    charge: (...args) => read(() => charges.charge(...args)),
    charges: (...args) => read(() => charges.charges(...args)),
    history: (...args) => read(() => charges.history(...args)),
    unproven: (...args) => read(() => charges.unproven(...args)),
    withTransaction: (...args) => read(() => charges.withTransaction(...args)),

    spend: (...args) => read(() => spending.spend(...args)),
    sum: (...args) => read(() => spending.sum(...args)),
    spentBy: (...args) => read(() => spending.spentBy(...args)),
    noteUsage: (...args) => writeSoon(() => spending.noteUsage(...args)),
    usages: (...args) => read(() => spending.usages(...args)),
    consumption: (...args) => read(() => spending.consumption(...args)),

    flag: (...args) => write(() => flags.flag(...args)),
    unflag: (...args) => write(() => flags.unflag(...args)),
    flags: (...args) => read(() => flags.flags(...args)),
    flagCounts: () => read(() => flags.flagCounts()),

    totals: (...args) => read(() => budgets.totals(...args)),
    freeAt: (...args) => read(() => budgets.freeAt(...args)),
    subjects: (...args) => read(() => budgets.subjects(...args)),
    windows: (...args) => read(() => budgets.windows(...args)),
    announce: (...args) => write(() => budgets.announce(...args)),

    pins: (...args) => read(() => sellers.pins(...args)),
    notePin: (...args) => write(() => sellers.notePin(...args)),
    trustPin: (...args) => write(() => sellers.trustPin(...args)),
    forgetSeller: (...args) => write(() => sellers.forgetSeller(...args)),
    price: (...args) => read(() => sellers.price(...args)),
    prices: (...args) => read(() => sellers.prices(...args)),
    priceRanges: (...args) => read(() => sellers.priceRanges(...args)),
    notePrice: (...args) => writeSoon(() => sellers.notePrice(...args)),
    trustPrice: (...args) => write(() => sellers.trustPrice(...args)),

    digestKey: () => read(() => idempotency.digestKey()),
    tombstones: (...args) => read(() => idempotency.tombstones(...args)),
    markUndelivered: (...args) => writeSoon(() => idempotency.markUndelivered(...args)),

    noteAuditHead: (...args) => write(() => auditHeads.noteAuditHead(...args)),
    auditHeads: () => read(() => auditHeads.auditHeads()),

    register: (...args) => write(() => instances.register(...args)),
    heartbeat: (...args) => writeSoon(() => instances.heartbeat(...args)),
    instances: () => read(() => instances.instances()),
    retire: (...args) => write(() => instances.retire(...args)),

    vouchers: voucherStore(contracts.vouchers, { read, write }),
    purchases: {
      save: (...args) => write(() => contracts.purchases.save(...args)),
      list: (...args) => read(() => contracts.purchases.list(...args)),
    },
    outbox: {
      markPublished: (...args) => writeSoon(() => contracts.outbox.markPublished(...args)),
      adopt: (...args) => write(() => contracts.outbox.adopt(...args)),
    },
  }
}

function voucherStore(
  vouchers: InTransaction<VoucherStore>,
  { read, write }: Pick<Transactions, 'read' | 'write'>,
): VoucherStore {
  return {
    define: (...args) => write(() => vouchers.define(...args)),
    pools: (...args) => read(() => vouchers.pools(...args)),
    drain: (...args) => write(() => vouchers.drain(...args)),
    remove: (...args) => write(() => vouchers.remove(...args)),
    add: (...args) => write(() => vouchers.add(...args)),
    claim: (...args) => write(() => vouchers.claim(...args)),
    spentElsewhere: (...args) => write(() => vouchers.spentElsewhere(...args)),
    exported: (...args) => read(() => vouchers.exported(...args)),
    room: (...args) => read(() => vouchers.room(...args)),
    drop: (...args) => write(() => vouchers.drop(...args)),
    retain: (...args) => write(() => vouchers.retain(...args)),
    list: (...args) => read(() => vouchers.list(...args)),
    usedKeys: (...args) => read(() => vouchers.usedKeys(...args)),
  }
}
