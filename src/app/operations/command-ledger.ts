/** The ledger for a command that spends: the gateway's own, with a separate audit file next to the gateway's. */
import { randomBytes } from 'node:crypto'
import { silentLog } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import type { Observer } from '../../core/telemetry/events.ts'
import type { RandomBytes } from '../../core/ids.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import { isWritten } from '../../io/files/file-lock.ts'
import { thisInstance } from '../../io/ledger/instance.ts'
import { Ledger } from '../../io/ledger/ledger.ts'
import { openStore } from '../../io/ledger/open-store.ts'
import { commandAuditPath } from '../wiring/audit-files.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { refuseForgottenLedger } from '../wiring/refuse-forgotten-ledger.ts'
import { refuseOldLedger } from '../wiring/refuse-old-ledger.ts'
import { openAudit, watchAuditHead } from '../wiring/open-audit.ts'

/** How many commands may spend at the same time: each audit file has a single writer. */
const MAX_FILES = 64

/** The part of a configuration that the ledger needs. */
export type LedgerConfig = Pick<ResolvedConfig, 'store' | 'audit'>

/** Refuses a store that other programs cannot read. @throws ConfigError */
export function assertShared({ store }: Pick<LedgerConfig, 'store'>): void {
  if (store !== 'memory') return
  throw new ConfigError(
    'store: memory exists only inside the gateway. Set store: sqlite:./tollway.db to keep a ledger that commands can share.',
  )
}

/**
 * Opens the ledger and the audit file; creates the ledger if there is none yet. As for the gateway, the file is signed and
 * its last position kept in the ledger.
 * @throws ConfigError for a store in memory, or if the ledger is missing
 * @throws TollwayError `store_unavailable`, `audit_unavailable`
 */
export async function openCommandLedger(
  config: LedgerConfig,
  clock: Clock,
  random: RandomBytes = randomBytes,
  observers: readonly Observer[] = [],
): Promise<Ledger> {
  assertShared(config)
  refuseForgottenLedger(config)
  const instance = thisInstance(clock)
  const opened: { close(): Promise<void> }[] = []
  try {
    const { audit, path } = await openOwnFile(config.audit, clock, instance.id)
    opened.push(audit)
    const store = await openStore(config.store)
    opened.push(store)
    await refuseOldLedger(config, store)
    // Missing records are noted in the file itself, and `tollway audit verify` reports them.
    const heads = await watchAuditHead(audit, path, store, { clock, log: silentLog })
    const books = { store, audit, onClosing: () => heads.end() }
    return await Ledger.open({ ...books, clock, random, instance, observers })
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}

/** `audit.cli.jsonl`, or `audit.cli-2.jsonl` and so on while other commands write. */
async function openOwnFile(
  gateways: ResolvedConfig['audit'],
  clock: Clock,
  instance: string,
): Promise<{ readonly audit: AuditFile; readonly path: string }> {
  for (let n = 1; n <= MAX_FILES; n++) {
    const path = commandAuditPath(gateways.path, n)
    if (isWritten(path, instance)) continue
    try {
      return { audit: await openAudit({ ...gateways, path }, clock, instance), path }
    } catch (error) {
      // Another command took it in the meantime.
      if (!isWritten(path, instance)) throw error
    }
  }
  throw new ConfigError(
    `${MAX_FILES} commands are already writing audit files next to ${gateways.path}. Wait until one has finished.`,
  )
}
