/** The audit file of commands that make changes without paying: opened before any change, signed and noted in the ledger at the end. */
import { existsSync } from 'node:fs'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import type { AuditSink } from '../../io/audit/audit-queue.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import { openStore } from '../../io/ledger/open-store.ts'
import { isPostgres } from '../../io/store/postgres/database/address.ts'
import type { Store } from '../../io/store/store.ts'
import { commandAuditPath } from '../wiring/audit-files.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { openAudit, watchAuditHead } from '../wiring/open-audit.ts'

/** Runs a change with a ledger and an audit file: those of a command, or those of the gateway that is asked for it. */
export type OpenBooks = <T>(use: (store: Store, audit: Pick<AuditSink, 'append'>) => Promise<T>) => Promise<T>

/**
 * Runs a change with an open audit file: without a record there is no change.
 * @param store keeps the file's last position, so that a truncated file is noticed
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

/** Opens the ledger for a command that also works without one: it may not exist yet, or be readable only by the gateway. */
export async function withLedger<T>(
  { store: at }: Pick<ResolvedConfig, 'store'>,
  use: (store: Store | undefined) => Promise<T>,
): Promise<T> {
  const isThere = isPostgres(at) || (at.startsWith('sqlite:') && existsSync(at.slice('sqlite:'.length)))
  const store = isThere ? await openStore(at) : undefined
  try {
    return await use(store)
  } finally {
    await store?.close()
  }
}
