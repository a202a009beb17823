/** Detects a missing ledger whose audit file still exists: a new ledger would not know what was already spent. */
import { statSync } from 'node:fs'
import { ConfigError } from '../../core/errors.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'

/**
 * Refuses to create a new ledger next to an audit file that already has records.
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
