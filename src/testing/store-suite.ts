import { afterEach, beforeEach, describe } from 'vitest'
import type { Store } from '../io/store/store.ts'
import { auditHeadsConformance } from './store/audit-heads.ts'
import { auditOutboxConformance } from './store/audit-outbox.ts'
import { budgetsConformance } from './store/budgets.ts'
import { listedChargesConformance } from './store/charges-listed.ts'
import { chargesConformance } from './store/charges.ts'
import { flagsConformance } from './store/flags.ts'
import { idempotencyConformance } from './store/idempotency.ts'
import { instancesConformance } from './store/instances.ts'
import { lifecycleConformance } from './store/lifecycle.ts'
import { purchasesConformance } from './store/purchases.ts'
import { noticesConformance } from './store/notices.ts'
import { pinsConformance } from './store/sellers-pins.ts'
import { pricesConformance } from './store/sellers-prices.ts'
import { spendingConformance } from './store/spending.ts'
import { vouchersConformance } from './store/vouchers.ts'

/** One suite for each contract of a store. */
const SUITES: Readonly<Record<string, (store: () => Store) => void>> = {
  charges: chargesConformance,
  'charges, listed': listedChargesConformance,
  spending: spendingConformance,
  budgets: budgetsConformance,
  'pins of sellers': pinsConformance,
  'prices of sellers': pricesConformance,
  flags: flagsConformance,
  tombstones: idempotencyConformance,
  instances: instancesConformance,
  'audit heads': auditHeadsConformance,
  'audit outbox': auditOutboxConformance,
  vouchers: vouchersConformance,
  purchases: purchasesConformance,
  notices: noticesConformance,
  lifecycle: lifecycleConformance,
}

/** Longest time of one test, milliseconds: a store that waits for its disk takes a while for a thousand charges. */
const LONGEST_MS = 120_000

/**
 * What every store keeps: run it in a test file of yours. A store that passes can be given to `budgetGuard({ store })`.
 * @param open opens a store without any entries; it is closed after each test
 */
export function describeStore(name: string, open: () => Store | Promise<Store>): void {
  describe.each(Object.entries(SUITES))(
    `${name} as a store: %s`,
    { timeout: LONGEST_MS },
    (_contract, suite) => {
      let store: Store
      beforeEach(async () => {
        store = await open()
      })
      afterEach(() => store.close())
      suite(() => store)
    },
  )
}
