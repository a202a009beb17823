/**
 * The audit outbox: charges whose newest move may not be in an audit file yet. A move with `by` puts its charge into the
 * outbox in the same transaction, so that a crash between store and audit file leaves no move unpublished.
 */
import type { Charge } from '../../../core/charge/charge.ts'

/** The outbox of a store. Every method is one transaction. */
export interface AuditOutbox {
  /**
   * Records that an audit file durably holds these charges in this state and with this proof. A charge that moved since
   * stays in the outbox.
   */
  markPublished(charges: readonly Pick<Charge, 'id' | 'state' | 'proof'>[]): Promise<void>
  /**
   * Takes over every charge that a dead process left in the outbox: from now on `to` publishes them. When several processes
   * call it at once, each charge goes to exactly one of them.
   * @returns the charges that were taken over, by id
   */
  adopt(from: string, to: string): Promise<Charge[]>
}
