/** The ledger: moves every charge through its states, in store and audit file, in the order of the money rules; nothing else writes charges. */
import { claimsFor, type BudgetRule, type Spend } from '../../core/budget/budget.ts'
import { namedTags } from '../../core/budget/tag-value.ts'
import type { AuthorizationRecord, Charge, ChargeTerms } from '../../core/charge/charge.ts'
import { settleReason } from '../../core/charge/metered.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import { REMEMBERED_MS, type RequestMark } from '../../core/request/idempotency.ts'
import { newChargeId } from '../../core/ids.ts'
import type { ReconcileDecision, ChainFinding } from '../../core/charge/reconcile.ts'
import type { Usage } from '../../core/stream/usage.ts'
import { notify } from './notify.ts'
import { PendingMoves } from './pending-moves.ts'
import { readBudgets, refuseUnpriced, type BudgetStatus } from './budget-status.ts'
import { BudgetRefusals, lasting } from './budget-refusal.ts'
import { ChargeResolver } from './charge-resolver.ts'
import { DeadInstances } from './dead-instances.ts'
import { chargeFields, ChargeTrail, heldFields } from './charge-trail.ts'
import { LedgerHealth } from './ledger-health.ts'
import { dated, type LedgerContext, type ReserveTerms } from './ledger-context.ts'
import { ReceiptTransactions } from './receipt-transactions.ts'
import { recordAuthorization } from './record-authorization.ts'
import type { KnownPrice, Pin, PriceKey } from '../store/contracts/sellers.ts'
import type { Move } from '../store/contracts/charges.ts'
import type { Store } from '../store/store.ts'

/** How long an unsigned hold lasts, milliseconds. Signing takes milliseconds, a remote signer takes seconds. */
const LEASE_MS = 30_000

/** The ledger of one gateway process. */
export class Ledger {
  readonly #context: LedgerContext
  readonly #trail: ChargeTrail
  readonly #budgets: BudgetRefusals
  readonly #resolver: ChargeResolver
  readonly #instances: DeadInstances
  readonly #pending: PendingMoves
  readonly #health: LedgerHealth
  readonly #watchers = new Set<Observer>()
  /** Tells receipts that were used before. */
  readonly receipts: ReceiptTransactions

  private constructor(context: LedgerContext) {
    this.#context = context
    this.receipts = new ReceiptTransactions(context.store)
    const { store, clock, instance } = context
    const emit = (event: Parameters<Observer>[0]): void => this.#emit(event)
    const trail = new ChargeTrail(context.audit, store.outbox, () => {
      this.#health.failed()
      emit({ type: 'audit_failed' })
    })
    this.#trail = trail
    this.#budgets = new BudgetRefusals({ store, clock, trail, emit })
    this.#resolver = new ChargeResolver({ store, clock, instance, trail, emit })
    this.#instances = new DeadInstances({ store, clock, instance, trail, emit })
    this.#pending = new PendingMoves(store, {
      recorded: async (charge, from) => {
        await this.#trail.record(charge, { was: from })
        this.#emit({ type: 'charge', charge, from })
      },
      overtaken: (charge, move) => this.#resolver.overtaken(charge, move),
      failed: () => this.#health.failed(),
    })
    this.#health = new LedgerHealth(async () => {
      await store.ping()
      await this.#pending.retry()
      await trail.check()
    }, context.refuse)
  }

  /**
   * Opens the ledger: registers this process and resolves the charges of dead ones.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  static async open(context: LedgerContext): Promise<Ledger> {
    const ledger = new Ledger(dated(context))
    await context.store.register(ledger.#context.instance)
    await ledger.#trail.write(
      'instance.started',
      { instance: context.instance.id, store: context.store.kind },
      true,
    )
    await ledger.retireDead()
    return ledger
  }

  /** Adds an observer; one that is there already stays there once. */
  watch(observer: Observer): void {
    this.#watchers.add(observer)
  }

  /** The id of the process that this ledger belongs to. */
  get instance(): string {
    return this.#context.instance.id
  }

  /** The clock that charges are recorded by, milliseconds since the epoch. */
  now(): number {
    return this.#context.clock.now()
  }

  /** The store, for reading. */
  get store(): Store {
    return this.#context.store
  }

  /**
   * Reserves the exact price in all matching budgets or none (rule 2), and records it.
   * @param pin whether the payee is compared with the pinned one
   * @param mark adds a tombstone of the request
   * @throws TollwayError `budget_exhausted`, `payee_not_allowed`, `request_in_progress`, `store_unavailable`, `audit_unavailable`
   */
  async reserve(
    terms: ReserveTerms,
    rules: readonly BudgetRule[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Charge> {
    await this.#health.refuseWhileFailing()
    const { store, clock, random, instance, levels } = this.#context
    const now = clock.now()
    const { tags = [], team: _team, publicModel: _name, tokens: _tokens, ...fixed } = terms
    refuseUnpriced(terms, rules)
    const claims = claimsFor(rules, { ...terms, tags }, now)
    const over = await this.#budgets.refuseOverRequestLimit(claims)
    const charge: ChargeTerms = {
      ...fixed,
      ...namedTags(tags),
      id: newChargeId(now, random),
      instance: instance.id,
      reservedAt: now,
      leaseUntil: now + LEASE_MS,
    }
    const kept = lasting(claims, levels?.())
    const result = await this.#health.noticing(store.reserve(charge, kept, pin, mark))
    if (!result.ok) throw await this.#budgets.refusal(result.claim, result.totals, false)
    try {
      await this.#trail.write('charge.held', heldFields(result.charge, terms), false)
    } catch (error) {
      await this.#move(result.charge, { to: 'released', at: clock.now(), reason: 'audit_unavailable' })
      throw error
    }
    this.#emit({ type: 'charge', charge: result.charge, from: undefined })
    for (const notice of [...over, ...(result.notices ?? [])])
      await this.#budgets.report(notice, result.charge)
    return result.charge
  }

  /**
   * Refuses while the store or the audit file cannot be written, so that no seller is asked for a request that could not be paid
   * (rule 9). Costs nothing while they work. After a failure, each call tries again.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async refuseWhileFailing(): Promise<void> {
    await this.#health.refuseWhileFailing()
  }

  /**
   * See {@link BudgetRefusals.refuseEarly}.
   * @throws TollwayError `budget_exhausted`, `store_unavailable`
   */
  async refuseEarly(spend: Spend, rules: readonly BudgetRule[]): Promise<void> {
    await this.#budgets.refuseEarly(spend, rules)
  }

  /**
   * Records an authorization. When it resolves, store and audit file hold it durably, and the signature may be sent (rule 3).
   * @throws TollwayError `signer_unavailable`, `reservation_lost`, `store_unavailable`, `audit_unavailable`; then nothing may be
   * sent, and the caller releases the charge
   */
  async authorize(charge: Charge, record: AuthorizationRecord): Promise<Charge> {
    const { store, clock } = this.#context
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
      // The store holds it: the file records it later, before the next move, so that both agree. Nothing is sent.
      await this.#trail.keep('charge.authorized', { ...chargeFields(result), late: true })
      throw error
    }
    this.#emit({ type: 'charge', charge: result, from: 'held' })
    return result
  }

  /**
   * Settles a charge, of a call without a payment for what was `charged`. Never rejects: the money has moved, whether or not the disk works.
   * @param pin whether the payee is pinned when the seller has none yet
   */
  async settle(
    charge: Charge,
    proof: 'receipt' | 'assumed',
    transaction: string | undefined,
    pin = false,
    charged?: bigint,
  ): Promise<Charge> {
    const at = this.#context.clock.now()
    const reason = settleReason(charge, proof)
    return await this.#move(charge, { to: 'settled', at, reason, proof, transaction, pin, charged })
  }

  /**
   * Marks a sent charge as uncertain: it counts as spent until the chain proves otherwise (rule 4). Never rejects.
   * @param transaction that may take it, where the seller named one
   */
  async uncertain(charge: Charge, reason: string, transaction?: string): Promise<Charge> {
    return await this.#move(charge, { to: 'uncertain', at: this.#context.clock.now(), reason, transaction })
  }

  /** Releases a charge whose signature was never sent. Never rejects. */
  async release(charge: Charge, reason: string): Promise<Charge> {
    return await this.#move(charge, { to: 'released', at: this.#context.clock.now(), reason })
  }

  /** See {@link ChargeResolver.resolve}. */
  async resolve(charge: Charge, decision: ReconcileDecision, pin = false): Promise<Charge | undefined> {
    return await this.#resolver.resolve(charge, decision, pin)
  }

  /** See {@link ChargeResolver.flag}. */
  async flag(charge: Charge, finding: ChainFinding): Promise<void> {
    await this.#resolver.flag(charge, finding)
  }

  /** See {@link DeadInstances.retireDead}. */
  async retireDead(): Promise<Charge[]> {
    return await this.#instances.retireDead()
  }

  /** Writes an audit record of something other than a charge, for example of added vouchers. Never rejects. */
  async note(type: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#trail.keep(type, fields)
  }

  /** The budgets and the sums of their current windows. */
  async budgets(rules: readonly BudgetRule[]): Promise<BudgetStatus[]> {
    return await readBudgets(this.#context.store, rules, this.#context.clock.now())
  }

  /** Number and micro-USD of the uncertain charges. */
  async uncertainSum(): Promise<{ readonly count: number; readonly microUsd: bigint }> {
    return await this.#context.store.sum('uncertain')
  }

  /** The pinned payees of a seller. */
  async pins(apiBase: string): Promise<Pin[]> {
    return await this.#context.store.pins(apiBase)
  }

  /**
   * The tombstones of earlier requests with these digests. Charges of dead processes are resolved first.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async repeats(mark: RequestMark): ReturnType<Store['tombstones']> {
    const { store } = this.#context
    const since = this.now() - REMEMBERED_MS
    const found = await store.tombstones(mark, since)
    const elsewhere = [found.named, found.newest, ...found.others].some(
      (tombstone) => tombstone && isOpen(tombstone.charge) && tombstone.charge.instance !== this.instance,
    )
    if (!elsewhere) return found
    await this.retireDead()
    return await store.tombstones(mark, since)
  }

  /** Records that a paid answer did not reach its client. Never rejects, because no money depends on it. */
  async loseAnswer(charge: string): Promise<void> {
    const { store, clock } = this.#context
    await store.markUndelivered(charge, clock.now()).catch(() => undefined)
  }

  /** Records the tokens of a paid answer. Never rejects, because no money depends on it. */
  async noteUsage(charge: string, usage: Usage): Promise<void> {
    await this.#context.store.noteUsage(charge, usage).catch(() => undefined)
  }

  /** The prices that a seller was paid before, for each network and asset that it offers. */
  async knownPrices(keys: readonly PriceKey[]): Promise<KnownPrice[]> {
    const known = await Promise.all(keys.map((key) => this.#context.store.price(key)))
    return known.flatMap((price) => price ?? [])
  }

  /** Records what a seller was paid. Never rejects: the money has moved, and the next payment records the price again. */
  async notePrice(key: PriceKey, amount: bigint): Promise<void> {
    await this.store.notePrice(key, amount, this.now()).catch(() => undefined)
  }

  /**
   * Sends this process's heartbeat and writes what could not be written before. Called on a timer.
   * @throws TollwayError the first failure, after each write was tried
   */
  async beat(): Promise<void> {
    const { store, clock, instance } = this.#context
    const results = await Promise.allSettled([
      store.heartbeat(instance.id, clock.now()),
      this.#pending.retry(),
      this.#trail.flush(),
    ])
    for (const result of results) if (result.status === 'rejected') throw result.reason
    await this.#trail.markPublished()
  }

  /**
   * Resolves when paid routes can be served. Writes pending moves. Concurrent calls share one attempt.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async ping(): Promise<void> {
    await this.#health.ping()
  }

  /**
   * Writes pending moves, retires this process and closes store and audit file. Moves that the store still does not take are
   * recorded in the audit file only: the store keeps counting those charges, and the next start makes them uncertain.
   */
  async close(): Promise<void> {
    const { store, audit, instance } = this.#context
    try {
      await this.#pending.retry().catch(() => undefined)
      for (const charge of this.#pending.waiting)
        await this.#trail.keep('charge.unbooked', chargeFields(charge))
      await this.#instances.retire(instance.id, 'instance_closed')
      await this.#trail.write('instance.closed', { instance: instance.id }, true)
      await this.#trail.markPublished()
      await this.#context.onClosing?.().catch(() => undefined)
    } finally {
      try {
        await store.close()
      } finally {
        await audit.close()
      }
    }
  }

  async #move(charge: Charge, move: Move): Promise<Charge> {
    return await this.#pending.move(charge, { ...move, by: this.instance })
  }

  #emit(event: Parameters<Observer>[0]): void {
    notify([...this.#context.observers, ...this.#watchers], event)
  }
}

function isOpen(charge: Charge): boolean {
  return charge.state === 'held' || charge.state === 'authorized'
}
