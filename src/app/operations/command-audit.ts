/** The audit file of commands that change something without paying: opened before anything changes, signed and noted at the end. */
import { existsSync } from 'node:fs'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import { openStore } from '../wiring/open-store.ts'
import type { Store } from '../../io/store/store.ts'
import { commandAuditPath } from '../wiring/audit-files.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { openAudit, watchAuditHead } from '../wiring/open-audit.ts'

/**
 * What cannot be recorded is not done.
 * @param store notes how far the file goes, so that a cut tail is seen
 * @throws ConfigError, TollwayError as `openAuditFile` does; whatever `use` throws
 */
export async function withCommandAudit<T>(
  config: Pick<ResolvedConfig, 'audit'>,
  clock: Clock,
  instance: string,
  store: Store | undefined,
  use: (audit: AuditFile) => Promise<T>,
): Promise<T> {
  const path = commandAuditPath(config.audit.path)
  const audit = await openAudit({ ...config.audit, path }, clock, instance)
  try {
    const heads = store && (await watchAuditHead(audit, path, store, { clock, log: silentLog }))
    const result = await use(audit)
    await heads?.end()
    return result
  } finally {
    await audit.close()
  }
}

/** Opens the ledger for a command that can do without: there may be none yet, or none that another process can read. */
export async function withLedger<T>(
  { store: at }: Pick<ResolvedConfig, 'store'>,
  use: (store: Store | undefined) => Promise<T>,
): Promise<T> {
  const isThere = at.startsWith('sqlite:') && existsSync(at.slice('sqlite:'.length))
  const store = isThere ? await openStore(at) : undefined
  try {
    return await use(store)
  } finally {
    await store?.close()
  }
}
