/**
 * The books: every charge's way through its states, in the store and in the audit file, in the order the money
 * rules ask for. Nothing else writes charges.
 */
import { claimsFor, needsUsd, type BudgetRule, type Spend } from '../../core/budget/budget.ts'
import type { AuthorizationRecord, Charge, ChargeTerms } from '../../core/charge/charge.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { REMEMBERED_MS, type RequestMark } from '../../core/request/idempotency.ts'
import { newChargeId } from '../../core/ids.ts'
import type { ReconcileDecision, ChainFinding } from '../../core/charge/reconcile.ts'
import type { Usage } from '../../core/stream/usage.ts'
import { PendingMoves } from './pending-moves.ts'
import { readBudgets, unpricedAsset, type BudgetStatus } from './budget-status.ts'
import { BudgetRefusals, lasting } from './budget-refusal.ts'
import { ChargeResolver } from './charge-resolver.ts'
import { chargeFields, ChargeTrail } from './charge-trail.ts'
import { LedgerHealth } from './ledger-health.ts'
import type { LedgerContext, ReserveTerms } from './ledger-parts.ts'
import { recordAuthorization } from './record-authorization.ts'
import type { KnownPrice, Pin, PriceKey } from '../store/contracts/sellers.ts'
import type { Move } from '../store/contracts/charges.ts'
import type { Store } from '../store/store.ts'

/** How long an unsigned hold lasts: signing takes milliseconds, a remote signer seconds. */
const LEASE_MS = 30_000

/** See the file's head. One per gateway process. */
export class Ledger {
  readonly #parts: LedgerContext
  readonly #trail: ChargeTrail
  readonly #gate: BudgetRefusals
  readonly #resolver: ChargeResolver
  readonly #bookings: PendingMoves
  readonly #health: LedgerHealth

  private constructor(parts: LedgerContext) {
    this.#parts = parts
    const { store, clock, instance } = parts
    const emit = (event: Parameters<Observer>[0]): void => this.#emit(event)
    const trail = new ChargeTrail(parts.audit, store.outbox, () => {
      this.#health.failed()
      emit({ type: 'audit_failed' })
    })
    this.#trail = trail
    this.#gate = new BudgetRefusals({ store, clock, trail, emit })
    this.#resolver = new ChargeResolver({ store, clock, instance, trail, emit })
    this.#bookings = new PendingMoves(store, {
      booked: async (charge, from) => {
        await this.#trail.record(charge, { was: from })
        this.#emit({ type: 'charge', charge, from })
      },
      overtaken: (charge, move) => this.#resolver.overtaken(charge, move),
      failed: () => this.#health.failed(),
    })
    this.#health = new LedgerHealth(async () => {
      await store.ping()
      await this.#bookings.retry()
      await trail.check()
    })
  }

  /**
   * Opens the books: registers this process and resolves what dead ones left behind.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  static async open(parts: LedgerContext): Promise<Ledger> {
    const ledger = new Ledger(parts)
    await parts.store.register(parts.instance)
    await ledger.#trail.write(
      'instance.started',
      { instance: parts.instance.id, store: parts.store.kind },
      true,
    )
    await ledger.retireDead()
    return ledger
  }

  /** The process these books belong to. */
  get instance(): string {
    return this.#parts.instance.id
  }

  /** The store behind, for reading. */
  get store(): Store {
    return this.#parts.store
  }

  /**
   * Reserves the exact price in all budgets or none, and records it.
   * @param mark leaves a tombstone of the request
   * @throws TollwayError `budget_exhausted`, `payee_not_allowed`, `request_in_progress`, `store_unavailable`, `audit_unavailable`
   */
  async reserve(
    terms: ReserveTerms,
    rules: readonly BudgetRule[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Charge> {
    await this.#health.refuseWhileFailing()
    const { store, clock, random, instance } = this.#parts
    const now = clock.now()
    const { tags = [], ...fixed } = terms
    if (terms.microUsd === undefined && rules.some(needsUsd)) throw unpricedAsset(terms)
    const claims = claimsFor(rules, { ...terms, tags }, now)
    const over = await this.#gate.refuseOverRequestLimit(claims)
    const charge: ChargeTerms = {
      ...fixed,
      id: newChargeId(now, random),
      instance: instance.id,
      reservedAt: now,
      leaseUntil: now + LEASE_MS,
    }
    const result = await this.#health.noticing(store.reserve(charge, lasting(claims), pin, mark))
    if (!result.ok) throw await this.#gate.refusal(result.claim, result.totals, false)
    try {
      await this.#trail.write('charge.held', { ...chargeFields(result.charge), tags }, false)
    } catch (error) {
      await this.#move(result.charge, { to: 'released', at: clock.now(), reason: 'audit_unavailable' })
      throw error
    }
    this.#emit({ type: 'charge', charge: result.charge, from: undefined })
    for (const notice of [...over, ...(result.notices ?? [])]) await this.#gate.tell(notice, result.charge)
    return result.charge
  }

  /**
   * Refuses at once while the store or the audit file is known to refuse, so that no seller is asked for what could
   * not be paid. Costs nothing while they work; afterwards whoever asks finds out whether they do again.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async refuseWhileFailing(): Promise<void> {
    await this.#health.refuseWhileFailing()
  }

  /**
   * Refuses when a price cannot fit any more, without reserving: lets the guard answer before the seller is asked.
   * @throws TollwayError `budget_exhausted`, `store_unavailable`
   */
  async refuseEarly(spend: Spend, rules: readonly BudgetRule[]): Promise<void> {
    await this.#gate.refuseEarly(spend, rules)
  }

  /**
   * Records what was signed; when it resolves, store and audit file hold it durably and the signature may be sent.
   * @throws TollwayError `signer_unavailable`, `reservation_lost`, `store_unavailable`, `audit_unavailable`; nothing may be
   * sent then, and the caller releases the charge
   */
  async authorize(charge: Charge, record: AuthorizationRecord): Promise<Charge> {
    const { store, clock } = this.#parts
    const checkAudit = (): Promise<void> => this.#trail.check()
    const work = { charge, record, at: clock.now(), checkAudit }
    const { charge: result, handOver } = await this.#health.noticing(recordAuthorization(store, work))
    if (handOver) {
      const { now, before } = handOver
      await this.#trail.record(now, { was: before.state, taken_over_by: result.id })
      this.#emit({ type: 'charge', charge: now, from: before.state })
    }
    try {
      await this.#trail.write('charge.authorized', chargeFields(result), true)
    } catch (error) {
      // The store has it: the file tells it later, before what becomes of it, so that both tell the same. Nothing is sent.
      await this.#trail.keep('charge.authorized', { ...chargeFields(result), late: true })
      throw error
    }
    this.#emit({ type: 'charge', charge: result, from: 'held' })
    return result
  }

  /** Books a charge as spent. Never rejects: the money has moved, whatever the disk says. */
  async settle(
    charge: Charge,
    proof: 'receipt' | 'assumed',
    transaction: string | undefined,
  ): Promise<Charge> {
    const reason = proof === 'receipt' ? 'receipt' : 'answered_without_receipt'
    return await this.#move(charge, {
      to: 'settled',
      at: this.#parts.clock.now(),
      reason,
      proof,
      transaction,
    })
  }

  /** Books a charge as sent without a verdict: it counts as spent until the chain proves otherwise (rule 4). */
  async uncertain(charge: Charge, reason: string): Promise<Charge> {
    return await this.#move(charge, { to: 'uncertain', at: this.#parts.clock.now(), reason })
  }

  /** Gives a reservation back whose signature was never sent. */
  async release(charge: Charge, reason: string): Promise<Charge> {
    return await this.#move(charge, { to: 'released', at: this.#parts.clock.now(), reason })
  }

  /** See {@link ChargeResolver.resolve}. */
  async resolve(charge: Charge, decision: ReconcileDecision): Promise<Charge | undefined> {
    return await this.#resolver.resolve(charge, decision)
  }

  /** See {@link ChargeResolver.flag}. */
  async flag(charge: Charge, finding: ChainFinding): Promise<void> {
    await this.#resolver.flag(charge, finding)
  }

  /** See {@link ChargeResolver.retireDead}. */
  async retireDead(): Promise<Charge[]> {
    return await this.#resolver.retireDead()
  }

  /** Writes a record of something beside charges that has happened, e.g. vouchers that were added. Never rejects. */
  async note(type: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#trail.keep(type, fields)
  }

  /** The budgets and what their current windows hold. */
  async budgets(rules: readonly BudgetRule[]): Promise<BudgetStatus[]> {
    return await readBudgets(this.#parts.store, rules, this.#parts.clock.now())
  }

  /** Number and micro-USD of the charges nobody can say yet whether they were taken. */
  async uncertainSum(): Promise<{ readonly count: number; readonly microUsd: bigint }> {
    return await this.#parts.store.sum('uncertain')
  }

  /** Pins of a seller. */
  async pins(apiBase: string): Promise<Pin[]> {
    return await this.#parts.store.pins(apiBase)
  }

  /**
   * What earlier requests with these digests came to; charges of processes that died are resolved first.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async repeats(mark: RequestMark): ReturnType<Store['tombstones']> {
    const { store, clock } = this.#parts
    const since = clock.now() - REMEMBERED_MS
    const found = await store.tombstones(mark, since)
    const elsewhere = [found.named, found.newest].some(
      (tombstone) => tombstone && isOpen(tombstone.charge) && tombstone.charge.instance !== this.instance,
    )
    if (!elsewhere) return found
    await this.retireDead()
    return await store.tombstones(mark, since)
  }

  /** Notes that the answer a charge paid for never reached its client. Never rejects: it only makes the books say more. */
  async loseAnswer(charge: string): Promise<void> {
    const { store, clock } = this.#parts
    await store.markUndelivered(charge, clock.now()).catch(() => undefined)
  }

  /** Notes the tokens of the answer a charge paid for. Never rejects: it only makes the books say more. */
  async noteUsage(charge: string, usage: Usage): Promise<void> {
    await this.#parts.store.noteUsage(charge, usage).catch(() => undefined)
  }

  /** What a seller was paid before, for each network and asset that it offers. */
  async knownPrices(keys: readonly PriceKey[]): Promise<KnownPrice[]> {
    const known = await Promise.all(keys.map((key) => this.#parts.store.price(key)))
    return known.flatMap((price) => price ?? [])
  }

  /** Notes what a seller was paid. Never rejects: the money has moved, and the next payment notes it again. */
  async notePrice(key: PriceKey, amount: bigint): Promise<void> {
    const { store, clock } = this.#parts
    await store.notePrice(key, amount, clock.now()).catch(() => undefined)
  }

  /**
   * Tells the store that this process lives, and writes what could not be written. Called on a timer.
   * @throws the first failure, once each has been tried
   */
  async beat(): Promise<void> {
    const { store, clock, instance } = this.#parts
    const results = await Promise.allSettled([
      store.heartbeat(instance.id, clock.now()),
      this.#bookings.retry(),
      this.#trail.flush(),
    ])
    for (const result of results) if (result.status === 'rejected') throw result.reason
    await this.#trail.markPublished()
  }

  /**
   * Whether paid routes could be served now; books what waits. Calls that come while one is running share it.
   * @throws TollwayError as the paid routes would
   */
  async ping(): Promise<void> {
    await this.#health.ping()
  }

  /**
   * Books what waits, retires this process and closes store and audit file. What the store does not take even now
   * is told to the audit file: the store counts it on, and the next start makes it uncertain.
   */
  async close(): Promise<void> {
    const { store, audit, instance } = this.#parts
    try {
      await this.#bookings.retry().catch(() => undefined)
      for (const charge of this.#bookings.waiting)
        await this.#trail.keep('charge.unbooked', chargeFields(charge))
      await this.#resolver.retire(instance.id, 'instance_closed')
      await this.#trail.write('instance.closed', { instance: instance.id }, true)
      await this.#trail.markPublished()
      await this.#parts.onClosing?.().catch(() => undefined)
    } finally {
      try {
        await store.close()
      } finally {
        await audit.close()
      }
    }
  }

  async #move(charge: Charge, move: Move): Promise<Charge> {
    return await this.#bookings.book(charge, { ...move, by: this.instance })
  }

  /** An observer that throws must not turn an answer that was paid into an error a client would repeat. */
  #emit(event: Parameters<Observer>[0]): void {
    for (const observer of this.#parts.observers) {
      try {
        observer(event)
      } catch {
        // openParts() gives observers that tell the log themselves.
      }
    }
  }
}

function isOpen(charge: Charge): boolean {
  return charge.state === 'held' || charge.state === 'authorized'
}
