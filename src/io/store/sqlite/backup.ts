/** Copies a ledger as of one instant, while other processes may write it. */
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigError } from '../../../core/errors.ts'
import { NoLedgerError } from '../no-ledger.ts'
import type { ChargeState } from '../../../core/charge/charge.ts'
import { checkLedger, explainLedgerError } from './file/file.ts'
import { refuseLogLeftBehind } from './file/one-log.ts'
import { integer, text } from '../rows/rows.ts'

/** What a copy contains. */
export interface LedgerCopy {
  /** Its schema version. A newer Tollway migrates it when it is restored and opened. */
  readonly schema: number
  /** Number of charges by state; states without charges are left out. */
  readonly charges: Readonly<Partial<Record<ChargeState, number>>>
}

const BUSY_TIMEOUT_MS = 5000

/**
 * Copies the ledger at `path` durably to the new file `target` (mode 0600) and checks the whole copy. The copy and writers do
 * not wait for each other.
 * @throws ConfigError when there is no ledger, or the file is damaged or not a ledger
 * @throws TollwayError `store_unavailable` when the disk fails
 */
export function copyLedger(path: string, target: string): LedgerCopy {
  const source = resolve(path)
  if (!existsSync(source) || !statSync(source).isFile()) {
    throw new NoLedgerError(source)
  }
  const db = new DatabaseSync(source)
  try {
    db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`)
    checkLedger(db, source, Number.POSITIVE_INFINITY)
    refuseLogLeftBehind(db, source)
    // One read transaction: SQLite's page-by-page backup would start over with every write.
    db.prepare('VACUUM INTO ?').run(target)
  } catch (error) {
    throw explainLedgerError(error, source)
  } finally {
    db.close()
  }
  chmodSync(target, 0o600)
  const copy = inspect(target)
  const fd = openSync(target, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  return copy
}

function inspect(target: string): LedgerCopy {
  const db = new DatabaseSync(target)
  try {
    checkLedger(db, target)
    const found = text(db.prepare('PRAGMA integrity_check(1)').get() ?? {}, 'integrity_check')
    if (found !== 'ok')
      throw new ConfigError(`The copy ${target} is damaged (${found}). Copy the ledger to another disk.`)
    const rows = db.prepare('SELECT state, count(*) AS count FROM charges GROUP BY state').all()
    return {
      schema: integer(db.prepare('PRAGMA user_version').get() ?? {}, 'user_version'),
      charges: Object.fromEntries(rows.map((row) => [text(row, 'state'), integer(row, 'count')])),
    }
  } finally {
    db.close()
  }
}
