/** `tollway backup restore`: handles payments that a restored ledger does not contain. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import { lastRecord } from '../../io/audit/audit-charges.ts'
import { adoptCharge, type ForgottenCharge } from '../../io/ledger/restore-forgotten-charge.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import type { Store } from '../../io/store/store.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { auditFilesOf } from '../wiring/audit-files.ts'
import { openStore } from '../../io/ledger/open-store.ts'
import { forgottenCharges } from '../wiring/refuse-old-ledger.ts'
import { withCommandAudit } from './command-audit.ts'

/** The result of a restore. */
export interface Restored {
  readonly charges: readonly ForgottenCharge[]
  /** `adopted`: they now count in the budgets. `forgotten`: they never will. */
  readonly result: 'adopted' | 'forgotten'
}

type RestoreConfig = Pick<ResolvedConfig, 'store' | 'audit' | 'budgets'>

/**
 * Reconciles a restored ledger with its audit files.
 * @param how `adopt`: adds the payments to the ledger, in the budget windows of their own time, even above a limit;
 * `forget`: records that the ledger continues without them
 * @throws ConfigError for a store in memory; TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function restoreLedger(
  config: RestoreConfig,
  how: 'adopt' | 'forget',
  clock: Clock,
): Promise<Restored> {
  if (config.store === 'memory') {
    throw new ConfigError('store: memory is lost when the gateway stops and cannot be restored.')
  }
  const store = await openStore(config.store)
  try {
    const instance = thisInstance(clock)
    const charges = await forgottenCharges(config, store)
    await withCommandAudit(config, clock, instance.id, store, async (audit) => {
      await store.register(instance)
      const result = how === 'adopt' ? 'adopted' : 'forgotten'
      for (const { id, fields, known } of charges) {
        const { amount = null, usd = null } = fields
        await audit.append(`ledger.${result}`, { charge: id, known, amount, usd }, { durable: true })
      }
      if (how === 'adopt') {
        const books = { store, rules: config.budgets, instance: instance.id, random: randomBytes }
        for (const charge of charges) await adoptCharge(books, charge)
      } else {
        await noteAll(store, config, clock.now())
      }
      await store.retire(instance.id, clock.now(), 'instance_closed')
    })
    return { charges, result: how === 'adopt' ? 'adopted' : 'forgotten' }
  } finally {
    await store.close()
  }
}

/** From here on the ledger does not ask for what the files hold now. */
async function noteAll(store: Store, config: RestoreConfig, at: number): Promise<void> {
  for (const file of auditFilesOf(config.audit.path)) {
    const head = lastRecord(file)
    if (head.seq > 0) await store.noteAuditHead({ file, ...head, at })
  }
}
