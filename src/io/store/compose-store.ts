/** Composes a store of one implementation per contract, whose methods are called inside transactions. */
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
import type { Store } from './store.ts'

/** A contract whose methods are called inside a transaction. */
type Within<T> = {
  readonly [K in keyof T]: T[K] extends (...args: infer A) => Promise<infer R>
    ? (...args: A) => R | Promise<R>
    : never
}

/** One implementation per contract, all in one transaction. */
export interface ContractsWithin {
  readonly charges: Within<ChargeStore>
  readonly spending: Within<SpendingStore>
  readonly flags: Within<FlagStore>
  readonly budgets: Within<BudgetStore>
  readonly sellers: Within<SellerStore>
  readonly idempotency: Within<IdempotencyStore>
  readonly auditHeads: Within<AuditHeadStore>
  readonly instances: Within<InstanceStore>
  readonly vouchers: Within<VoucherStore>
  readonly purchases: Within<PurchaseStore>
  readonly notices: Within<NoticeStore>
  readonly outbox: Within<AuditOutbox>
}

/** Runs work in a transaction. All reject with `store_unavailable` once the store is closed. */
export interface Transactions {
  /** On one snapshot. */
  readonly read: Transact
  /** All or nothing; durable when it resolves. */
  readonly write: Transact
  /**
   * All or nothing, and durable with the next durable write. For what may be lost with the power and is then found out again, such
   * as a reservation, for which nothing was signed yet, and the head of an audit file, which follows the end of a payment.
   */
  readonly writeSoon: Transact
  /**
   * The end of a payment. Without it the payment is uncertain and counted, once its process has ended: where losing the power ends
   * the process too, it may be written soon; elsewhere it must be durable.
   */
  readonly writeEnd: Transact
}

type Transact = <T>(work: (contracts: ContractsWithin) => T | Promise<T>) => Promise<T>

/** Composes the store: each method of each contract in a transaction of its own. */
export function composeStore(
  { read, write, writeSoon, writeEnd }: Transactions,
  own: Pick<Store, 'kind' | 'ping' | 'close'>,
): Store {
  return {
    ...own,
    reserve: (...args) => writeSoon(({ charges }) => charges.reserve(...args)),
    authorize: (...args) => write(({ charges }) => charges.authorize(...args)),
    takeOver: (...args) => write(({ charges }) => charges.takeOver(...args)),
    move: (...args) => writeEnd(({ charges }) => charges.move(...args)),
    settleTokens: (...args) => write(({ charges }) => charges.settleTokens(...args)),
    charge: (...args) => read(({ charges }) => charges.charge(...args)),
    charges: (...args) => read(({ charges }) => charges.charges(...args)),
    history: (...args) => read(({ charges }) => charges.history(...args)),
    unproven: (...args) => read(({ charges }) => charges.unproven(...args)),
    withTransaction: (...args) => read(({ charges }) => charges.withTransaction(...args)),

    spend: (...args) => read(({ spending }) => spending.spend(...args)),
    sum: (...args) => read(({ spending }) => spending.sum(...args)),
    spentBy: (...args) => read(({ spending }) => spending.spentBy(...args)),
    noteUsage: (...args) => writeSoon(({ spending }) => spending.noteUsage(...args)),
    usages: (...args) => read(({ spending }) => spending.usages(...args)),
    consumption: (...args) => read(({ spending }) => spending.consumption(...args)),

    flag: (...args) => write(({ flags }) => flags.flag(...args)),
    unflag: (...args) => write(({ flags }) => flags.unflag(...args)),
    flags: (...args) => read(({ flags }) => flags.flags(...args)),
    flagCounts: () => read(({ flags }) => flags.flagCounts()),

    totals: (...args) => read(({ budgets }) => budgets.totals(...args)),
    freeAt: (...args) => read(({ budgets }) => budgets.freeAt(...args)),
    subjects: (...args) => read(({ budgets }) => budgets.subjects(...args)),
    windows: (...args) => read(({ budgets }) => budgets.windows(...args)),
    announce: (...args) => write(({ budgets }) => budgets.announce(...args)),

    pins: (...args) => read(({ sellers }) => sellers.pins(...args)),
    notePin: (...args) => write(({ sellers }) => sellers.notePin(...args)),
    trustPin: (...args) => write(({ sellers }) => sellers.trustPin(...args)),
    forgetSeller: (...args) => write(({ sellers }) => sellers.forgetSeller(...args)),
    price: (...args) => read(({ sellers }) => sellers.price(...args)),
    prices: (...args) => read(({ sellers }) => sellers.prices(...args)),
    priceRanges: (...args) => read(({ sellers }) => sellers.priceRanges(...args)),
    notePrice: (...args) => writeSoon(({ sellers }) => sellers.notePrice(...args)),
    trustPrice: (...args) => write(({ sellers }) => sellers.trustPrice(...args)),

    digestKey: () => read(({ idempotency }) => idempotency.digestKey()),
    tombstones: (...args) => read(({ idempotency }) => idempotency.tombstones(...args)),
    markUndelivered: (...args) => writeSoon(({ idempotency }) => idempotency.markUndelivered(...args)),

    noteAuditHead: (...args) => writeSoon(({ auditHeads }) => auditHeads.noteAuditHead(...args)),
    auditHeads: () => read(({ auditHeads }) => auditHeads.auditHeads()),

    register: (...args) => write(({ instances }) => instances.register(...args)),
    heartbeat: (...args) => writeSoon(({ instances }) => instances.heartbeat(...args)),
    instances: () => read(({ instances }) => instances.instances()),
    retire: (...args) => write(({ instances }) => instances.retire(...args)),

    vouchers: voucherStore({ read, write }),
    purchases: {
      save: (...args) => write(({ purchases }) => purchases.save(...args)),
      list: (...args) => read(({ purchases }) => purchases.list(...args)),
    },
    notices: {
      add: (...args) => write(({ notices }) => notices.add(...args)),
      attempt: (...args) => writeSoon(({ notices }) => notices.attempt(...args)),
      end: (...args) => write(({ notices }) => notices.end(...args)),
      remove: (...args) => writeSoon(({ notices }) => notices.remove(...args)),
      find: (...args) => read(({ notices }) => notices.find(...args)),
      list: (...args) => read(({ notices }) => notices.list(...args)),
      adopt: (...args) => write(({ notices }) => notices.adopt(...args)),
    },
    outbox: {
      markPublished: (...args) => writeSoon(({ outbox }) => outbox.markPublished(...args)),
      adopt: (...args) => write(({ outbox }) => outbox.adopt(...args)),
    },
  }
}

function voucherStore({ read, write }: Pick<Transactions, 'read' | 'write'>): VoucherStore {
  return {
    define: (...args) => write(({ vouchers }) => vouchers.define(...args)),
    pools: (...args) => read(({ vouchers }) => vouchers.pools(...args)),
    drain: (...args) => write(({ vouchers }) => vouchers.drain(...args)),
    remove: (...args) => write(({ vouchers }) => vouchers.remove(...args)),
    add: (...args) => write(({ vouchers }) => vouchers.add(...args)),
    claim: (...args) => write(({ vouchers }) => vouchers.claim(...args)),
    spentElsewhere: (...args) => write(({ vouchers }) => vouchers.spentElsewhere(...args)),
    exported: (...args) => read(({ vouchers }) => vouchers.exported(...args)),
    room: (...args) => read(({ vouchers }) => vouchers.room(...args)),
    drop: (...args) => write(({ vouchers }) => vouchers.drop(...args)),
    retain: (...args) => write(({ vouchers }) => vouchers.retain(...args)),
    list: (...args) => read(({ vouchers }) => vouchers.list(...args)),
    usedKeys: (...args) => read(({ vouchers }) => vouchers.usedKeys(...args)),
  }
}
