/**
 * What the chain proves about a charge on Solana (rule 4). Pure. A payment there has no nonce that a contract knows: it was used
 * when a final transaction carries our signature, and can never be used once the last block that may hold it has gone by.
 */
import type { Charge } from './charge.ts'
import { isReconcilable, unspent, type ChainBlock, type ReconcileDecision } from './reconcile.ts'

/** What one look at the chain found. */
export type SolanaObservation =
  /** No answer, or an unusable one; also a node that is behind. */
  { readonly kind: 'no_answer'; readonly reason: string } | SolanaReading

/** Everything in it was read at finalized commitment, from a node of the right chain. */
export interface SolanaReading {
  readonly kind: 'reading'
  /** The slot of the newest final block, and its time. */
  readonly block: ChainBlock
  /** The height of that block. Every final transaction up to it was looked at. */
  readonly height: number
  /** Our own clock, unix seconds, when the block was read. */
  readonly now: number
  /** The transaction that carries our signature and did what it says. */
  readonly use: { readonly transaction: string } | undefined
}

/** Decides about one charge on Solana. */
export function decideSolana(charge: Charge, observation: SolanaObservation): ReconcileDecision {
  const { authorization } = charge
  if (!isReconcilable(charge) || !authorization?.solana) {
    return { action: 'wait', reason: 'not_reconcilable' }
  }
  if (observation.kind === 'no_answer') return { action: 'wait', reason: observation.reason }
  const { block, height, now, use } = observation
  if (use) {
    const named = charge.transaction
    const differs = named !== undefined && named !== use.transaction
    const detail = `the receipt says ${named}, the chain ${use.transaction}`
    return {
      action: 'settle',
      transaction: use.transaction,
      block,
      flags: differs ? [{ flag: 'receipt_mismatch', detail }] : [],
    }
  }
  // A node may always report heights that are too high without contradicting itself, but it cannot change how much time passed here.
  if (height <= authorization.solana.lastValidHeight || now <= authorization.validBefore) {
    return { action: 'wait', reason: 'still_valid' }
  }
  return unspent(charge, 'chain_unused', block)
}
