/** A ledger that is gone while its audit file is still there: a fresh one would have forgotten what was spent. */
import { statSync } from 'node:fs'
import { ConfigError } from '../../core/errors.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/**
 * Refuses to begin a new ledger beside an audit file that has records already.
 * @throws ConfigError naming both files and the fix
 */
export function refuseForgottenLedger(config: Pick<ResolvedConfig, 'store' | 'audit'>): void {
  if (!config.store.startsWith('sqlite:')) return
  const ledger = config.store.slice('sqlite:'.length)
  if (statSync(ledger, { throwIfNoEntry: false })) return
  const audit = statSync(config.audit.path, { throwIfNoEntry: false })
  if (!audit || audit.size === 0) return
  throw new ConfigError(
    `The ledger ${ledger} is missing, but the audit file ${config.audit.path} has records: a new ledger would forget what was spent. Restore the ledger from a backup, or move the audit file away to start over.`,
  )
}
