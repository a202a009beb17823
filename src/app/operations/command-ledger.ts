/** The books for a command that spends: the gateway's ledger, and an audit file of the command's own beside the gateway's. */
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
import { openStore } from '../wiring/open-store.ts'
import { commandAuditPath } from '../wiring/audit-files.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { refuseForgottenLedger } from '../wiring/refuse-forgotten-ledger.ts'
import { refuseOldLedger } from '../wiring/refuse-old-ledger.ts'
import { openAudit, watchAuditHead } from '../wiring/open-audit.ts'

/** How many commands may spend at once: an audit file has one writer. */
const MAX_FILES = 64

/** The part of a configuration that books are about. */
export type LedgerConfig = Pick<ResolvedConfig, 'store' | 'audit'>

/** Refuses a store that no other program can read. @throws ConfigError */
export function assertShared({ store }: Pick<LedgerConfig, 'store'>): void {
  if (store !== 'memory') return
  throw new ConfigError(
    'store: memory lives inside the gateway alone. Write sqlite:./tollway.db to keep a ledger that other programs share.',
  )
}

/**
 * Opens ledger and audit file; makes the ledger when there is none yet. The file is signed, and its end noted in the ledger,
 * as the gateway's is.
 * @throws ConfigError for a store in memory, or a ledger that was lost
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
    // Records that are gone are told in the file itself, and `tollway audit verify` shows them.
    const heads = await watchAuditHead(audit, path, store, { clock, log: silentLog })
    const books = { store, audit, onClosing: () => heads.end() }
    return await Ledger.open({ ...books, clock, random, instance, observers })
  } catch (error) {
    await Promise.allSettled(opened.map((part) => part.close()))
    throw error
  }
}

/** `audit.cli.jsonl`, or `audit.cli-2.jsonl` and so on while another command writes that. */
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
      // Another command came in between.
      if (!isWritten(path, instance)) throw error
    }
  }
  throw new ConfigError(
    `${MAX_FILES} commands write audit files beside ${gateways.path} already. Wait for one of them.`,
  )
}
