/** Reading a ledger from outside the gateway: for reports, checks and commands. */
import type { AuditHeadStore } from './contracts/audit-heads.ts'
import type { BudgetStore } from './contracts/budgets.ts'
import type { ChargeStore } from './contracts/charges.ts'
import type { FlagStore } from './contracts/flags.ts'
import type { SpendingStore } from './contracts/spending.ts'
import type { SumsQuery, SpendPart } from './rules/spend-parts.ts'

/** What a comparison came to. */
export interface SumsComparison {
  /** Charges that were read. */
  readonly charges: number
  /** Whether these are all. */
  readonly isWhole: boolean
  /** Charges of an older version that are not in the sums yet; reports read them one by one. */
  readonly unbuilt: number
  /** Rows of sums that are not those of the charges. */
  readonly differing: number
}

/** The budget sums and charges of a ledger at one instant. */
export interface LedgerReader
  extends
    Pick<BudgetStore, 'subjects' | 'totals'>,
    Pick<ChargeStore, 'history' | 'charge'>,
    Pick<SpendingStore, 'usages'>,
    Pick<AuditHeadStore, 'auditHeads'>,
    Pick<FlagStore, 'flagCounts' | 'flags'> {
  /** What was spent, added up by everything that it can be reported by. */
  sums(query: SumsQuery): Promise<readonly SpendPart[]>
  /** The reservations of the first and the last charge, milliseconds since the epoch; `undefined` without charges. */
  range(): Promise<{ readonly first: number; readonly last: number } | undefined>
  /**
   * Compares the sums with the charges that they are of, day by day, the newest first.
   * @param most whole days are read until so many charges were
   */
  compareSums(most: number): Promise<SumsComparison>
  close(): void | Promise<void>
}
