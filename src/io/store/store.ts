/**
 * The contract of the ledger's store. Every method is one transaction: it happens whole or not at all, and
 * when its promise resolves the effect survives what the store promises to survive (sqlite: power loss).
 * One conformance suite runs over every implementation.
 *
 * @throws TollwayError `store_unavailable` from any method when the store cannot be read or written
 */
import type { Claim, Totals } from '../../core/budget/budget.ts'
import type {
  AuthorizationRecord,
  Charge,
  ChargeState,
  ChargeTerms,
  Proof,
} from '../../core/charge/charge.ts'
import type { RequestMark } from '../../core/request/idempotency.ts'
import type { ChargeFlag, ChainFinding } from '../../core/charge/reconcile.ts'
import type { Usage } from '../../core/stream/usage.ts'
import type { Window } from '../../core/budget/window.ts'
import type { PurchaseStore } from './purchase-store.ts'
import type { VoucherStore } from './voucher-store.ts'
import type { ChargeCursor, ChargeFilter, SpendQuery, SpendRow } from './charge-filter.ts'

/** A process that uses the store (rule 10). */
export interface Instance {
  /** `ins_` and random text; one per start of a gateway. */
  readonly id: string
  /** Machine and boot it runs on: only there can its process id be looked up. */
  readonly host: string
  readonly pid: number
  /** The process's start time as the system counts it, so that a reused process id is told apart; '' when unknown. */
  readonly processStart: string
  readonly startedAt: number
  readonly heartbeatAt: number
}

/** A payee remembered for a seller (rule 6). */
export interface Pin {
  readonly apiBase: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
  /** Lower case. */
  readonly payTo: string
  readonly pinnedAt: number
}

/** A claim that was taken although it passed a limit that does not refuse. */
export interface Notice {
  /** `soft`: the first to pass `soft` in its window; `would_refuse`: over the limit of a budget that is not enforced. */
  readonly kind: 'soft' | 'would_refuse'
  readonly claim: Claim
  /** `would_refuse`: what the claim did not fit beside. `soft`: the sums with the claim. */
  readonly totals: Totals
}

/** What a reservation came to. */
export type Reservation =
  | {
      readonly ok: true
      readonly charge: Charge
      /** Only where there is something to tell. */
      readonly notices?: readonly Notice[] | undefined
    }
  /** Nothing was taken: the first claim (in the given order) that does not fit, and what its window holds. */
  | { readonly ok: false; readonly claim: Claim; readonly totals: Totals }

/** What a move carries beside the new state. */
export interface Move {
  readonly to: ChargeState
  readonly at: number
  readonly reason: string
  readonly proof?: Proof | undefined
  /**
   * What the chain proved to have been taken of an `upto` payment, smallest units: the budgets that counted the signed amount
   * count this from now on. Only with `settled` and the proof `chain`.
   */
  readonly charged?: bigint | undefined
  readonly transaction?: string | undefined
  /** The process that moves it and is to tell the audit file; without it nobody is. */
  readonly by?: string | undefined
}

/** Why an authorization was not recorded: nothing may be sent then. */
export type AuthorizeRefusal = 'not_held' | 'lease_expired' | 'nonce_used'

/** What taking a hand-over over came to. */
export interface TakenOver {
  readonly charge: Charge
  /** The charge of the hand-over, as it stands now and as it was before. */
  readonly handOver: { readonly now: Charge; readonly before: Charge }
}

/** Which charges {@link Store.charges} lists. */
export interface ChargeQuery extends ChargeFilter {
  /** Only charges behind this one, in the order of the list: the next page. */
  readonly before?: ChargeCursor | undefined
  /** How many, newest first: a whole number from 0; default 100, at most 1000 (more is cut to that). */
  readonly limit?: number | undefined
}

/** Which charges {@link Store.history} lists: those reserved from `since` until before `until`, milliseconds since the epoch. */
export interface HistoryQuery {
  readonly since: number
  readonly until: number
  /** Only charges of this instance. */
  readonly instance?: string | undefined
  /**
   * Only those that were signed for longer than a day, as vouchers are, and are valid at this instant or later, Unix seconds.
   * Not together with `instance`.
   */
  readonly longValidAt?: number | undefined
  /** Only those behind this one: the last of the page before. */
  readonly after?: Pick<Charge, 'reservedAt' | 'id'> | undefined
  /** As in {@link ChargeQuery}. */
  readonly limit?: number | undefined
}

/** How far an audit file is known to be durable. */
export interface AuditHeadNote {
  /** Absolute path. */
  readonly file: string
  readonly seq: number
  /** SHA-256, lower-case hex. */
  readonly hash: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Sums of one budget window. */
export interface BudgetWindow {
  readonly budget: string
  readonly subject: string
  readonly window: Window
  readonly windowStart: number
  readonly totals: Totals
}

/** One subject's sums in a window. */
export interface SubjectTotals {
  readonly subject: string
  readonly totals: Totals
}

/** Which charges {@link Store.unproven} lists. */
export interface UnprovenQuery {
  /** CAIP-2. */
  readonly network: string
  /** Only ids after this one. */
  readonly after?: string | undefined
  /** As in {@link ChargeQuery}. */
  readonly limit?: number | undefined
}

/** A charge somebody should look at. */
export interface Flagged extends ChainFinding {
  readonly charge: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** A request that reserved a charge in the last 24 hours (docs/idempotency.md). Charges that were released leave none. */
export interface Tombstone {
  readonly charge: Charge
  /** See {@link RequestMark.body}. */
  readonly body: string
  /** When its answer turned out to be lost, milliseconds since the epoch. */
  readonly undeliveredAt: number | undefined
}

/** What a seller's price is known by. */
export interface PriceKey {
  readonly apiBase: string
  /** Without `/v1`, e.g. `/chat/completions`. */
  readonly endpoint: string
  /** The seller's name of the model. */
  readonly model: string
  /** CAIP-2. */
  readonly network: string
  /** Contract address, lower case. */
  readonly asset: string
}

/** A price that was paid, smallest units. */
export interface KnownPrice extends PriceKey {
  /** The first one paid. */
  readonly first: bigint
  /** What a quote is held against: the lowest one paid since it was last trusted. */
  readonly pinned: bigint
  /** The newest one paid. */
  readonly last: bigint
  readonly updatedAt: number
}

/** Which pins and prices a command is about; what is left out matches all. */
export interface SellerFilter {
  readonly apiBase: string
  readonly endpoint?: string | undefined
  readonly model?: string | undefined
  readonly network?: string | undefined
  readonly asset?: string | undefined
}

/** Which charges {@link Store.consumption} adds up. */
export interface ConsumptionQuery {
  /** Without it everybody's. */
  readonly caller?: string | undefined
  /** Reserved at or after this instant, milliseconds since the epoch. */
  readonly since: number
}

/** What was bought: charges that were not released, and the tokens of the answers they paid for. */
export interface Consumption extends Usage {
  readonly charges: number
  /** Micro-USD, of an `upto` payment what the chain proved where it did; charges without a USD value count with 0. */
  readonly microUsd: bigint
}

/** What was settled under one set of names. */
export interface SpentBy {
  readonly route: string
  readonly payer: string
  readonly seller: string
  readonly caller: string
  readonly charges: number
  /**
   * Micro-USD, of an `upto` payment what the chain proved where it did; charges without a USD value count with 0. For display:
   * past 2^63 it is refused.
   */
  readonly microUsd: bigint
}

/** The ledger's store. */
export interface Store {
  /** For messages and metrics: `memory`, `sqlite`. */
  readonly kind: string
  /** Payments signed ahead. */
  readonly vouchers: VoucherStore
  /** Where they were bought. */
  readonly purchases: PurchaseStore

  /**
   * Reserves a charge: checks every claim against its limit and takes all of them, or takes none. Pins the
   * payee when the seller, network and asset have none yet.
   * Rejects with TollwayError `payee_not_allowed` when another payee was pinned in the meantime and
   * `pin` is set; without `pin` it neither pins nor asks.
   * @param mark leaves a tombstone; rejects with TollwayError `request_in_progress` when its name has one already
   */
  reserve(
    terms: ChargeTerms,
    claims: readonly Claim[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Reservation>

  /**
   * Records what was signed, `held -> authorized`, re-checking state and lease in the same transaction. When it
   * resolves to a charge, the record is durable: only then may the signature leave the process (rule 3).
   * `nonce_used`: this payer address, network, asset and nonce were recorded before (rule 5).
   */
  authorize(id: string, record: AuthorizationRecord, at: number): Promise<Charge | AuthorizeRefusal>

  /**
   * As {@link Store.authorize}, for an authorization that was handed over to another process and comes back from there
   * (core/voucher mayTakeOver): in one transaction the charge of the hand-over is released without its nonce, and this one
   * records it, so that it counts once. `nonce_used` for every other one.
   */
  takeOver(id: string, record: AuthorizationRecord, at: number): Promise<TakenOver | AuthorizeRefusal>

  /**
   * Moves a charge and its budget sums. The windows stay those of its reservation. Settling a charge again on a
   * stronger proof (`assumed` < `receipt` < `chain`) strengthens the proof.
   * @throws IllegalMoveError when the move does not exist (core/charge); `authorized` is reached by
   * {@link Store.authorize} alone
   */
  move(id: string, move: Move): Promise<Charge>

  /** One charge, or `undefined`. */
  charge(id: string): Promise<Charge | undefined>
  /** Charges, newest first. */
  charges(query?: ChargeQuery): Promise<Charge[]>
  /** Adds charges up by state, and by a group where one is named; ordered by group and state, sums without charges left out. */
  spend(query: SpendQuery): Promise<SpendRow[]>

  /** Charges by the instant of their reservation, oldest first. */
  history(query: HistoryQuery): Promise<Charge[]>

  /** Notes how far an audit file is durable, in place of what was noted of it before. */
  noteAuditHead(head: AuditHeadNote): Promise<void>
  /** What is noted of audit files, by path. */
  auditHeads(): Promise<AuditHeadNote[]>

  /**
   * Charges the chain may still have something to say about, whoever owns them, by id ascending (oldest first):
   * uncertain ones, and settled ones without its proof, but for those flagged `receipt_unproven`: it has spoken.
   */
  unproven(query: UnprovenQuery): Promise<Charge[]>
  /** Flags a charge; resolves to false when it has that flag already (the first words stay). */
  flag(id: string, finding: ChainFinding, at: number): Promise<boolean>
  /** Takes flags off a charge. */
  unflag(id: string, flags: readonly ChargeFlag[]): Promise<void>
  /** The flags of a charge, or the newest of all; `limit` as in {@link ChargeQuery}. */
  flags(query?: {
    readonly charge?: string | undefined
    readonly limit?: number | undefined
  }): Promise<Flagged[]>
  /** How many charges have each flag; flags that none has are left out. */
  flagCounts(): Promise<{ readonly flag: ChargeFlag; readonly count: number }[]>

  /** Number and micro-USD, as the budgets count them, of all charges in a state; charges without a USD value count with 0. */
  sum(state: ChargeState): Promise<{ readonly count: number; readonly microUsd: bigint }>

  /**
   * What was settled of the charges reserved at or after `since` and before `until` (milliseconds since the epoch; without it
   * all later ones), by route, payer, seller and caller, in that order.
   */
  spentBy(since: number, until?: number): Promise<readonly SpentBy[]>

  /** The sums a set of claims would be checked against, in their order; reads only. */
  totals(claims: readonly Claim[]): Promise<Totals[]>
  /**
   * When a claim on a rolling window fits again by age alone, milliseconds since the epoch; `undefined` when it never
   * does, and for windows that end at once.
   */
  freeAt(claim: Claim): Promise<number | undefined>
  /** Everybody with something counted in a claim's window, whoever its subject is; by name, at most 1000. */
  subjects(claim: Claim): Promise<SubjectTotals[]>
  /** Every budget window but rolling ones that was ever charged and starts at or after `since`. */
  windows(since: number): Promise<BudgetWindow[]>

  /** Pins of a seller, or all. */
  pins(apiBase?: string): Promise<Pin[]>

  /** Sets a pin, replacing another payee. */
  trustPin(pin: Pin): Promise<void>
  /** Takes away the pins and prices of a seller; returns how many of each. */
  forgetSeller(apiBase: string): Promise<{ readonly pins: number; readonly prices: number }>

  /** One price, or `undefined` when nothing was paid for it yet. */
  price(key: PriceKey): Promise<KnownPrice | undefined>
  /** Prices of a seller, or all. */
  prices(apiBase?: string): Promise<KnownPrice[]>
  /** Notes a price that was paid: it becomes the last one, and the pinned one when it is lower or the first. */
  notePrice(key: PriceKey, amount: bigint, at: number): Promise<void>
  /** Pins a price for every known price that matches; returns them as they are now. */
  trustPrice(filter: SellerFilter, amount: bigint, at: number): Promise<KnownPrice[]>

  /** 32 secret bytes, made with the store: what requests are digested with. */
  digestKey(): Promise<Uint8Array>
  /**
   * The tombstone of a name, and the newest one of a body.
   * @param since milliseconds since the epoch; older ones are forgotten
   */
  tombstones(
    mark: RequestMark,
    since: number,
  ): Promise<{ readonly named: Tombstone | undefined; readonly newest: Tombstone | undefined }>
  /** Notes that the answer a charge paid for did not reach its client. Does nothing for a charge without a tombstone. */
  markUndelivered(charge: string, at: number): Promise<void>

  /** Notes the tokens of the answer a charge paid for. The first note stays; a charge that does not exist is passed over. */
  noteUsage(charge: string, usage: Usage): Promise<void>
  /** The tokens of the answers that these charges paid for, by charge; those without a note are left out. */
  usages(charges: readonly string[]): Promise<ReadonlyMap<string, Usage>>
  /** Adds up what was bought. */
  consumption(query: ConsumptionQuery): Promise<Consumption>

  /** Registers a process, and later tells that it lives. */
  register(instance: Instance): Promise<void>
  heartbeat(id: string, at: number): Promise<void>
  /**
   * Every instance not yet retired, and retired ones that own `held` or `authorized` charges (again) or have moves left to
   * tell.
   */
  instances(): Promise<Instance[]>
  /**
   * Ends an instance: its `authorized` charges become `uncertain`, its `held` ones `released`; each moved charge is
   * returned. Called for dead instances by whoever finds them, and by an instance for itself when it closes.
   * @param by as in {@link Move.by}
   */
  retire(id: string, at: number, reason: string, by?: string): Promise<Charge[]>

  /** Notes that the audit file tells, durably, how these charges stand. One that moved since stays untold. */
  told(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): Promise<void>
  /**
   * What a dead process moved and perhaps did not tell, by id; from now on it is `to`'s to tell, so that of many finders one
   * gets each.
   */
  adoptUntold(from: string, to: string): Promise<Charge[]>

  /** Resolves when a write would succeed now (used by readiness). */
  ping(): Promise<void>
  close(): Promise<void>
}
