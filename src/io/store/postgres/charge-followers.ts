/** The parts of the Postgres ledger that follow a charge. */
import type { PostgresAuditOutbox } from './audit-outbox.ts'
import type { PostgresBudgets } from './budgets.ts'
import type { PostgresRollups } from './history/rollups.ts'
import type { PostgresIdempotency } from './idempotency.ts'
import type { PostgresSellers } from './sellers.ts'
import type { PostgresVouchers } from './vouchers.ts'

/** What follows a charge. */
export interface ChargeFollowers {
  readonly budgets: PostgresBudgets
  readonly sellers: PostgresSellers
  readonly idempotency: PostgresIdempotency
  readonly vouchers: PostgresVouchers
  readonly outbox: PostgresAuditOutbox
  readonly rollups: PostgresRollups
}
