/**
 * Charges and their moves (core/charge). A charge takes its budget sums, its payee pin, its tombstone, its voucher and its
 * audit outbox entry along in one transaction.
 */
import type { Claim, Totals } from '../../../core/budget/budget.ts'
import type {
  AuthorizationRecord,
  Charge,
  ChargeState,
  ChargeTerms,
  Proof,
} from '../../../core/charge/charge.ts'
import type { RequestMark } from '../../../core/request/idempotency.ts'

/** Something to report about a claim that was taken. */
export interface Notice {
  /**
   * `soft`: the first to pass `soft` in its window; `would_refuse`: over the limit of a budget that is not enforced; `level`: the
   * sum is at one of the claim's levels or above it, told with every claim.
   */
  readonly kind: 'soft' | 'would_refuse' | 'level'
  readonly claim: Claim
  /** `would_refuse`: the sums that the claim did not fit into. Others: the sums including the claim. */
  readonly totals: Totals
}

/** The result of a reservation. */
export type Reservation =
  | {
      readonly ok: true
      readonly charge: Charge
      /** Only when there is at least one. */
      readonly notices?: readonly Notice[] | undefined
    }
  /** Nothing was taken: the first claim (in the given order) that does not fit, and what its window holds. */
  | { readonly ok: false; readonly claim: Claim; readonly totals: Totals }

/** How a charge moves. */
export interface Move {
  readonly to: ChargeState
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly reason: string
  readonly proof?: Proof | undefined
  /**
   * What the chain proved to have been taken of an `upto` payment, smallest units. Budgets that counted the signed amount count
   * this from now on. Only with `settled` and the proof `chain`.
   */
  readonly charged?: bigint | undefined
  readonly transaction?: string | undefined
  /** With `settled`: pins the payee in the same transaction when the seller, network and asset have none yet (rule 6). */
  readonly pin?: boolean | undefined
  /** The process that moves the charge and publishes the move to its audit file; without it the move is not published. */
  readonly by?: string | undefined
}

/** Why an authorization was not recorded. Nothing may be sent then. */
export type AuthorizeRefusal = 'not_held' | 'lease_expired' | 'nonce_used'

/** The result of taking over a hand-over. */
export interface TakenOver {
  readonly charge: Charge
  /** The charge of the hand-over, after and before. */
  readonly handOver: { readonly now: Charge; readonly before: Charge }
}

/** Which charges are meant; what is left out matches all. */
export interface ChargeFilter {
  readonly states?: readonly ChargeState[] | undefined
  readonly instance?: string | undefined
  /** The route's `model_name`. */
  readonly route?: string | undefined
  readonly payer?: string | undefined
  /** The seller's origin. */
  readonly seller?: string | undefined
  readonly caller?: string | undefined
  /** Reserved at or after this instant, milliseconds since the epoch. */
  readonly from?: number | undefined
  /** Reserved before this instant, milliseconds since the epoch. */
  readonly to?: number | undefined
}

/** The last charge of a page. */
export type ChargeCursor = Pick<Charge, 'reservedAt' | 'id'>

/** Which charges {@link ChargeStore.charges} lists. */
export interface ChargeQuery extends ChargeFilter {
  /** Only charges that follow this one in the list: the next page. */
  readonly before?: ChargeCursor | undefined
  /** How many, newest first: a whole number from 0; default 100, at most 1000 (more is cut to that). */
  readonly limit?: number | undefined
}

/** Which charges {@link ChargeStore.history} lists: reserved from `since` until before `until`, milliseconds since the epoch. */
export interface HistoryQuery {
  readonly since: number
  readonly until: number
  /** Only charges of this instance. */
  readonly instance?: string | undefined
  /**
   * Only charges that were signed for longer than a day, as vouchers are, and are valid at this instant or later, Unix seconds.
   * Cannot be combined with `instance`.
   */
  readonly longValidAt?: number | undefined
  /** Only charges that follow this one: the last of the previous page. */
  readonly after?: Pick<Charge, 'reservedAt' | 'id'> | undefined
  /** As in {@link ChargeQuery}. */
  readonly limit?: number | undefined
}

/** Which charges {@link ChargeStore.unproven} lists. */
export interface UnprovenQuery {
  /** CAIP-2. */
  readonly network: string
  /** Only uncertain charges of which the seller named a transaction. */
  readonly claimed?: boolean | undefined
  /** Only charges in this state; both when left out. */
  readonly state?: 'uncertain' | 'settled' | undefined
  /** Only ids after this one. */
  readonly after?: string | undefined
  /** As in {@link ChargeQuery}. */
  readonly limit?: number | undefined
}

/** The charges of a store. Every method is one transaction, also across processes. */
export interface ChargeStore {
  /**
   * Reserves a charge: checks every claim against its limit and takes all of them or none (rule 2). Compares the payee with the
   * pinned one, or while none is pinned with those of the seller's open charges: of two first payments to different payees, the
   * second is refused. Nothing is pinned before a payment settles ({@link Move.pin}).
   * @param pin whether the payee is compared
   * @param mark adds a tombstone
   * @throws TollwayError `payee_not_allowed` when the payee differs; `request_in_progress` when another charge holds the
   * tombstone's name, or another process pays for the same request
   */
  reserve(
    terms: ChargeTerms,
    claims: readonly Claim[],
    pin: boolean,
    mark?: RequestMark,
  ): Promise<Reservation>

  /**
   * Records what was signed, `held -> authorized`, and checks state and lease again in the same transaction. When it
   * resolves to a charge, the record is durable: only then may the signature leave the process (rule 3).
   * @returns `nonce_used` when this payer address, network, asset and nonce were recorded before (rule 5)
   */
  authorize(id: string, record: AuthorizationRecord, at: number): Promise<Charge | AuthorizeRefusal>

  /**
   * Like {@link ChargeStore.authorize}, for an authorization that was handed over to another process and comes back from it
   * (`mayTakeOver` in core/vouchers). One transaction releases the charge of the hand-over without its nonce and records the
   * nonce for this charge, so that the authorization counts once.
   * @returns `nonce_used` for every other authorization
   */
  takeOver(id: string, record: AuthorizationRecord, at: number): Promise<TakenOver | AuthorizeRefusal>

  /**
   * Moves a charge and its budget sums. The windows stay those of its reservation. Settling a charge again on a
   * stronger proof (`assumed` < `receipt` < `chain`) strengthens the proof.
   * @throws IllegalMoveError when the move does not exist (core/charge); only {@link ChargeStore.authorize} reaches `authorized`
   */
  move(id: string, move: Move): Promise<Charge>

  /**
   * Counts in budgets of model tokens what the answer of a charge took, instead of the most that it might have taken. An unknown
   * charge is ignored.
   * @param tokens input and output together; more than was reserved counts too
   */
  settleTokens(id: string, tokens: number): Promise<void>

  /** One charge, or `undefined`. */
  charge(id: string): Promise<Charge | undefined>
  /** Charges, newest first. */
  charges(query?: ChargeQuery): Promise<Charge[]>
  /**
   * The charges that carry a transaction, by id ascending, at most two: a receipt that another charge has already is none.
   * @param network CAIP-2
   */
  withTransaction(network: string, transaction: string): Promise<Charge[]>
  /** Charges by the instant of their reservation, oldest first. */
  history(query: HistoryQuery): Promise<Charge[]>
  /**
   * Charges of any owner that the chain may still prove something about, by id ascending (oldest first): uncertain ones, and
   * settled ones without proof `chain`. Charges flagged `receipt_unproven` are left out: the chain has answered.
   */
  unproven(query: UnprovenQuery): Promise<Charge[]>
}
