/** The rules of charges and budget sums, shared by every store and independent of how a store keeps its data. */
import { canonicalAddress } from '../../../core/money/address.ts'
import {
  counted,
  fits,
  moveTotals,
  NO_TOTALS,
  type BudgetAsset,
  type Claim,
  type Totals,
} from '../../../core/budget/budget.ts'
import {
  chargedShare,
  IllegalMoveError,
  mayMove,
  type AuthorizationRecord,
  type Charge,
  type ChargeState,
  type ChargeTerms,
  type Proof,
} from '../../../core/charge/charge.ts'
import { levelReached } from '../../../core/budget/notice-level.ts'
import { isMetered } from '../../../core/charge/metered.ts'
import { TollwayError } from '../../../core/errors.ts'
import type { Window } from '../../../core/budget/window.ts'
import { TILES, type TileWindow } from './rolling-window.ts'
import type { AuthorizeRefusal, ChargeQuery, Move, Notice } from '../contracts/charges.ts'

/** Identifies the sums that a claim counts in. */
export interface WindowKey {
  readonly budget: string
  readonly subject: string
  readonly window: Window | TileWindow
  readonly windowStart: number
}

/** The share of a budget that a charge takes. It is stored with the charge, so that its windows never change (rule 2). */
export interface Share extends WindowKey {
  readonly window: Window
  readonly amount: bigint
  /** What it counts, if no money. */
  readonly counts?: BudgetAsset['counts']
}

/** The shares that a charge takes for its claims. */
export function sharesOf(claims: readonly Claim[]): Share[] {
  return claims.map(({ budget, subject, window, windowStart, amount, asset }) => ({
    budget,
    subject,
    window,
    windowStart,
    amount,
    ...(asset?.counts === undefined ? {} : { counts: asset.counts }),
  }))
}

/** The keys whose sums include a share: for a rolling window the tiles that its instant belongs to. */
export function tileKeysOf(share: Share): readonly WindowKey[] {
  if (share.window !== 'rolling') return [share]
  const { budget, subject, windowStart: at } = share
  return TILES.map(({ window, ms }) => ({ budget, subject, window, windowStart: Math.floor(at / ms) * ms }))
}

/** New sums of one window. */
export interface TotalsChange {
  readonly key: WindowKey
  readonly totals: Totals
}

/** A string that identifies a window. */
export function windowId(key: WindowKey): string {
  return JSON.stringify([key.budget, key.subject, key.window, key.windowStart])
}

/** How a store reads its sums. */
export interface TotalsReader {
  /** The sums stored under a key; `undefined` when nothing was ever charged there. */
  readonly at: (key: WindowKey) => Totals | undefined
  /** Everything that counts against a claim. For a rolling window, this adds up many keys. */
  readonly against: (claim: Claim) => Totals
  /** The keys whose sums include a share. */
  readonly keysOf: (share: Share) => readonly WindowKey[]
}

/** The result of taking a set of claims. */
export type Taken =
  | {
      readonly ok: true
      readonly changes: readonly TotalsChange[]
      /** Claims that passed a soft limit, a level, or a limit that is not enforced. */
      readonly passed: readonly Notice[]
    }
  | { readonly ok: false; readonly claim: Claim; readonly totals: Totals }

/**
 * Checks claims in order and computes the sums with all of them held (rule 2). Two claims on one window are added up.
 * @throws RangeError when a claim is negative
 */
export function takeClaims(claims: readonly Claim[], reader: TotalsReader): Taken {
  const sums = new Map<string, Totals>()
  const passed: Notice[] = []
  for (const claim of claims) {
    if (claim.amount < 0n) throw new RangeError(`a claim on budget ${claim.budget} is negative`)
    const id = windowId(claim)
    const totals = sums.get(id) ?? reader.against(claim)
    if (!fits(totals, claim)) {
      if (claim.enforce !== false) return { ok: false, claim, totals }
      passed.push({ kind: 'would_refuse', claim, totals })
    }
    const after = moveTotals(totals, undefined, 'held', claim.amount)
    if (claim.soft !== undefined && counted(after) > claim.soft)
      passed.push({ kind: 'soft', claim, totals: after })
    if (claim.levels && levelReached(claim.levels, counted(after), claim.limit) !== undefined)
      passed.push({ kind: 'level', claim, totals: after })
    sums.set(id, after)
  }
  return { ok: true, changes: moveShares(sharesOf(claims), undefined, 'held', reader), passed }
}

/** The shares of a charge after the chain proved that less was taken than signed. Returns the same list if nothing changes. */
export function sharesAfter(shares: readonly Share[], before: Charge, after: Charge): readonly Share[] {
  const { charged, amount: signed } = after
  if (charged === undefined || charged === before.charged) return shares
  // A charge is lowered at most once: with proof `chain` it is final.
  return shares.map((share) =>
    share.counts === undefined ? { ...share, amount: chargedShare(share.amount, charged, signed) } : share,
  )
}

/**
 * The shares of a charge after its answer told how many model tokens it took. Returns the same list if nothing changes.
 * @param tokens input and output together
 */
export function sharesOfTokens(shares: readonly Share[], tokens: number): readonly Share[] {
  const amount = BigInt(Math.max(0, Math.trunc(tokens)))
  if (!shares.some((share) => share.counts === 'tokens' && share.amount !== amount)) return shares
  return shares.map((share) => (share.counts === 'tokens' ? { ...share, amount } : share))
}

/**
 * The sums after a charge with these shares moves between states.
 * @param from `undefined` for a new reservation
 * @param left the shares after the move, in the same order
 * @throws Error when a window has no sums: the ledger is damaged, and a guess could overspend
 */
export function moveShares(
  shares: readonly Share[],
  from: ChargeState | undefined,
  to: ChargeState,
  reader: TotalsReader,
  left: readonly Share[] = shares,
): TotalsChange[] {
  const changed = new Map<string, TotalsChange>()
  if (from === to && left === shares) return []
  for (const [index, share] of shares.entries()) {
    for (const key of reader.keysOf(share)) {
      const id = windowId(key)
      const totals = changed.get(id)?.totals ?? reader.at(key) ?? (from === undefined ? NO_TOTALS : undefined)
      if (!totals) throw new Error(`the sums of budget ${share.budget} in window ${id} are missing`)
      changed.set(id, { key, totals: moveTotals(totals, from, to, share.amount, left[index]?.amount) })
    }
  }
  return [...changed.values()]
}

/** A new charge. */
export function heldCharge(terms: ChargeTerms): Charge {
  return {
    ...terms,
    state: 'held',
    proof: undefined,
    authorization: undefined,
    transaction: undefined,
    reason: undefined,
    updatedAt: terms.reservedAt,
  }
}

/**
 * Why a charge may not be authorized, apart from a used nonce. The lease has expired at exactly `leaseUntil`.
 * @param at milliseconds since the epoch
 */
export function refuseAuthorize(charge: Charge, at: number): AuthorizeRefusal | undefined {
  if (charge.state !== 'held') return 'not_held'
  return at < charge.leaseUntil ? undefined : 'lease_expired'
}

/** A held charge after its authorization was recorded. */
export function authorizedCharge(charge: Charge, record: AuthorizationRecord, at: number): Charge {
  const from = canonicalAddress(charge.network, record.from) ?? record.from
  const authorization = { ...record, from, nonce: record.nonce.toLowerCase() }
  return { ...charge, state: 'authorized', authorization, updatedAt: at }
}

/** The charge of a hand-over after another charge took its authorization. It loses the nonce, which is recorded only once. */
export function takenOverCharge(handOver: Charge, at: number): Charge {
  const released = movedCharge(handOver, { to: 'released', at, reason: 'taken_over' })
  return { ...released, authorization: undefined }
}

const STRENGTH: Readonly<Record<Proof, number>> = { assumed: 1, receipt: 2, chain: 3 }

/**
 * A charge after a move.
 * @throws IllegalMoveError when the move does not exist
 * @throws Error when it settles without a proof, or `charged` is not provable
 */
export function movedCharge(charge: Charge, move: Move): Charge {
  if (move.to === 'settled' && move.proof === undefined) {
    throw new Error(`charge ${charge.id} cannot be settled without a proof`)
  }
  if (!isMove(charge, move)) throw new IllegalMoveError(charge.id, charge.state, move.to)
  if (move.charged !== undefined) checkCharged(charge, move, move.charged)
  return {
    ...charge,
    state: move.to,
    proof: move.proof,
    ...(move.charged === undefined ? {} : { charged: move.charged }),
    transaction: move.transaction ?? charge.transaction,
    reason: move.reason,
    updatedAt: move.at,
  }
}

/** Budgets may count less only by what the chain can prove (rule 4). */
function checkCharged({ id, amount, network, authorization }: Charge, move: Move, charged: bigint): void {
  // The usage of the answer tells what an upstream bills, also where that is more than the estimate.
  if (isMetered({ network }) && move.to === 'settled' && move.proof === 'receipt' && charged >= 0n) return
  const provable = move.to === 'settled' && move.proof === 'chain' && authorization?.scheme === 'upto'
  if (!provable || charged < 0n || charged > amount) {
    throw new Error(
      `charge ${id} of ${amount} cannot be settled as ${charged} charged: the chain does not prove it`,
    )
  }
}

function isMove(charge: Charge, move: Move): boolean {
  // Only `ChargeStore.authorize` reaches `authorized`, because only it records the nonce.
  if (move.to === 'authorized') return false
  if (charge.state === 'settled' && move.to === 'settled') {
    return strength(move.proof) > strength(charge.proof)
  }
  return mayMove(charge.state, move.to, charge.proof)
}

function strength(proof: Proof | undefined): number {
  return proof === undefined ? 0 : STRENGTH[proof]
}

/**
 * An open charge after its process has ended: a signed payment may have been sent, an unsigned one was not. `undefined` for
 * charges that are not open.
 */
export function retiredCharge(charge: Charge, at: number, reason: string): Charge | undefined {
  // Nobody but the lost process heard what it took: it counts in full.
  if (charge.state === 'authorized' && isMetered(charge))
    return movedCharge(charge, { to: 'settled', at, reason, proof: 'assumed' })
  if (charge.state === 'authorized') return movedCharge(charge, { to: 'uncertain', at, reason })
  if (charge.state === 'held') return movedCharge(charge, { to: 'released', at, reason })
  return undefined
}

/** Whether a charge matches `HistoryQuery.longValidAt`. */
export function isLongValid({ authorization, reservedAt }: Charge, at: number): boolean {
  if (!authorization) return false
  return authorization.validBefore * 1000 > reservedAt + 86_400_000 && authorization.validBefore >= at
}

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1000

/** How many charges a query asks for. @throws RangeError when it is not a whole number from 0 */
export function queryLimit(query: Pick<ChargeQuery, 'limit'> | undefined): number {
  const limit = query?.limit ?? DEFAULT_LIMIT
  if (!Number.isSafeInteger(limit) || limit < 0) {
    throw new RangeError(`limit must be a whole number from 0, not ${limit}`)
  }
  return Math.min(limit, MAX_LIMIT)
}

/** The error for an unknown charge: a bug in Tollway, never the client's mistake. */
export function unknownCharge(id: string): Error {
  return new Error(`there is no charge ${id} in the store`)
}

/** The error for a charge id that is already used. */
export function duplicateCharge(id: string): Error {
  return new Error(`charge ${id} is already in the store: charge ids must be unique`)
}

/** The error for a heartbeat of an unregistered process, whose charges no one would resolve after its death. */
export function unknownInstance(id: string): Error {
  return new Error(`instance ${id} is not registered in the store`)
}

/** What every method of a closed store rejects with. */
export function storeClosed(): TollwayError {
  return new TollwayError({ code: 'store_unavailable', message: 'The ledger is closed. Nothing was paid.' })
}
