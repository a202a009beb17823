/**
 * The books: every charge's way through its states, in the store and in the audit file, in the order the money
 * rules ask for. Nothing else writes charges.
 */
import {
  claimsFor,
  fits,
  needsUsd,
  NO_TOTALS,
  type BudgetRule,
  type Claim,
  type Spend,
  type Totals,
} from '../core/budget.ts'
import { refusalMessage } from '../core/budget-words.ts'
import { IllegalMoveError, type AuthorizationRecord, type Charge, type ChargeTerms } from '../core/charge.ts'
import type { Clock } from '../core/clock.ts'
import { TollwayError } from '../core/errors.ts'
import type { Observer } from '../core/events.ts'
import { REMEMBERED_MS, type RequestMark } from '../core/idempotency.ts'
import { formatUsd } from '../core/money.ts'
import { newChargeId, type RandomBytes } from '../core/ids.ts'
import type { ChargeFlag, Decision, Finding } from '../core/reconcile.ts'
import type { Usage } from '../core/usage.ts'
import { AuditQueue, type AuditSink } from './audit-queue.ts'
import { Bookings } from './bookings.ts'
import { claimFacts, readBudgets, unpricedAsset, type BudgetStatus } from './budget-book.ts'
import { isDead } from './instance.ts'
import type { Instance, KnownPrice, Move, Notice, Pin, PriceKey, Store } from './store/store.ts'

/** How long an unsigned hold lasts: signing takes milliseconds, a remote signer seconds. */
const LEASE_MS = 30_000

/** Flags that say the chain could not be read; they go when it could. */
const PROVISIONAL: readonly ChargeFlag[] = ['event_missing', 'chain_contradiction']

/** What {@link Ledger} works with. */
export interface LedgerParts {
  readonly store: Store
  readonly audit: AuditSink
  readonly clock: Clock
  readonly random: RandomBytes
  readonly instance: Instance
  readonly observers: readonly Observer[]
  /** Called when the last record is durable and the store is still open. Its failure is passed over. */
  readonly onClosing?: (() => Promise<void>) | undefined
}

/** What a reservation is for; the ledger adds id, instance and times. */
export interface ReserveTerms extends Omit<ChargeTerms, 'id' | 'instance' | 'reservedAt' | 'leaseUntil'> {
  /** Subjects of budgets per tag; not kept with the charge. */
  readonly tags?: readonly string[] | undefined
}

/** See the file's head. One per gateway process. */
export class Ledger {
  readonly #parts: LedgerParts
  readonly #audit: AuditQueue
  readonly #bookings: Bookings
  /** Moves that are in the audit file, and not yet noted as that. */
  readonly #told: Charge[] = []
  /** The last attempt to write failed: asked for again before the next seller is. */
  #failing = false
  #pinging: Promise<void> | undefined

  private constructor(parts: LedgerParts) {
    this.#parts = parts
    this.#audit = new AuditQueue(parts.audit, () => {
      this.#failing = true
      this.#emit({ type: 'audit_failed' })
    })
    this.#bookings = new Bookings(parts.store, {
      booked: async (charge, from) => {
        await this.#record(charge, { was: from })
        this.#emit({ type: 'charge', charge, from })
      },
      overtaken: (charge, move) => this.#overtaken(charge, move),
      failed: () => {
        this.#failing = true
      },
    })
  }

  /**
   * Opens the books: registers this process and resolves what dead ones left behind.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  static async open(parts: LedgerParts): Promise<Ledger> {
    const ledger = new Ledger(parts)
    await parts.store.register(parts.instance)
    await ledger.#audit.write(
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
    await this.refuseWhileFailing()
    const { store, clock, random, instance } = this.#parts
    const now = clock.now()
    const { tags = [], ...fixed } = terms
    if (terms.microUsd === undefined && rules.some(needsUsd)) throw unpricedAsset(terms)
    const claims = claimsFor(rules, { ...terms, tags }, now)
    const over = await this.#refuseOverRequestLimit(claims)
    const charge: ChargeTerms = {
      ...fixed,
      id: newChargeId(now, random),
      instance: instance.id,
      reservedAt: now,
      leaseUntil: now + LEASE_MS,
    }
    const result = await this.#noticing(store.reserve(charge, lasting(claims), pin, mark))
    if (!result.ok) throw await this.#refusal(result.claim, result.totals, false)
    try {
      await this.#audit.write('charge.held', { ...describe(result.charge), tags }, false)
    } catch (error) {
      await this.#move(result.charge, { to: 'released', at: clock.now(), reason: 'audit_unavailable' })
      throw error
    }
    this.#emit({ type: 'charge', charge: result.charge, from: undefined })
    for (const notice of [...over, ...(result.notices ?? [])]) await this.#tell(notice, result.charge)
    return result.charge
  }

  /**
   * Refuses at once while the store or the audit file is known to refuse, so that no seller is asked for what could
   * not be paid. Costs nothing while they work; afterwards whoever asks finds out whether they do again.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async refuseWhileFailing(): Promise<void> {
    if (this.#failing) await this.ping()
  }

  /**
   * Refuses when a price cannot fit any more, without reserving: lets the guard answer before the seller is asked.
   * @throws TollwayError `budget_exhausted`, `store_unavailable`
   */
  async refuseEarly(spend: Spend, rules: readonly BudgetRule[]): Promise<void> {
    const claims = claimsFor(rules, spend, this.#parts.clock.now()).filter(({ enforce }) => enforce !== false)
    await this.#refuseOverRequestLimit(claims)
    const checked = lasting(claims)
    const totals = await this.#parts.store.totals(checked)
    for (const [index, claim] of checked.entries()) {
      const held = totals[index] ?? NO_TOTALS
      if (!fits(held, claim)) throw await this.#refusal(claim, held, true)
    }
  }

  /**
   * Records what was signed; when it resolves, store and audit file hold it durably and the signature may be sent.
   * @throws TollwayError `store_unavailable`, `audit_unavailable`; nothing may be sent then, and the caller releases the charge
   */
  async authorize(charge: Charge, record: AuthorizationRecord): Promise<Charge> {
    const { store, clock } = this.#parts
    const result = await this.#noticing(store.authorize(charge.id, record, clock.now()))
    if (result === 'nonce_used') {
      throw new TollwayError({
        code: 'signer_unavailable',
        message: 'The payer offered a payment that was recorded before; nothing was sent.',
        details: { refusal: result },
      })
    }
    if (typeof result === 'string') {
      const message = `The charge could not be recorded (${result}); nothing was sent.`
      throw new TollwayError({ code: 'store_unavailable', message, details: { refusal: result } })
    }
    await this.#audit.write('charge.authorized', describe(result), true)
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

  /**
   * Books what the chain said about a charge. Nothing is kept for later when the disk refuses: the next run decides again.
   * @returns the charge when it moved; another process may have been faster
   * @throws TollwayError `store_unavailable`, `audit_unavailable`
   */
  async resolve(charge: Charge, decision: Decision): Promise<Charge | undefined> {
    if (decision.action === 'wait') return undefined
    await this.#audit.flush()
    if (decision.action === 'flag') {
      await this.flag(charge, decision.flag)
      return undefined
    }
    const { store, clock, instance } = this.#parts
    const move: Move =
      decision.action === 'settle'
        ? {
            to: 'settled',
            at: clock.now(),
            reason: 'chain_used',
            proof: 'chain',
            transaction: decision.transaction,
            charged: decision.charged,
            by: instance.id,
          }
        : { to: 'released', at: clock.now(), reason: decision.reason, by: instance.id }
    // Before the move: a charge with the chain's proof is never looked at again.
    for (const finding of decision.action === 'settle' ? decision.flags : []) await this.flag(charge, finding)
    let moved: Charge
    try {
      moved = await store.move(charge.id, move)
    } catch (error) {
      if (error instanceof IllegalMoveError) return undefined
      throw error
    }
    const { number, timestamp } = decision.block
    const proof = { block: number.toString(), block_time: timestamp }
    await this.#record(moved, { ...proof, was: charge.state })
    this.#emit({ type: 'charge', charge: moved, from: charge.state })
    const flags = await store.flags({ charge: charge.id })
    if (flags.some(({ flag }) => PROVISIONAL.includes(flag))) await store.unflag(charge.id, PROVISIONAL)
    return moved
  }

  /**
   * Marks a charge for a person to look at; once for each flag.
   * @throws TollwayError `store_unavailable`
   */
  async flag(charge: Charge, finding: Finding): Promise<void> {
    const { store, clock } = this.#parts
    if (!(await store.flag(charge.id, finding, clock.now()))) return
    await this.#audit.keep('charge.flagged', {
      ...describe(charge),
      flag: finding.flag,
      detail: finding.detail,
    })
    this.#emit({ type: 'flagged', charge, finding })
  }

  /** Writes a record of something beside charges that has happened, e.g. vouchers that were added. Never rejects. */
  async note(type: string, fields: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#audit.keep(type, fields)
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
      this.#audit.flush(),
    ])
    for (const result of results) if (result.status === 'rejected') throw result.reason
    await this.#noteTold()
  }

  /** Resolves the charges of processes that died: signed ones become uncertain, unsigned ones are released (rule 10). */
  async retireDead(): Promise<Charge[]> {
    const { store, clock, instance } = this.#parts
    const moved: Charge[] = []
    for (const other of await store.instances()) {
      if (other.id === instance.id || !(await isDead(other, instance, clock.now()))) continue
      moved.push(...(await this.#retire(other.id, 'instance_dead')))
      // It may have told them and died before it could note so: twice is better than not at all.
      const untold = await store.adoptUntold(other.id, instance.id)
      for (const charge of untold) await this.#record(charge, { told_for: other.id })
    }
    // Not with the next heartbeat: in a crash loop every life would tell again what all before it told.
    await this.#noteTold()
    return moved
  }

  /**
   * Whether paid routes could be served now; books what waits. Calls that come while one is running share it.
   * @throws TollwayError as the paid routes would
   */
  async ping(): Promise<void> {
    this.#pinging ??= this.#ping().finally(() => {
      this.#pinging = undefined
    })
    await this.#pinging
  }

  async #ping(): Promise<void> {
    try {
      await this.#parts.store.ping()
      await this.#bookings.retry()
      await this.#audit.check()
      this.#failing = false
    } catch (error) {
      this.#failing = true
      throw error
    }
  }

  /**
   * Books what waits, retires this process and closes store and audit file. What the store does not take even now
   * is told to the audit file: the store counts it on, and the next start makes it uncertain.
   */
  async close(): Promise<void> {
    const { store, audit, instance } = this.#parts
    try {
      await this.#bookings.retry().catch(() => undefined)
      for (const charge of this.#bookings.waiting) await this.#audit.keep('charge.unbooked', describe(charge))
      await this.#retire(instance.id, 'instance_closed')
      await this.#audit.write('instance.closed', { instance: instance.id }, true)
      await this.#noteTold()
      await this.#parts.onClosing?.().catch(() => undefined)
    } finally {
      try {
        await store.close()
      } finally {
        await audit.close()
      }
    }
  }

  /** Tells the audit file how a charge stands after a move. Never rejects: see {@link AuditQueue.keep}. */
  async #record(charge: Charge, more: Readonly<Record<string, unknown>> = {}): Promise<void> {
    const fields = { ...describe(charge), ...more }
    await this.#audit.keep(`charge.${charge.state}`, fields, () => this.#told.push(charge))
  }

  /**
   * Notes in the store what the audit file tells durably. What a dead process did not note is told again by
   * another: a crash between a move and its record leaves no gap in the file.
   */
  async #noteTold(): Promise<void> {
    const told = this.#told.splice(0)
    if (told.length === 0) return
    try {
      await this.#audit.check()
      await this.#parts.store.told(told)
    } catch (error) {
      this.#told.unshift(...told)
      throw error
    }
  }

  async #retire(id: string, reason: string): Promise<Charge[]> {
    const { store, clock, instance } = this.#parts
    const charges = await store.retire(id, clock.now(), reason, instance.id)
    for (const charge of charges) {
      const from = charge.state === 'uncertain' ? 'authorized' : 'held'
      await this.#record(charge, { was: from })
      this.#emit({ type: 'charge', charge, from })
    }
    return charges
  }

  async #move(charge: Charge, move: Move): Promise<Charge> {
    return await this.#bookings.book(charge, { ...move, by: this.instance })
  }

  /** The chain, or a process that took this one for dead, was faster. The record closes the intent in this file. */
  async #overtaken(charge: Charge, move: Move): Promise<void> {
    if (charge.state === 'released' && move.proof === 'receipt') {
      const detail = `released (${charge.reason ?? 'no reason'}), and then a receipt said paid`
      await this.flag(charge, { flag: 'receipt_unproven', detail })
    }
    const wanted = { overtaken: move.to, overtaken_reason: move.reason }
    await this.#audit.keep(`charge.${charge.state}`, { ...describe(charge), ...wanted })
  }

  /** Remembers that the store refused. */
  async #noticing<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (error instanceof TollwayError && error.code === 'store_unavailable') this.#failing = true
      throw error
    }
  }

  /** @returns what a limit per request would have refused, were it enforced */
  async #refuseOverRequestLimit(claims: readonly Claim[]): Promise<Notice[]> {
    const over = claims.filter((claim) => claim.window === 'request' && !fits(NO_TOTALS, claim))
    const enforced = over.find(({ enforce }) => enforce !== false)
    if (enforced) throw await this.#refusal(enforced, NO_TOTALS, false)
    return over.map((claim) => ({ kind: 'would_refuse', claim, totals: NO_TOTALS }))
  }

  async #refusal(claim: Claim, totals: Totals, early: boolean): Promise<TollwayError> {
    this.#emit({ type: 'budget_refused', claim, totals, early })
    // Read after the refusal: it is only for the words, and the refusal stands without it.
    const freeAt =
      claim.window === 'rolling' ? await this.#parts.store.freeAt(claim).catch(() => undefined) : undefined
    return new TollwayError({
      code: 'budget_exhausted',
      message: refusalMessage(claim, totals, freeAt),
      details: { ...claimFacts(claim, totals), early },
    })
  }

  /** Tells of a limit that was passed and does not refuse. */
  async #tell({ kind, claim, totals }: Notice, charge: Charge): Promise<void> {
    const soft = claim.soft === undefined || kind !== 'soft' ? {} : { soft_usd: formatUsd(claim.soft) }
    const facts = { charge: charge.id, request: charge.requestId, ...claimFacts(claim, totals), ...soft }
    await this.#audit.keep(kind === 'soft' ? 'budget.soft_limit' : 'budget.would_refuse', facts)
    this.#emit({ type: kind === 'soft' ? 'budget_soft_limit' : 'budget_would_refuse', claim, totals })
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

/** Windows that outlive the request, and so are kept in the store. */
function lasting(claims: readonly Claim[]): Claim[] {
  return claims.filter((claim) => claim.window !== 'request')
}

/** A charge as the audit file tells it: no signature, money as strings. */
function describe(charge: Charge): Record<string, unknown> {
  return {
    charge: charge.id,
    instance: charge.instance,
    request: charge.requestId,
    caller: charge.caller,
    model: charge.model,
    route: charge.route,
    payer: charge.payer,
    seller: charge.seller,
    network: charge.network,
    asset: charge.asset,
    pay_to: charge.payTo,
    amount: charge.amount.toString(),
    ...(charge.charged === undefined ? {} : { charged: charge.charged.toString() }),
    usd: charge.microUsd === undefined ? null : formatUsd(charge.microUsd),
    state: charge.state,
    proof: charge.proof ?? null,
    reason: charge.reason ?? null,
    from: charge.authorization?.from ?? null,
    nonce: charge.authorization?.nonce ?? null,
    valid_before: charge.authorization?.validBefore ?? null,
    transaction: charge.transaction ?? null,
  }
}
