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
import { authorizedCharge, refuseAuthorize, takenOverCharge } from '../rules/charge-rules.ts'
import { valueOf, type Outcome } from './database/lane.ts'
import { moveAll, writeMoves, type MoveWork, type Step } from './move-all.ts'
import { reserveAll, type ReserveWork } from './reserve-all.ts'
import type { ChargeFollowers } from './charge-followers.ts'
import { ChargeReader } from './charge-reader.ts'
import { nonceOf, type ChargeTable } from './charge-table.ts'
import type { Transaction } from './database/transaction.ts'

/**
 * The charges of the Postgres ledger. Locks are taken in one order, so that transactions do not wait for each other in a circle:
 * charges; requests, nonces and budgets, all in one statement; a first payment; the sums of reports; the voucher's pool.
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
    return valueOf((await this.reserveAll([{ terms, claims, pin, mark }]))[0])
  }

  /** Reserves charges whose {@link reservationNames} differ. */
  reserveAll(work: readonly ReserveWork[]): Promise<Outcome<Reservation>[]> {
    return reserveAll(this.#db, this.#table, this.#followers, work)
  }

  async authorize(id: string, record: AuthorizationRecord, at: number): Promise<Charge | AuthorizeRefusal> {
    return valueOf((await this.moveAll([{ id, record, at }]))[0])
  }

  /** Moves charges whose {@link moveNames} differ. */
  moveAll(work: readonly MoveWork[]): Promise<Outcome<Charge | AuthorizeRefusal>[]> {
    return moveAll(this.#db, this.#table, this.#followers, work)
  }

  async takeOver(id: string, record: AuthorizationRecord, at: number): Promise<TakenOver | AuthorizeRefusal> {
    const { vouchers } = this.#followers
    const held = await this.#table.find(id)
    const refusal = refuseAuthorize(held, at)
    if (refusal) return refusal
    const charge = authorizedCharge(held, record, at)
    const before = await this.#table.recordedWith(nonceOf(charge, record))
    if (!before || !mayTakeOver(before, held, record) || !(await vouchers.takeOver(before.id, id)))
      return 'nonce_used'
    const now = takenOverCharge(before, at)
    // One after the other: only one of them may hold the nonce.
    await this.change([{ before, after: now, by: charge.instance }])
    await this.change([{ before: held, after: charge }])
    return { charge, handOver: { now, before } }
  }

  async move(id: string, move: Move): Promise<Charge> {
    return movedBy(valueOf((await this.moveAll([{ id, move }]))[0]))
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

  /** See {@link writeMoves}. */
  change(steps: readonly Step[]): Promise<void> {
    return writeMoves(this.#db, this.#table, this.#followers, steps)
  }
}

/** The charge that a move, which is never refused, came to. */
export function movedBy(result: Charge | AuthorizeRefusal): Charge {
  if (typeof result === 'string') throw new Error(`a move was refused: ${result}`)
  return result
}
