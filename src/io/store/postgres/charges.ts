/** Charges and their moves in the Postgres ledger. Called inside the store's transactions. */
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
  refuseAuthorize,
  takenOverCharge,
} from '../rules/charge-rules.ts'
import { pinOf } from '../rules/payee-rules.ts'
import type { PostgresAuditOutbox } from './audit-outbox.ts'
import { budgetLocks, type PostgresBudgets } from './budgets.ts'
import { ChargeReader } from './charge-reader.ts'
import type { ChargeTable, Nonce } from './charge-table.ts'
import type { Transaction } from './database/transaction.ts'
import type { PostgresRollups } from './history/rollups.ts'
import { requestLocks, type PostgresIdempotency } from './idempotency.ts'
import type { PostgresSellers } from './sellers.ts'
import type { PostgresVouchers } from './vouchers.ts'

/** What follows a charge. */
export interface ChargeFollowers {
  readonly budgets: PostgresBudgets
  readonly sellers: PostgresSellers
  readonly idempotency: PostgresIdempotency
  readonly vouchers: PostgresVouchers
  readonly outbox: PostgresAuditOutbox
  readonly rollups: PostgresRollups
}

/**
 * The charges of the Postgres ledger. Locks are taken in one order, so that transactions do not wait for each other in a circle:
 * charges, the request, a first payment, budgets, the sums of reports, the voucher's pool.
 */
export class PostgresCharges implements ChargeStore {
  readonly #db: Transaction
  readonly #table: ChargeTable
  readonly #followers: ChargeFollowers
  readonly #reader: ChargeReader

  constructor(db: Transaction, table: ChargeTable, followers: ChargeFollowers) {
    this.#db = db
    this.#table = table
    this.#followers = followers
    this.#reader = new ChargeReader(db)
  }

  async reserve(
    terms: ChargeTerms,
    claims: readonly Claim[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Reservation> {
    const { budgets, sellers, idempotency, rollups } = this.#followers
    if (mark) {
      await this.#db.lock(requestLocks(mark))
      await idempotency.claim({ mark, instance: terms.instance, at: terms.reservedAt })
    }
    if (await this.#table.get(terms.id)) throw duplicateCharge(terms.id)
    if (pin) await sellers.checkPayee(terms)
    const charge = heldCharge(terms)
    const key = await rollups.keyFor(charge)
    await this.#db.lock(budgetLocks(claims))
    const taken = await budgets.check(claims)
    if (!taken.ok) return taken
    if (!(await this.#table.insert(charge, key))) throw duplicateCharge(terms.id)
    await budgets.take(charge.id, claims, taken.changes)
    const notices = await budgets.notify(taken.passed)
    if (mark) await idempotency.insert(terms.id, mark, terms.reservedAt)
    return { ok: true, charge, ...(notices.length > 0 ? { notices } : {}) }
  }

  async authorize(id: string, record: AuthorizationRecord, at: number): Promise<Charge | AuthorizeRefusal> {
    const before = await this.#table.find(id)
    const refusal = refuseAuthorize(before, at)
    if (refusal) return refusal
    const charge = authorizedCharge(before, record, at)
    const nonce = nonceOf(charge, record)
    // Of two that record the same nonce at the same time, one waits here.
    await this.#db.lock([`nonce ${JSON.stringify(nonce)}`])
    if (await this.#table.isRecorded(nonce)) return 'nonce_used'
    await this.change(before, charge)
    return charge
  }

  async takeOver(id: string, record: AuthorizationRecord, at: number): Promise<TakenOver | AuthorizeRefusal> {
    const { vouchers, outbox } = this.#followers
    const held = await this.#table.find(id)
    const refusal = refuseAuthorize(held, at)
    if (refusal) return refusal
    const charge = authorizedCharge(held, record, at)
    const before = await this.#table.recordedWith(nonceOf(charge, record))
    if (!before || !mayTakeOver(before, held, record) || !(await vouchers.takeOver(before.id, id)))
      return 'nonce_used'
    const now = takenOverCharge(before, at)
    await this.change(before, now)
    await this.change(held, charge)
    await outbox.add(now.id, charge.instance)
    return { charge, handOver: { now, before } }
  }

  async move(id: string, move: Move): Promise<Charge> {
    const before = await this.#table.find(id)
    const charge = movedCharge(before, move)
    await this.change(before, charge)
    const pin = pinOf(charge, move)
    if (pin) await this.#followers.sellers.notePin(pin)
    await this.#followers.outbox.add(id, move.by)
    return charge
  }

  async settleTokens(id: string, tokens: number): Promise<void> {
    const charge = await this.#table.lock(id)
    if (charge) await this.#followers.budgets.settleTokens(charge, tokens)
  }

  charge(id: string): Promise<Charge | undefined> {
    return this.#table.get(id)
  }

  charges(query: ChargeQuery = {}): Promise<Charge[]> {
    return this.#reader.charges(query)
  }

  history(query: HistoryQuery): Promise<Charge[]> {
    return this.#reader.history(query)
  }

  unproven(query: UnprovenQuery): Promise<Charge[]> {
    return this.#reader.unproven(query)
  }

  withTransaction(network: string, transaction: string): Promise<Charge[]> {
    return this.#reader.withTransaction(network, transaction)
  }

  /** Writes what a charge became, with its budget sums, the sums of reports and its voucher. The charge is locked. */
  async change(before: Charge, charge: Charge): Promise<void> {
    await this.#followers.budgets.move(before, charge)
    await this.#table.update(charge)
    await this.#followers.rollups.follow(before, charge)
    await this.#followers.vouchers.follow(charge)
  }
}

function nonceOf({ network, asset, authorization }: Charge, record: AuthorizationRecord): Nonce {
  const { from, nonce } = authorization ?? record
  return { from, network, asset, nonce }
}
