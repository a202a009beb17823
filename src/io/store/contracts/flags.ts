/** Charges flagged for review, by reason: what the chain says contradicts the ledger. */
import type { ChainFinding, ChargeFlag } from '../../../core/charge/reconcile.ts'

/** A charge that needs a review. */
export interface Flagged extends ChainFinding {
  readonly charge: string
  /** Milliseconds since the epoch. */
  readonly at: number
}

/** Which flags are listed; what is left out matches all. */
export interface FlagQuery {
  readonly charge?: string | undefined
  /** As in `ChargeQuery`. */
  readonly limit?: number | undefined
}

/** The flags of a store. Every method is one transaction. */
export interface FlagStore {
  /**
   * Flags a charge.
   * @returns false when the charge has that flag already; the first detail is kept
   * @throws Error when the charge does not exist
   */
  flag(id: string, finding: ChainFinding, at: number): Promise<boolean>
  /** Removes flags from a charge. */
  unflag(id: string, flags: readonly ChargeFlag[]): Promise<void>
  /** The flags of one charge or of all, newest first. */
  flags(query?: FlagQuery): Promise<Flagged[]>
  /** How many charges have each flag; flags of no charge are left out. */
  flagCounts(): Promise<{ readonly flag: ChargeFlag; readonly count: number }[]>
}
