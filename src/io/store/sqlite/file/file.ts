/**
 * The database file. It is created completely or not at all, and opened only when it is certainly a Tollway ledger. A damaged
 * or incomplete file is never replaced by a new one, because a new ledger does not know what was spent.
 */
import { randomBytes } from 'node:crypto'
import { accessSync, closeSync, constants, linkSync, openSync, rmSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigError } from '../../../../core/errors.ts'
import { claimLog, hasLog, joinLog, refuseLogLeftBehind } from './one-log.ts'
import { openQuietly } from './open-quietly.ts'
import { outsideFailure, storeError } from './errors.ts'
import { sqliteCode } from '../../../files/sqlite-code.ts'
import { integer, text, type Row } from '../../rows/rows.ts'
import { APPLICATION_ID, MIGRATIONS, SCHEMA_VERSION } from './schema.ts'
import { syncDirectory } from '../../../files/sync-directory.ts'

/** The part of `node:sqlite`'s connection that a store uses. */
export type Connection = Pick<DatabaseSync, 'exec' | 'prepare' | 'close' | 'isTransaction'>

/** How to open a ledger file. */
export interface OpenOptions {
  readonly path: string
  /** How long opening waits for another process's transaction, milliseconds. Blocks the event loop. */
  readonly busyTimeoutMs: number
  /** Opens the connection; for tests that watch or break it. */
  readonly connect: (path: string) => Connection
  /** Up to which size a ledger is read whole before it is used, bytes; see {@link READ_WHOLE_BYTES}. */
  readonly readWholeBytes?: number | undefined
}

/** What opening found. */
export interface OpenedFile {
  /** Whether the last process did not end by itself, and the file is too large to have been read whole. */
  readonly isUnchecked: boolean
}

/** Between two tries to join the log of a ledger that another process is about to leave, milliseconds. */
const PAUSE_MS = 20

/**
 * A ledger up to this size is read whole before it is used, which takes up to a tenth of a second. Reading a larger one would
 * keep the gateway from starting: it is read beside the requests, after its last process did not end by itself (see check-file.ts).
 */
const READ_WHOLE_BYTES = 16_777_216

const CORRUPT = 11
const NOT_A_DATABASE = 26

/**
 * Opens the ledger, or creates one when there is none.
 * @param use builds the result from the connection; when it throws, the connection is closed
 * @throws ConfigError that names the file and the fix
 * @throws TollwayError `store_unavailable` when the file is locked or the disk fails
 */
export function openLedgerFile<T>(options: OpenOptions, use: (db: Connection, opened: OpenedFile) => T): T {
  const path = resolve(options.path)
  if (!isThere(path)) create(path)
  const until = performance.now() + options.busyTimeoutMs
  const { readWholeBytes = READ_WHOLE_BYTES } = options
  const wasLeft = hasLog(path)
  let isFirst = false
  for (;;) {
    isFirst = claim(path, readWholeBytes) || isFirst
    const db = options.connect(path)
    try {
      db.exec(`PRAGMA busy_timeout = ${options.busyTimeoutMs}`)
      checkLedger(db, path, readWholeBytes)
      configure(db, path)
      migrate(db)
      const otherLog = joinLog(db, path)
      const isUnchecked = isFirst && wasLeft && sizeOf(db) > readWholeBytes
      if (!otherLog) return use(db, { isUnchecked })
      // The process with the other log may just be ending.
      if (performance.now() >= until) throw otherLog
    } catch (error) {
      db.close()
      throw explainLedgerError(error, path)
    }
    db.close()
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS)
  }
}

/** @returns whether no other process has the ledger open */
function claim(path: string, readWholeBytes: number): boolean {
  try {
    return claimLog(path, (db) => {
      // Before the first write: a damaged ledger is refused and left as it is.
      checkLedger(db, path, readWholeBytes)
      migrate(db)
    })
  } catch (error) {
    throw explainLedgerError(error, path)
  }
}

/**
 * Looks whether a ledger could be opened at a path, or made there, as {@link openLedgerFile} would, and changes nothing.
 * @param isRead also read an existing one, which takes as long as opening it
 * @throws ConfigError that names the file and the fix
 * @throws TollwayError `store_unavailable` when the disk fails
 */
export function inspectLedgerFile(file: string, isRead: boolean): void {
  const path = resolve(file)
  const exists = isThere(path)
  refuseReadOnly(path, exists)
  if (!exists || !isRead) return
  let db: DatabaseSync | undefined
  try {
    db = openQuietly(path)
    checkLedger(db, path)
    refuseLogLeftBehind(db, path)
  } catch (error) {
    throw explainLedgerError(error, path)
  } finally {
    db?.close()
  }
}

function refuseReadOnly(path: string, exists: boolean): void {
  try {
    accessSync(dirname(path), constants.W_OK | constants.X_OK)
    if (exists) accessSync(path, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw new ConfigError(
      `The ledger ${path} cannot be ${exists ? 'written' : 'created'} (${fsCode(error) ?? 'unknown fault'}). Allow Tollway to write to it and to ${dirname(path)}, or change store in the configuration.`,
      { cause: error },
    )
  }
}

/** Whether there is a file to open. @throws ConfigError when something at the path cannot be a ledger */
function isThere(path: string): boolean {
  if (!statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory()) {
    throw new ConfigError(
      `The ledger's directory ${dirname(path)} does not exist. Create it, or change store in the configuration.`,
    )
  }
  const found = statSync(path, { throwIfNoEntry: false })
  if (found && !found.isFile()) {
    throw new ConfigError(`${path} is not a file. Set store to a file that only the ledger uses.`)
  }
  if (found?.size === 0) {
    throw new ConfigError(
      `The ledger ${path} is empty: what it recorded is lost. Restore it from a backup. Delete it only if it never recorded a payment.`,
    )
  }
  if (!found && statSync(`${path}-wal`, { throwIfNoEntry: false })) {
    throw new ConfigError(
      `The ledger ${path} is missing, but its log ${path}-wal exists. Restore the ledger to the same directory, or move ${path}-wal away to start a new ledger.`,
    )
  }
  return found !== undefined
}

/** Creates the complete ledger under a temporary name first, so that no crash and no other process leaves or sees half a ledger. */
function create(path: string): void {
  const draft = `${path}.new-${randomBytes(6).toString('hex')}`
  try {
    closeSync(openSync(draft, 'wx', 0o600))
    const db = new DatabaseSync(draft)
    try {
      db.exec('PRAGMA journal_mode = WAL')
      db.exec(`BEGIN IMMEDIATE; PRAGMA application_id = ${APPLICATION_ID}`)
      for (const step of MIGRATIONS) db.exec(step)
      db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`)
    } finally {
      db.close()
    }
    linkSync(draft, path)
    syncDirectory(dirname(path))
  } catch (error) {
    // Another process created the ledger first: use that one.
    if (fsCode(error) !== 'EEXIST') throw explainLedgerError(error, path)
  } finally {
    for (const suffix of ['', '-wal', '-shm']) rmSync(`${draft}${suffix}`, { force: true })
  }
}

/**
 * Checks that an open database is a ledger that this version can use. Only reads, so that a database of another program does
 * not change.
 * @param readWholeBytes up to which size all of it is read
 * @throws ConfigError when it is not
 */
export function checkLedger(
  db: Pick<Connection, 'exec' | 'prepare'>,
  path: string,
  readWholeBytes = READ_WHOLE_BYTES,
): void {
  checkVersion(db, path)
  if (sizeOf(db) > readWholeBytes) return
  const found = text(pragma(db, 'quick_check(1)'), 'quick_check')
  if (found !== 'ok') throw damaged(path)
}

function sizeOf(db: Pick<Connection, 'prepare'>): number {
  const [pages, bytes] = ['page_count', 'page_size'].map((name) => integer(pragma(db, name), name))
  return (pages ?? 0) * (bytes ?? 0)
}

function checkVersion(db: Pick<Connection, 'exec' | 'prepare'>, path: string): void {
  const application = integer(pragma(db, 'application_id'), 'application_id')
  const version = integer(pragma(db, 'user_version'), 'user_version')
  if (application !== APPLICATION_ID) {
    throw new ConfigError(
      `${path} is the database of another program. Set store to a file that only the ledger uses.`,
    )
  }
  if (version > SCHEMA_VERSION) {
    throw new ConfigError(
      `The ledger ${path} was written by a newer Tollway (schema ${version}; this version supports up to ${SCHEMA_VERSION}). Run the newer Tollway, or restore the backup from before the upgrade.`,
    )
  }
  if (version < 1) throw damaged(path)
}

function configure(db: Connection, path: string): void {
  const mode = text(pragma(db, 'journal_mode = WAL'), 'journal_mode')
  if (mode !== 'wal') {
    throw new ConfigError(
      `The file system of ${path} does not support SQLite's write-ahead log (shared memory files). Put the ledger on a local disk.`,
    )
  }
  // FULL: a commit returns only after its log is on the disk, so a recorded authorization survives a power loss (rule 3).
  db.exec('PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA journal_size_limit = 67108864')
}

function migrate(db: Pick<Connection, 'exec' | 'prepare'>): void {
  const current = (): number => integer(pragma(db, 'user_version'), 'user_version')
  if (current() === SCHEMA_VERSION) return
  db.exec('BEGIN IMMEDIATE')
  // Read it again: another process, perhaps a newer version, may have migrated the file while this one waited.
  const version = current()
  if (version < SCHEMA_VERSION) {
    for (const step of MIGRATIONS.slice(version)) db.exec(step)
    db.exec(`PRAGMA user_version = ${SCHEMA_VERSION}`)
  }
  db.exec('COMMIT')
}

function pragma(db: Pick<Connection, 'prepare'>, name: string): Row {
  return db.prepare(`PRAGMA ${name}`).get() ?? {}
}

function damaged(path: string, cause?: unknown): ConfigError {
  return new ConfigError(
    `The ledger ${path} is damaged or not a ledger. Restore it from a backup together with its -wal file. Do not start a new ledger: it would not know what was spent.`,
    { cause },
  )
}

/** Converts an error from opening or copying a ledger: to a ConfigError with the fix, or to `store_unavailable`. */
export function explainLedgerError(error: unknown, path: string): unknown {
  if (error instanceof ConfigError) return error
  const code = sqliteCode(error)
  if (code === CORRUPT || code === NOT_A_DATABASE) return damaged(path, error)
  const reason = fsCode(error)
  if (reason !== undefined) {
    return new ConfigError(
      `The ledger ${path} cannot be created (${reason}). Allow Tollway to write to ${dirname(path)} on a local disk, or change store in the configuration.`,
      { cause: error },
    )
  }
  // An SQL error during opening means that tables are missing.
  if (code !== undefined && outsideFailure(error) === undefined) return damaged(path, error)
  return storeError(error)
}

/** The system's code of a file error, for example `ENOSPC`; `undefined` for other errors. */
function fsCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return undefined
  return 'syscall' in error ? error.code : undefined
}
