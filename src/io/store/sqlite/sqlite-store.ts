/** The ledger in one SQLite file: survives power loss, shared by any number of processes of one machine. */
import { DatabaseSync } from 'node:sqlite'
import type { Claim, Totals } from '../../../core/budget/budget.ts'
import type { AuthorizationRecord, Charge, ChargeState, ChargeTerms } from '../../../core/charge/charge.ts'
import type { RequestMark } from '../../../core/request/idempotency.ts'
import type { ChargeFlag, ChainFinding } from '../../../core/charge/reconcile.ts'
import type { Usage } from '../../../core/stream/usage.ts'
import { mayTakeOver } from '../../../core/vouchers/voucher.ts'
import {
  authorizedCharge,
  duplicateCharge,
  heldCharge,
  movedCharge,
  payeeDiffers,
  queryLimit,
  refuseAuthorize,
  retiredCharge,
  storeClosed,
  takeClaims,
  takenOverCharge,
  unknownCharge,
  unknownInstance,
} from '../rules/charge-rules.ts'
import type { SpendQuery, SpendRow } from '../charge-filter.ts'
import { SqliteCharges } from './sqlite-charges.ts'
import { storeError } from './sqlite-errors.ts'
import { openLedgerFile, type Connection } from './sqlite-file.ts'
import { SqliteHistory } from './sqlite-history.ts'
import { SqliteFileIdentity } from './sqlite-file-identity.ts'
import {
  changesToRow,
  chargeToRow,
  rowToCharge,
  rowToFlagCount,
  rowToFlagged,
  rowToInstance,
  rowToPin,
  rowToTakenMicroUsd,
  text,
} from './sqlite-rows.ts'
import { SqliteSellers } from './sqlite-sellers.ts'
import { prepareStatements, type Statements } from './sqlite-statements.ts'
import { spentBy } from './sqlite-spent.ts'
import { SqliteTotals } from './sqlite-sums.ts'
import { SqliteTombstones } from './sqlite-tombstones.ts'
import { SqliteAuditOutbox } from './sqlite-audit-outbox.ts'
import { SqlitePurchases } from './sqlite-purchases.ts'
import { SqliteVouchers } from './sqlite-vouchers.ts'
import { SqliteUsage } from './sqlite-usage.ts'
import type {
  AuthorizeRefusal,
  BudgetWindow,
  ChargeQuery,
  Consumption,
  ConsumptionQuery,
  AuditHeadNote,
  Flagged,
  HistoryQuery,
  Instance,
  KnownPrice,
  Move,
  Pin,
  PriceKey,
  Reservation,
  SellerFilter,
  SpentBy,
  Store,
  SubjectTotals,
  TakenOver,
  Tombstone,
  UnprovenQuery,
} from '../store.ts'
import type { PurchaseStore } from '../purchase-store.ts'
import type { VoucherStore } from '../voucher-store.ts'
import { WriteQueue } from './write-queue.ts'

/** How to open a SQLite ledger. */
export interface SqliteStoreOptions {
  /** The file; its directory must exist. Made with mode 0600 when missing. */
  readonly path: string
  /** How long a write waits for another process's transaction, milliseconds; default 1000. The event loop goes on. */
  readonly busyTimeoutMs?: number | undefined
  /** Opens the connection; for tests that watch or break it. */
  readonly connect?: ((path: string) => Connection) | undefined
}

const BUSY_TIMEOUT_MS = 1000
/** How long SQLite itself waits for another process, milliseconds: most of their transactions are over by then. */
const BLOCKING_BUSY_MS = 5

/**
 * Opens a ledger file, or makes one.
 * @throws ConfigError when the file is damaged, foreign or newer, or its directory is missing: never starts afresh
 * @throws TollwayError `store_unavailable` when it is locked or the disk fails
 */
export function openSqliteStore(options: SqliteStoreOptions): Store {
  const opening = {
    path: options.path,
    busyTimeoutMs: options.busyTimeoutMs ?? BUSY_TIMEOUT_MS,
    connect: options.connect ?? ((path: string) => new DatabaseSync(path)),
  }
  return openLedgerFile(opening, (db) => {
    const place = new SqliteFileIdentity(options.path)
    // From here on the write queue waits for other processes; SQLite's own waiting would hold the event loop up.
    db.exec(`PRAGMA busy_timeout = ${Math.min(opening.busyTimeoutMs, BLOCKING_BUSY_MS)}`)
    const { busyTimeoutMs } = opening
    return new SqliteStore(db, new WriteQueue(db, { busyTimeoutMs, check: () => place.check() }))
  })
}

class SqliteStore implements Store {
  readonly kind = 'sqlite'
  readonly #db: Connection
  readonly #sql: Statements
  readonly #charges: SqliteCharges
  readonly #sums: SqliteTotals
  readonly #tombstones: SqliteTombstones
  readonly #untold: SqliteAuditOutbox
  readonly #sellers: SqliteSellers
  readonly #vouchers: SqliteVouchers
  readonly vouchers: VoucherStore
  readonly purchases: PurchaseStore
  readonly #usage: SqliteUsage
  readonly #history: SqliteHistory
  readonly #queue: WriteQueue
  #closed = false

  constructor(db: Connection, queue: WriteQueue) {
    this.#db = db
    this.#sql = prepareStatements(db)
    this.#charges = new SqliteCharges(db)
    this.#sums = new SqliteTotals(db)
    this.#tombstones = new SqliteTombstones(db)
    this.#untold = new SqliteAuditOutbox(db)
    this.#sellers = new SqliteSellers(db)
    const purchases = new SqlitePurchases(db)
    const vouchers = new SqliteVouchers(db, (id) => this.#get(id), purchases)
    this.#vouchers = vouchers
    this.vouchers = {
      define: (pool, at) => this.#write(() => vouchers.define(pool, at)),
      pools: (query) => this.#read(() => vouchers.pools(query)),
      drain: (payer, pool, at) => this.#write(() => vouchers.drain(payer, pool, at)),
      remove: (payer, pool) => this.#write(() => vouchers.remove(payer, pool)),
      add: (list, options) => this.#write(() => vouchers.add(list, options)),
      claim: (request) => this.#write(() => vouchers.claim(request)),
      spentElsewhere: (payer, pool, keys) => this.#write(() => vouchers.spentElsewhere(payer, pool, keys)),
      exported: (payer, pool, at) => this.#read(() => vouchers.exported(payer, pool, at)),
      room: (payer, pool, wanted, options) => this.#read(() => vouchers.room(payer, pool, wanted, options)),
      drop: (ids) => this.#write(() => vouchers.drop(ids)),
      retain: (payer, pool, ids) => this.#write(() => vouchers.retain(payer, pool, ids)),
      list: (query) => this.#read(() => vouchers.list(query)),
      usedKeys: (payer) => this.#read(() => vouchers.usedKeys(payer)),
    }
    this.purchases = {
      save: (purchase) => this.#write(() => purchases.save(purchase)),
      list: (query) => this.#read(() => purchases.list(query)),
    }
    this.#usage = new SqliteUsage(db)
    this.#history = new SqliteHistory(db)
    this.#queue = queue
  }

  reserve(
    terms: ChargeTerms,
    claims: readonly Claim[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Reservation> {
    return this.#write(() => {
      if (mark) this.#tombstones.claim(mark, terms.reservedAt)
      const result = this.#reserve(terms, claims, pin)
      if (result.ok && mark) this.#tombstones.insert(terms.id, mark, terms.reservedAt)
      return result
    })
  }

  authorize(id: string, record: AuthorizationRecord, at: number): Promise<Charge | AuthorizeRefusal> {
    return this.#write(() => {
      const before = this.#find(id)
      const refusal = refuseAuthorize(before, at)
      if (refusal) return refusal
      const charge = authorizedCharge(before, record, at)
      const { from, nonce } = charge.authorization ?? record
      if (this.#sql.nonce.get(from, charge.network, charge.asset, nonce)) return 'nonce_used'
      this.#change(before, charge)
      return charge
    })
  }

  takeOver(id: string, record: AuthorizationRecord, at: number): Promise<TakenOver | AuthorizeRefusal> {
    return this.#write(() => {
      const held = this.#find(id)
      const refusal = refuseAuthorize(held, at)
      if (refusal) return refusal
      const charge = authorizedCharge(held, record, at)
      const { from, nonce } = charge.authorization ?? record
      const row = this.#sql.nonce.get(from, charge.network, charge.asset, nonce)
      const before = row && rowToCharge(row)
      if (!before || !mayTakeOver(before, held, record) || !this.#vouchers.takeOver(before.id, id))
        return 'nonce_used'
      const now = takenOverCharge(before, at)
      this.#change(before, now)
      this.#change(held, charge)
      this.#untold.leave(now.id, charge.instance)
      return { charge, handOver: { now, before } }
    })
  }

  move(id: string, move: Move): Promise<Charge> {
    return this.#write(() => {
      const before = this.#find(id)
      const charge = movedCharge(before, move)
      this.#change(before, charge)
      this.#untold.leave(id, move.by)
      return charge
    })
  }

  charge(id: string): Promise<Charge | undefined> {
    return this.#read(() => this.#get(id))
  }

  charges(query: ChargeQuery = {}): Promise<Charge[]> {
    return this.#read(() => this.#charges.list(query))
  }

  spend(query: SpendQuery): Promise<SpendRow[]> {
    return this.#read(() => this.#charges.spend(query))
  }

  history(query: HistoryQuery): Promise<Charge[]> {
    return this.#read(() => this.#history.read(query))
  }

  noteAuditHead(head: AuditHeadNote): Promise<void> {
    return this.#write(() => this.#history.note(head))
  }

  auditHeads(): Promise<AuditHeadNote[]> {
    return this.#read(() => this.#history.heads())
  }

  unproven(query: UnprovenQuery): Promise<Charge[]> {
    return this.#read(() =>
      this.#sql.unproven.all(query.network, query.after ?? '', queryLimit(query)).map(rowToCharge),
    )
  }

  flag(id: string, finding: ChainFinding, at: number): Promise<boolean> {
    return this.#write(() => {
      this.#find(id)
      return Number(this.#sql.flag.run(id, finding.flag, finding.detail, at).changes) === 1
    })
  }

  unflag(id: string, flags: readonly ChargeFlag[]): Promise<void> {
    return this.#write(() => {
      for (const flag of flags) this.#sql.unflag.run(id, flag)
    })
  }

  flags(query?: { charge?: string | undefined; limit?: number | undefined }): Promise<Flagged[]> {
    return this.#read(() => {
      const limit = queryLimit(query)
      const rows =
        query?.charge === undefined ? this.#sql.flags.all(limit) : this.#sql.flagsOf.all(query.charge, limit)
      return rows.map(rowToFlagged)
    })
  }

  flagCounts(): Promise<{ readonly flag: ChargeFlag; readonly count: number }[]> {
    return this.#read(() => this.#sql.flagCounts.all().map(rowToFlagCount))
  }

  sum(state: ChargeState): Promise<{ readonly count: number; readonly microUsd: bigint }> {
    return this.#read(() => {
      let count = 0
      let microUsd = 0n
      // Added up here and not by SQL: its sums are doubles or 64-bit integers.
      for (const row of this.#sql.microUsd.iterate(state)) {
        count += 1
        microUsd += rowToTakenMicroUsd(row) ?? 0n
      }
      return { count, microUsd }
    })
  }

  spentBy(since: number, until = Number.MAX_SAFE_INTEGER): Promise<readonly SpentBy[]> {
    return this.#read(() => spentBy(this.#sql, since, until))
  }

  totals(claims: readonly Claim[]): Promise<Totals[]> {
    return this.#read(() => claims.map((claim) => this.#sums.against(claim)))
  }

  freeAt(claim: Claim): Promise<number | undefined> {
    return this.#read(() => this.#sums.freeAt(claim))
  }

  subjects(claim: Claim): Promise<SubjectTotals[]> {
    return this.#read(() => this.#sums.subjects(claim))
  }

  windows(since: number): Promise<BudgetWindow[]> {
    return this.#read(() => this.#sums.windows(since))
  }

  pins(apiBase?: string): Promise<Pin[]> {
    return this.#read(() =>
      (apiBase === undefined ? this.#sql.allPins.all() : this.#sql.pins.all(apiBase)).map(rowToPin),
    )
  }

  trustPin(pin: Pin): Promise<void> {
    return this.#write(() => this.#sellers.trustPin(pin))
  }

  forgetSeller(apiBase: string): Promise<{ readonly pins: number; readonly prices: number }> {
    return this.#write(() => this.#sellers.forget(apiBase))
  }

  price(key: PriceKey): Promise<KnownPrice | undefined> {
    return this.#read(() => this.#sellers.price(key))
  }

  prices(apiBase?: string): Promise<KnownPrice[]> {
    return this.#read(() => this.#sellers.prices(apiBase))
  }

  notePrice(key: PriceKey, amount: bigint, at: number): Promise<void> {
    return this.#write(() => this.#sellers.note(key, amount, at))
  }

  trustPrice(filter: SellerFilter, amount: bigint, at: number): Promise<KnownPrice[]> {
    return this.#write(() => this.#sellers.trustPrice(filter, amount, at))
  }

  digestKey(): Promise<Uint8Array> {
    return this.#read(() => this.#tombstones.digestKey())
  }

  tombstones(
    mark: RequestMark,
    since: number,
  ): Promise<{ readonly named: Tombstone | undefined; readonly newest: Tombstone | undefined }> {
    return this.#read(() => this.#tombstones.find(mark, since))
  }

  markUndelivered(charge: string, at: number): Promise<void> {
    return this.#write(() => this.#tombstones.markUndelivered(charge, at))
  }

  noteUsage(charge: string, usage: Usage): Promise<void> {
    return this.#write(() => this.#usage.note(charge, usage))
  }

  usages(charges: readonly string[]): Promise<ReadonlyMap<string, Usage>> {
    return this.#read(() => this.#usage.of(charges))
  }

  consumption(query: ConsumptionQuery): Promise<Consumption> {
    return this.#read(() => this.#usage.consumption(query))
  }

  register(instance: Instance): Promise<void> {
    const { id, host, pid, processStart, startedAt, heartbeatAt } = instance
    return this.#write(() => {
      this.#sql.register.run(id, host, pid, processStart, startedAt, heartbeatAt)
    })
  }

  heartbeat(id: string, at: number): Promise<void> {
    return this.#write(() => {
      if (Number(this.#sql.heartbeat.run(at, id).changes) === 0) throw unknownInstance(id)
    })
  }

  instances(): Promise<Instance[]> {
    return this.#read(() => this.#sql.instances.all().map(rowToInstance))
  }

  retire(id: string, at: number, reason: string, by?: string): Promise<Charge[]> {
    return this.#write(() => {
      const moved: Charge[] = []
      for (const before of this.#sql.openCharges.all(id).map(rowToCharge)) {
        const charge = retiredCharge(before, at, reason)
        if (!charge) continue
        this.#change(before, charge)
        this.#untold.leave(charge.id, by)
        moved.push(charge)
      }
      this.#sql.retire.run(at, id)
      return moved
    })
  }

  told(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): Promise<void> {
    return this.#write(() => {
      for (const charge of charges) this.#untold.told(charge)
    })
  }

  adoptUntold(from: string, to: string): Promise<Charge[]> {
    return this.#write(() => this.#untold.adopt(from, to))
  }

  ping(): Promise<void> {
    // A real write: only that finds out about a full or read-only disk.
    return this.#write(() => {
      this.#sql.ping.run()
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#queue.drain()
    this.#db.close()
  }

  #reserve(terms: ChargeTerms, claims: readonly Claim[], pin: boolean): Reservation {
    if (this.#get(terms.id)) throw duplicateCharge(terms.id)
    const { apiBase, network, asset, payTo, reservedAt } = terms
    const pinned = pin ? this.#sql.pin.get(apiBase, network, asset) : undefined
    if (pinned && text(pinned, 'pay_to') !== payTo) throw payeeDiffers(terms)
    const taken = takeClaims(claims, this.#sums)
    if (!taken.ok) return taken
    const charge = heldCharge(terms)
    this.#sql.insertCharge.run(chargeToRow(charge))
    this.#sums.take(charge.id, claims, taken.changes)
    if (pin && !pinned) this.#sql.insertPin.run(apiBase, network, asset, payTo, reservedAt)
    const notices = this.#sums.tell(taken.passed)
    return { ok: true, charge, ...(notices.length > 0 ? { notices } : {}) }
  }

  #change(before: Charge, charge: Charge): void {
    this.#sums.move(before, charge)
    this.#sql.updateCharge.run({ id: charge.id, ...changesToRow(charge) })
    this.#vouchers.follow(charge)
  }

  #get(id: string): Charge | undefined {
    const row = this.#sql.charge.get(id)
    return row && rowToCharge(row)
  }

  #find(id: string): Charge {
    const charge = this.#get(id)
    if (!charge) throw unknownCharge(id)
    return charge
  }

  async #write<T>(work: () => T): Promise<T> {
    if (this.#closed) throw storeClosed()
    return await this.#queue.run(work)
  }

  /** One snapshot, at once: writers never make readers wait. No transaction is open between two turns. */
  async #read<T>(work: () => T): Promise<T> {
    if (this.#closed) throw storeClosed()
    try {
      this.#db.exec('BEGIN')
      return work()
    } catch (error) {
      throw storeError(error)
    } finally {
      // A read transaction holds nothing back: ending it either way is the same.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    }
  }
}
