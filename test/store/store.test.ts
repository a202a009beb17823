/** Runs the conformance suite of each contract over every store. */
import { auditHeadsConformance } from './conformance/audit-heads.ts'
import { auditOutboxConformance } from './conformance/audit-outbox.ts'
import { budgetsConformance } from './conformance/budgets.ts'
import { chargesConformance } from './conformance/charges.ts'
import { flagsConformance } from './conformance/flags.ts'
import { idempotencyConformance } from './conformance/idempotency.ts'
import { instancesConformance } from './conformance/instances.ts'
import { lifecycleConformance } from './conformance/lifecycle.ts'
import { pinsConformance } from './conformance/sellers-pins.ts'
import { pricesConformance } from './conformance/sellers-prices.ts'
import { purchasesConformance } from './conformance/purchases.ts'
import { spendingConformance } from './conformance/spending.ts'
import { vouchersConformance } from './conformance/vouchers.ts'
import { onEachStore } from './each-store.ts'

onEachStore('charges', chargesConformance)
onEachStore('spending', spendingConformance)
onEachStore('budgets', budgetsConformance)
onEachStore('pins of sellers', pinsConformance)
onEachStore('prices of sellers', pricesConformance)
onEachStore('flags', flagsConformance)
onEachStore('tombstones', idempotencyConformance)
onEachStore('instances', instancesConformance)
onEachStore('audit heads', auditHeadsConformance)
onEachStore('audit outbox', auditOutboxConformance)
onEachStore('vouchers', vouchersConformance)
onEachStore('purchases', purchasesConformance)
onEachStore('lifecycle', lifecycleConformance)
