/** The store that keeps nothing: for tests and for trying Tollway out. All money rules hold until the process ends. */
import { storeClosed } from '../rules/charge-rules.ts'
import type { Store } from '../store.ts'
import { synchronousStore } from '../synchronous-store.ts'
import { MemoryAuditHeads } from './audit-heads.ts'
import { MemoryAuditOutbox } from './audit-outbox.ts'
import { MemoryBudgets } from './budgets.ts'
import { ChargeTable } from './charge-table.ts'
import { MemoryCharges } from './charges.ts'
import { MemoryFlags } from './flags.ts'
import { MemoryIdempotency } from './idempotency.ts'
import { MemoryInstances } from './instances.ts'
import { MemoryNotices } from './notices.ts'
import { MemoryPurchases } from './purchases.ts'
import { MemorySellers } from './sellers.ts'
import { MemorySpending } from './spending.ts'
import { MemoryVouchers } from './vouchers.ts'

/**
 * An empty store in memory. The same calls in the same order lead to the same state, `digestKey()` aside: it reads no clock, and
 * a call that it rejects changes nothing. A store of your own may keep the calls and repeat them (docs/own-payers.md).
 */
export function memoryStore(): Store {
  const table = new ChargeTable()
  const purchases = new MemoryPurchases()
  const contracts = {
    budgets: new MemoryBudgets((id) => table.entry(id).charge.state),
    sellers: new MemorySellers(),
    idempotency: new MemoryIdempotency(table),
    flags: new MemoryFlags(table),
    vouchers: new MemoryVouchers(table, purchases),
    outbox: new MemoryAuditOutbox(table),
  }
  const charges = new MemoryCharges(table, contracts)
  const instances = new MemoryInstances(table, charges, contracts.outbox)
  const spending = new MemorySpending(table)
  const auditHeads = new MemoryAuditHeads()

  let isClosed = false
  /** Each part decides everything before it changes anything and never waits in between, so this is a transaction. */
  const run = async <T>(work: () => T): Promise<T> => {
    if (isClosed) throw storeClosed()
    return work()
  }
  return synchronousStore(
    { ...contracts, charges, instances, spending, auditHeads, purchases, notices: new MemoryNotices() },
    { read: run, write: run, writeSoon: run },
    {
      kind: 'memory',
      ping: () => run(() => undefined),
      close: async () => {
        isClosed = true
      },
    },
  )
}
