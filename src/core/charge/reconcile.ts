/**
 * What the chain proves about a charge (rule 4). Pure: the decision depends on the charge, on what was read, and on the time it
 * is given. Our own time proves nothing; it only keeps a node whose blocks are ahead of it from releasing a payment that can
 * still be taken.
 */
import { findEvmNetwork } from '../money/assets.ts'
import type { AuthorizationRecord, Charge } from './charge.ts'

/** A block as reported by a node. */
export interface ChainBlock {
  readonly number: bigint
  /** Unix seconds. */
  readonly timestamp: number
  /** `0x` and 64 hex digits, lower case. */
  readonly hash: string
}

/** An ERC-20 `Transfer` of the charge's asset by its payer. Addresses in lower case. */
export interface ChainTransfer {
  readonly to: string
  /** Smallest units. */
  readonly value: bigint
}

/** The result of reading the chain once. */
export type Observation =
  /** No usable answer: none came, it was invalid, or the node lags behind. */
  { readonly kind: 'no_answer'; readonly reason: string } | Reading

/** State read at one block that can no longer be replaced (`safe` or `finalized`). */
export interface Reading {
  readonly kind: 'reading'
  /** As `eth_chainId` said when the block was read. */
  readonly chainId: number
  readonly block: ChainBlock
  /** Whether the nonce is used up: `authorizationState` (EIP-3009) or the bit of `nonceBitmap` (Permit2). */
  readonly spent: boolean
  /** The transaction that used the authorization, and what it moved. */
  readonly use:
    | {
        readonly transaction: string
        readonly transfers: readonly ChainTransfer[]
        /** The nonce was used before the charge was reserved: another program had the same voucher. */
        readonly early?: boolean | undefined
      }
    | undefined
  /** The transaction that cancelled it (`AuthorizationCanceled`; Permit2: `UnorderedNonceInvalidation`). */
  readonly cancellation: { readonly transaction: string } | undefined
}

/**
 * Why a person should look at a charge.
 *
 * - `amount_mismatch`: the transaction moved another amount, or to another payee, than was signed.
 * - `receipt_mismatch`: the receipt names another amount, payer, network or transaction than was signed or mined.
 * - `receipt_reused`: the receipt names a transaction that is the receipt of another charge: it proves nothing about this one.
 * - `receipt_unproven`: a receipt said paid, and the chain says the authorization was never used.
 * - `used_before`: the authorization was used before it was sent for this charge: another program had it too.
 * - `event_missing`: the nonce is used, but no event names the transaction.
 * - `chain_contradiction`: the node reports the nonce as unused and also returns the event of its use.
 * - `evidence_wrong`: what the seller signed (`offer-receipt`) contradicts what was paid, or its signature is wrong.
 */
export type ChargeFlag = (typeof CHARGE_FLAGS)[number]

/** Every {@link ChargeFlag}. */
export const CHARGE_FLAGS = [
  'amount_mismatch',
  'receipt_mismatch',
  'receipt_reused',
  'receipt_unproven',
  'used_before',
  'event_missing',
  'chain_contradiction',
  'evidence_wrong',
] as const

/** What to record in the ledger. */
export type ReconcileDecision =
  /** Spent: the proof becomes `chain`. `flags` list anything unexpected. */
  | {
      readonly action: 'settle'
      /** `undefined` when nothing was taken of an `upto` payment. */
      readonly transaction: string | undefined
      /** What was taken of an `upto` payment, when that is less than was signed. */
      readonly charged?: bigint | undefined
      readonly block: ChainBlock
      readonly flags: readonly ChainFinding[]
    }
  /** Proven unspent. */
  | { readonly action: 'release'; readonly reason: ReleaseReason; readonly block: ChainBlock }
  /** Nothing is proven yet: the charge stays counted. */
  | { readonly action: 'wait'; readonly reason: string }
  /** Nothing is recorded; the charge is flagged for review. */
  | { readonly action: 'flag'; readonly flag: ChainFinding }

/** A flag and the facts behind it, without any text from the seller or the node. */
export interface ChainFinding {
  readonly flag: ChargeFlag
  readonly detail: string
}

/** How the chain proves that nothing was taken. */
export type ReleaseReason = 'chain_unused' | 'chain_canceled'

/** Whether the chain may still change the charge: uncertain charges, and settled ones not yet proven by the chain. */
export function isReconcilable(charge: Charge): boolean {
  return charge.state === 'uncertain' || (charge.state === 'settled' && charge.proof !== 'chain')
}

/**
 * Decides about one charge. The only place where what the chain says changes the ledger.
 * @param now our own clock, milliseconds since the epoch
 */
export function decide(charge: Charge, observation: Observation, now: number): ReconcileDecision {
  const { authorization } = charge
  if (!isReconcilable(charge) || !authorization) return { action: 'wait', reason: 'not_reconcilable' }
  if (observation.kind === 'no_answer') return { action: 'wait', reason: observation.reason }
  const { chainId, block, spent, use, cancellation } = observation
  if (chainId !== findEvmNetwork(charge.network)?.chainId) return { action: 'wait', reason: 'wrong_chain' }
  if (!spent && (use || cancellation)) {
    return flag('chain_contradiction', `unused at block ${block.number}, but an event shows its use`)
  }
  if (use && cancellation) {
    return flag(
      'chain_contradiction',
      `used in ${use.transaction} and cancelled in ${cancellation.transaction}`,
    )
  }
  if (use) return settleBy(charge, authorization, use, block)
  if (cancellation) return unspent(charge, 'chain_canceled', block)
  if (spent) return flag('event_missing', `used at block ${block.number}, but no event names the transaction`)
  // EIP-3009 accepts a payment before validBefore, Permit2 also at that very second: expired means strictly later.
  if (block.timestamp <= authorization.validBefore) return { action: 'wait', reason: 'still_valid' }
  // A node whose blocks are from the future would release what can still be taken: our clock must agree.
  if (now < (authorization.validBefore + 1) * 1000) return { action: 'wait', reason: 'still_valid_here' }
  if (servedForNothing(charge, authorization)) {
    return { action: 'settle', transaction: undefined, charged: 0n, block, flags: [] }
  }
  return unspent(charge, 'chain_unused', block)
}

function settleBy(
  charge: Charge,
  authorization: AuthorizationRecord,
  use: NonNullable<Reading['use']>,
  block: ChainBlock,
): ReconcileDecision {
  const upto = authorization.scheme === 'upto'
  const taken = use.transfers
    .filter(
      ({ to, value }) => to === charge.payTo && (upto ? value <= charge.amount : value === charge.amount),
    )
    // If one transaction holds several, the largest counts: never less than was taken.
    .reduce<bigint | undefined>(
      (most, { value }) => (most === undefined || value > most ? value : most),
      undefined,
    )
  const matches = taken !== undefined
  const moved = use.transfers.map(({ to, value }) => `${value} to ${to}`).join(', ') || 'nothing'
  const detail = `signed ${charge.amount} to ${charge.payTo}, moved ${moved}`
  // A set Permit2 bit may be an invalidation: only the Transfer that was signed for proves the payment.
  if (!matches && authorization.method === 'permit2') return flag('event_missing', detail)
  const flags: ChainFinding[] = matches ? [] : [{ flag: 'amount_mismatch', detail }]
  if (charge.transaction !== undefined && charge.transaction !== use.transaction) {
    flags.push({
      flag: 'receipt_mismatch',
      detail: `the receipt says ${charge.transaction}, the chain ${use.transaction}`,
    })
  }
  if (use.early === true) {
    flags.push({ flag: 'used_before', detail: `used in ${use.transaction}, before this charge was reserved` })
  }
  const charged = upto && taken !== undefined && taken < charge.amount ? { charged: taken } : {}
  return { action: 'settle', transaction: use.transaction, ...charged, block, flags }
}

/**
 * An `upto` seller may charge nothing: its receipt then says paid but names no transaction, and the chain shows that nothing was
 * taken. A receipt that names a transaction which took nothing does not qualify.
 */
function servedForNothing(charge: Charge, { scheme }: AuthorizationRecord): boolean {
  return (
    scheme === 'upto' &&
    charge.state === 'settled' &&
    charge.proof === 'receipt' &&
    charge.transaction === undefined
  )
}

/** A charge with a receipt is flagged for review instead of released: the seller claims to have been paid. */
export function unspent(charge: Charge, reason: ReleaseReason, block: ChainBlock): ReconcileDecision {
  if (charge.state === 'settled' && charge.proof === 'receipt') {
    return flag('receipt_unproven', `${reason} at block ${block.number}, but a receipt says paid`)
  }
  return { action: 'release', reason, block }
}

function flag(name: ChargeFlag, detail: string): ReconcileDecision {
  return { action: 'flag', flag: { flag: name, detail } }
}
