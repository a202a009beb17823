/** Charges and their moves in the SQLite ledger. Called inside the store's transactions. */
import type { SQLInputValue, StatementSync } from 'node:sqlite'
import type { Claim } from '../../../core/budget/budget.ts'
import type { AuthorizationRecord, Charge, ChargeTerms } from '../../../core/charge/charge.ts'
import type { RequestMark } from '../../../core/request/idempotency.ts'
import { mayTakeOver } from '../../../core/vouchers/voucher.ts'
import type {
  AuthorizeRefusal,
  ChargeQuery,
  ChargeStore,
  HistoryQuery,
  Move,
  Reservation,
  TakenOver,
  UnprovenQuery,
} from '../contracts/charges.ts'
import {
  authorizedCharge,
  duplicateCharge,
  heldCharge,
  movedCharge,
  queryLimit,
  refuseAuthorize,
  takeClaims,
  takenOverCharge,
} from '../rules/charge-rules.ts'
import { checkPayee, pinOf } from '../rules/payee-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { SqliteAuditOutbox } from './audit-outbox.ts'
import type { SqliteBudgets } from './budgets.ts'
import type { ChargeTable } from './charge-table.ts'
import type { Connection } from './file/file.ts'
import { ChargeList } from './history/charge-list.ts'
import type { SqliteRollups } from './history/rollups.ts'
import type { SqliteIdempotency } from './idempotency.ts'
import { rowToCharge } from '../rows/rows.ts'
import type { SqliteSellers } from './sellers.ts'
import type { SqliteVouchers } from './vouchers.ts'

/** What follows a charge. */
export interface ChargeFollowers {
  readonly budgets: SqliteBudgets
  readonly sellers: SqliteSellers
  readonly idempotency: SqliteIdempotency
  readonly vouchers: SqliteVouchers
  readonly outbox: SqliteAuditOutbox
  readonly rollups: SqliteRollups
}

/** The charges of the SQLite ledger. */
export class SqliteCharges implements InTransaction<ChargeStore> {
  readonly #table: ChargeTable
  readonly #followers: ChargeFollowers
  readonly #list: ChargeList
  readonly #history: ChargeHistory
  readonly #uncertain: StatementSync
  readonly #settled: StatementSync
  readonly #toAnother: StatementSync
  readonly #claimed: StatementSync
  readonly #withTransaction: StatementSync

  constructor(db: Connection, table: ChargeTable, followers: ChargeFollowers) {
    this.#table = table
    this.#followers = followers
    this.#list = new ChargeList(db)
    this.#history = new ChargeHistory(db)
    // The condition on the state must stay word for word the one of the index charges_open.
    this.#toAnother = db.prepare(`SELECT 1 FROM charges WHERE state IN ('held', 'authorized')
    AND api_base = ? AND network = ? AND asset = ? AND pay_to <> ? LIMIT 1`)
    // The conditions must stay word for word those of the indexes charges_uncertain and charges_settled_unproven.
    const unproven = (condition: string): StatementSync =>
      db.prepare(`SELECT * FROM charges WHERE ${condition} AND network = ? AND id > ?
    AND NOT EXISTS (SELECT 1 FROM flags WHERE charge = charges.id AND flag = 'receipt_unproven')
    ORDER BY id LIMIT ?`)
    this.#uncertain = unproven("state = 'uncertain'")
    this.#settled = unproven("state = 'settled' AND proof <> 'chain'")
    this.#claimed = unproven("state = 'uncertain' AND tx IS NOT NULL")
    this.#withTransaction = db.prepare(
      'SELECT * FROM charges WHERE tx = ? AND network = ? ORDER BY id LIMIT 2',
    )
  }

  reserve(terms: ChargeTerms, claims: readonly Claim[], pin: boolean, mark?: RequestMark): Reservation {
    const { budgets, sellers, idempotency, rollups } = this.#followers
    if (mark) idempotency.claim({ mark, instance: terms.instance, at: terms.reservedAt })
    if (this.#table.get(terms.id)) throw duplicateCharge(terms.id)
    if (pin) checkPayee(terms, sellers.pin(terms), () => this.#isOpenToAnother(terms))
    const taken = takeClaims(claims, budgets)
    if (!taken.ok) return taken
    const charge = heldCharge(terms)
    this.#table.insert(charge, rollups.keyFor(charge))
    budgets.take(charge.id, claims, taken.changes)
    const notices = budgets.notify(taken.passed)
    if (mark) idempotency.insert(terms.id, mark, terms.reservedAt)
    return { ok: true, charge, ...(notices.length > 0 ? { notices } : {}) }
  }

  authorize(id: string, record: AuthorizationRecord, at: number): Charge | AuthorizeRefusal {
    const before = this.#table.find(id)
    const refusal = refuseAuthorize(before, at)
    if (refusal) return refusal
    const charge = authorizedCharge(before, record, at)
    if (this.#table.isRecorded(nonceOf(charge, record))) return 'nonce_used'
    this.change(before, charge)
    return charge
  }

  takeOver(id: string, record: AuthorizationRecord, at: number): TakenOver | AuthorizeRefusal {
    const { vouchers, outbox } = this.#followers
    const held = this.#table.find(id)
    const refusal = refuseAuthorize(held, at)
    if (refusal) return refusal
    const charge = authorizedCharge(held, record, at)
    const before = this.#table.recordedWith(nonceOf(charge, record))
    if (!before || !mayTakeOver(before, held, record) || !vouchers.takeOver(before.id, id))
      return 'nonce_used'
    const now = takenOverCharge(before, at)
    this.change(before, now)
    this.change(held, charge)
    outbox.add(now.id, charge.instance)
    return { charge, handOver: { now, before } }
  }

  move(id: string, move: Move): Charge {
    const before = this.#table.find(id)
    const charge = movedCharge(before, move)
    this.change(before, charge)
    const pin = pinOf(charge, move)
    if (pin) this.#followers.sellers.notePin(pin)
    this.#followers.outbox.add(id, move.by)
    return charge
  }

  charge(id: string): Charge | undefined {
    return this.#table.get(id)
  }

  charges(query: ChargeQuery = {}): Charge[] {
    return this.#list.read(query)
  }

  history(query: HistoryQuery): Charge[] {
    return this.#history.read(query)
  }

  unproven(query: UnprovenQuery): Charge[] {
    const limit = queryLimit(query)
    const read = (statement: StatementSync): Charge[] =>
      statement.all(query.network, query.after ?? '', limit).map(rowToCharge)
    const uncertain =
      query.state === 'settled' ? [] : read(query.claimed === true ? this.#claimed : this.#uncertain)
    const settled = query.state === 'uncertain' || query.claimed === true ? [] : read(this.#settled)
    return [...uncertain, ...settled].toSorted((a, b) => (a.id < b.id ? -1 : 1)).slice(0, limit)
  }

  withTransaction(network: string, transaction: string): Charge[] {
    return this.#withTransaction.all(transaction, network).map(rowToCharge)
  }

  #isOpenToAnother({ apiBase, network, asset, payTo }: ChargeTerms): boolean {
    return this.#toAnother.get(apiBase, network, asset, payTo) !== undefined
  }

  settleTokens(id: string, tokens: number): void {
    const charge = this.#table.get(id)
    if (charge) this.#followers.budgets.settleTokens(charge, tokens)
  }

  /** Writes what a charge became, with its budget sums, the sums of reports and its voucher. */
  change(before: Charge, charge: Charge): void {
    this.#followers.budgets.move(before, charge)
    this.#table.update(charge)
    this.#followers.rollups.follow(before, charge)
    this.#followers.vouchers.follow(charge)
  }
}

/** Charges in the order of their reservation. */
export class ChargeHistory {
  readonly #of: StatementSync
  readonly #all: StatementSync
  readonly #long: StatementSync

  constructor(db: Connection) {
    const select = (condition: string, index = ''): string => `SELECT * FROM charges ${index}
      WHERE (reserved_at, id) > (:at, :id) AND reserved_at < :until ${condition}
      ORDER BY reserved_at, id LIMIT :limit`
    this.#all = db.prepare(select(''))
    this.#of = db.prepare(select('AND instance = :instance'))
    // The first condition must stay word for word the one of the index charges_long.
    this.#long = db.prepare(
      select(
        'AND valid_before * 1000 > reserved_at + 86400000 AND valid_before >= :valid',
        'INDEXED BY charges_long',
      ),
    )
  }

  /** See `ChargeStore.history`. */
  read(query: HistoryQuery): Charge[] {
    const { since, until, after, instance, longValidAt: valid } = query
    const bounds: Record<string, SQLInputValue> = {
      at: after?.reservedAt ?? since,
      id: after?.id ?? '',
      until,
      limit: queryLimit(query),
    }
    if (valid !== undefined) return this.#long.all({ ...bounds, valid }).map(rowToCharge)
    const rows = instance === undefined ? this.#all.all(bounds) : this.#of.all({ ...bounds, instance })
    return rows.map(rowToCharge)
  }
}

function nonceOf({ network, asset, authorization }: Charge, record: AuthorizationRecord) {
  const { from, nonce } = authorization ?? record
  return { from, network, asset, nonce }
}
