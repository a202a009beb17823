/** Charges and their moves in memory. */
import type { Claim } from '../../../core/budget/budget.ts'
import type { AuthorizationRecord, Charge, ChargeTerms } from '../../../core/charge/charge.ts'
import { isReconcilable } from '../../../core/charge/reconcile.ts'
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
import { isBehind, matchesFilter } from '../rules/charge-filter.ts'
import {
  authorizedCharge,
  duplicateCharge,
  heldCharge,
  isLongValid,
  movedCharge,
  queryLimit,
  refuseAuthorize,
  sharesAfter,
  sharesOf,
  sharesOfTokens,
  takeClaims,
  takenOverCharge,
} from '../rules/charge-rules.ts'
import { checkPayee, isOpenToAnother, pinOf } from '../rules/payee-rules.ts'
import type { InTransaction } from '../synchronous-store.ts'
import type { MemoryAuditOutbox } from './audit-outbox.ts'
import type { MemoryBudgets } from './budgets.ts'
import type { ChargeTable } from './charge-table.ts'
import { byReservation, compare } from './compare.ts'
import type { MemoryFlags } from './flags.ts'
import type { MemoryIdempotency } from './idempotency.ts'
import type { MemorySellers } from './sellers.ts'
import type { MemoryVouchers } from './vouchers.ts'

/** What follows a charge. */
export interface ChargeFollowers {
  readonly budgets: MemoryBudgets
  readonly sellers: MemorySellers
  readonly idempotency: MemoryIdempotency
  readonly flags: MemoryFlags
  readonly vouchers: MemoryVouchers
  readonly outbox: MemoryAuditOutbox
}

/** The charges of the memory store. Each method decides everything before it changes anything. */
export class MemoryCharges implements InTransaction<ChargeStore> {
  readonly #table: ChargeTable
  readonly #followers: ChargeFollowers

  constructor(table: ChargeTable, followers: ChargeFollowers) {
    this.#table = table
    this.#followers = followers
  }

  reserve(terms: ChargeTerms, claims: readonly Claim[], pin: boolean, mark?: RequestMark): Reservation {
    const { budgets, sellers, idempotency } = this.#followers
    if (this.#table.get(terms.id)) throw duplicateCharge(terms.id)
    if (mark) idempotency.claim({ mark, instance: terms.instance, at: terms.reservedAt })
    if (pin) checkPayee(terms, sellers.pin(terms), () => this.#isOpenToAnother(terms))
    const taken = takeClaims(claims, budgets)
    if (!taken.ok) return taken
    const charge = heldCharge(terms)
    const shares = sharesOf(claims)
    this.#table.set({ charge, shares })
    budgets.take(terms.id, shares, taken.changes)
    if (mark) idempotency.insert(terms.id, mark, terms.reservedAt)
    const notices = budgets.notify(taken.passed)
    return { ok: true, charge, ...(notices.length > 0 ? { notices } : {}) }
  }

  authorize(id: string, record: AuthorizationRecord, at: number): Charge | AuthorizeRefusal {
    const before = this.#table.entry(id).charge
    const refusal = refuseAuthorize(before, at)
    if (refusal) return refusal
    const charge = authorizedCharge(before, record, at)
    const { network, asset, authorization } = charge
    const { from, nonce } = authorization ?? record
    const recorded = { from, network, asset, nonce }
    if (this.#table.isRecorded(recorded)) return 'nonce_used'
    this.change(charge)
    this.#table.record(recorded)
    return charge
  }

  takeOver(id: string, record: AuthorizationRecord, at: number): TakenOver | AuthorizeRefusal {
    const { vouchers, outbox } = this.#followers
    const held = this.#table.entry(id).charge
    const refusal = refuseAuthorize(held, at)
    if (refusal) return refusal
    const before = this.#table.all().find((each) => mayTakeOver(each, held, record))
    if (!before || !vouchers.takeOver(before.id, id)) return 'nonce_used'
    const now = takenOverCharge(before, at)
    const charge = authorizedCharge(held, record, at)
    this.change(now)
    this.change(charge)
    outbox.add(now.id, charge.instance)
    return { charge, handOver: { now, before } }
  }

  move(id: string, move: Move): Charge {
    const charge = movedCharge(this.#table.entry(id).charge, move)
    this.change(charge)
    const pin = pinOf(charge, move)
    if (pin) this.#followers.sellers.notePin(pin)
    this.#followers.outbox.add(id, move.by)
    return charge
  }

  charge(id: string): Charge | undefined {
    return this.#table.get(id)
  }

  charges(query: ChargeQuery = {}): Charge[] {
    const limit = queryLimit(query)
    return this.#table
      .all()
      .filter((charge) => matchesFilter(charge, query) && isBehind(charge, query.before))
      .toSorted((a, b) => byReservation(b, a))
      .slice(0, limit)
  }

  history(query: HistoryQuery): Charge[] {
    const { since, until, instance, after, longValidAt } = query
    return this.#table
      .all()
      .filter(({ reservedAt }) => reservedAt >= since && reservedAt < until)
      .filter((charge) => instance === undefined || charge.instance === instance)
      .filter((charge) => longValidAt === undefined || isLongValid(charge, longValidAt))
      .filter((charge) => after === undefined || byReservation(charge, after) > 0)
      .toSorted(byReservation)
      .slice(0, queryLimit(query))
  }

  unproven(query: UnprovenQuery): Charge[] {
    const limit = queryLimit(query)
    return this.#table
      .all()
      .filter((charge) => isReconcilable(charge) && charge.network === query.network)
      .filter((charge) => query.claimed !== true || isClaimed(charge))
      .filter(({ state }) => query.state === undefined || query.state === state)
      .filter(({ id }) => !this.#followers.flags.has(id, 'receipt_unproven') && id > (query.after ?? ''))
      .toSorted((a, b) => compare(a.id, b.id))
      .slice(0, limit)
  }

  #isOpenToAnother(terms: ChargeTerms): boolean {
    return this.#table.all().some((charge) => isOpenToAnother(charge, terms))
  }

  withTransaction(network: string, transaction: string): Charge[] {
    return this.#table
      .all()
      .filter((charge) => charge.network === network && charge.transaction === transaction)
      .toSorted((a, b) => compare(a.id, b.id))
      .slice(0, 2)
  }

  settleTokens(id: string, tokens: number): void {
    if (!this.#table.get(id)) return
    const { charge, shares } = this.#table.entry(id)
    const left = sharesOfTokens(shares, tokens)
    this.#followers.budgets.move(id, shares, charge.state, charge.state, left)
    this.#table.set({ charge, shares: left })
  }

  /** Replaces a charge by what it became, with its budget sums and its voucher. */
  change(charge: Charge): void {
    const before = this.#table.entry(charge.id)
    const shares = sharesAfter(before.shares, before.charge, charge)
    this.#followers.budgets.move(charge.id, before.shares, before.charge.state, charge.state, shares)
    this.#table.set({ charge, shares })
    this.#followers.vouchers.follow(charge)
  }
}

function isClaimed({ state, transaction }: Charge): boolean {
  return state === 'uncertain' && transaction !== undefined
}
