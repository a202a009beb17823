/** Whether ledger, audit file and the other files could be opened. They are read, never changed, also while a gateway uses them. */
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { inspectAuditFile } from '../../io/audit/audit-file.ts'
import { readCallerKeys } from '../../io/callers/caller-keys.ts'
import { readLedger } from '../../io/ledger/open-store.ts'
import type { LedgerReader } from '../../io/store/ledger-reader.ts'
import { NoLedgerError } from '../../io/store/no-ledger.ts'
import { isPostgres } from '../../io/store/postgres/database/address.ts'
import { inspectLedgerFile } from '../../io/store/sqlite/file/file.ts'
import { openQuietly } from '../../io/store/sqlite/file/open-quietly.ts'
import { readSqliteLedger } from '../../io/store/sqlite/read.ts'
import type { ConfigPath } from '../config/values/problems.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { inspectFiles } from '../obol/inspect-files.ts'
import { refuseForgottenLedger } from '../wiring/refuse-forgotten-ledger.ts'
import { refuseOldLedger } from '../wiring/refuse-old-ledger.ts'
import { fault, type StartFault } from './start-fault.ts'

/**
 * Ledger and audit file, each by itself and one against the other.
 * @param isRead also read the ledger, which opening it does again
 */
export async function examineRecords(
  config: Pick<ResolvedConfig, 'store' | 'audit'>,
  isRead: boolean,
): Promise<StartFault[]> {
  const { store, audit } = config
  let writer: string | undefined
  const found = await faultOf(['audit', 'path'], () => {
    writer = inspectAuditFile(audit.path)
  })
  if (writer !== undefined) found.push({ path: ['audit', 'path'], message: writer, isRunning: true })
  if (isPostgres(store)) return isRead ? [...found, ...(await examineDatabase(config))] : found
  if (!store.startsWith('sqlite:')) return found
  const file = store.slice('sqlite:'.length)
  found.push(
    ...(await faultOf(['store'], () => {
      refuseForgottenLedger(config)
      inspectLedgerFile(file, isRead)
    })),
  )
  // While a gateway writes both, the one may be a payment ahead of the other.
  if (found.length > 0 || !isRead || !existsSync(file)) return found
  return await faultOf(['store'], async () => {
    const reader = openReader(file)
    try {
      if (reader) await refuseOldLedger(config, reader)
    } finally {
      await reader?.close()
    }
  })
}

/** The database of a Postgres ledger; one that holds no ledger yet is made by the gateway. */
async function examineDatabase(config: Pick<ResolvedConfig, 'store' | 'audit'>): Promise<StartFault[]> {
  return await faultOf(['store'], async () => {
    const reader = await readLedger(config.store).catch((error: unknown) => {
      if (error instanceof NoLedgerError) return undefined
      throw error
    })
    try {
      if (reader) await refuseOldLedger(config, reader)
    } finally {
      await reader?.close()
    }
  })
}

/** The ledger for reading; `undefined` for one of an older version, which the gateway migrates first. */
function openReader(file: string): LedgerReader | undefined {
  try {
    return readSqliteLedger(file, openQuietly)
  } catch (error) {
    if (error instanceof ConfigError) return undefined
    throw error
  }
}

/** The keys file of callers, and the files of x402-buyer. @param now milliseconds since the epoch */
export async function examineOtherFiles(config: ResolvedConfig, now: number): Promise<StartFault[]> {
  const { keys } = config
  const found = keys ? await faultOf(['keys', 'path'], () => void readCallerKeys(keys.path)) : []
  for (const [payer, message] of (await inspectFiles(config, now)).refusals) {
    found.push(fault(['payers', payer], `${message} Correct config or auths.`))
  }
  for (const [name, payer] of config.payers) {
    if (payer.kind !== 'obol' || payer.mode !== 'pool' || payer.state === undefined) continue
    if (!canWriteBelow(payer.state))
      found.push(
        fault(
          ['payers', name, 'state'],
          `The state file ${payer.state} cannot be locked. Check that its directory can be written.`,
        ),
      )
  }
  return found
}

/** Whether a file could be made there; missing directories are made with it. */
function canWriteBelow(path: string): boolean {
  let directory = dirname(path)
  while (!existsSync(directory) && dirname(directory) !== directory) directory = dirname(directory)
  try {
    accessSync(directory, constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** What an inspection throws, as a fault. */
export async function faultOf(path: ConfigPath, inspect: () => unknown): Promise<StartFault[]> {
  try {
    await inspect()
    return []
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof TollwayError)) throw error
    return [fault(path, error.message)]
  }
}
