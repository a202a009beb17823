/**
 * One ledger, one log. SQLite keeps what was committed lately in `-wal` and `-shm` beside the path by which a process opened
 * the ledger. By a second path (a hard link, one file mounted into a container), or after `-shm` was deleted, two processes
 * would write one ledger by two logs: neither sees what the other spent, and both destroy the file. The ledger itself
 * therefore says where its log is, and a process that would use another is refused while anyone has the ledger open.
 */
import { realpathSync, statSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigError } from '../../../../core/errors.ts'
import { sqliteCode } from '../../../files/sqlite-code.ts'
import { optionalText } from '../../rows/rows.ts'

const BUSY = 5

type Connection = Pick<DatabaseSync, 'exec' | 'prepare'>

/** What the ledger says about its log. `undefined` where it was never said. */
interface RecordedLog {
  /** Directory (device and inode) and name of the ledger, as its users open it. */
  readonly place: string | undefined
  /** The same for people. */
  readonly path: string | undefined
  /** The files of the log: device and inode of `-wal` and `-shm`. `undefined` until the first user has opened them. */
  readonly files: string | undefined
}

/**
 * Writes this path's place into the ledger when no other process has it open, by any path: SQLite's lock on the file itself
 * tells, which every open connection shares and the system drops with its process.
 * @param prepare checks the ledger and brings up its tables; runs while no other process can open it
 * @returns whether it was alone; otherwise nothing was done
 * @throws ConfigError when the ledger's last user left its log at another path
 */
export function claimLog(path: string, prepare: (db: Connection) => void): boolean {
  const db = new DatabaseSync(path)
  try {
    db.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE')
    // The first reading in this mode takes the lock.
    prepare(db)
    refuseLogLeftBehind(db, path)
    const { place, real } = placeOf(path)
    db.exec('BEGIN IMMEDIATE')
    db.prepare('UPDATE ledger_log SET place = ?, path = ?, files = NULL').run(place, real)
    db.exec('COMMIT')
    return true
  } catch (error) {
    if (sqliteCode(error) === BUSY) return false
    throw error
  } finally {
    // The last to close writes all of the log into the ledger, for whoever opens it by whichever path.
    db.close()
  }
}

/**
 * Joins the log that the ledger names. To be called on an open connection before anything is written.
 * @returns why not, when the processes that have the ledger open use another log than this connection
 */
export function joinLog(db: Connection, path: string): ConfigError | undefined {
  const [place, files] = [placeOf(path), filesOf(path)]
  if (isOurs(recordedLog(db), place, files)) return undefined
  const recorded = recordedLog(db)
  if (recorded.files === undefined && (recorded.place ?? place.place) === place.place) {
    db.exec('BEGIN IMMEDIATE')
    db.prepare('UPDATE ledger_log SET place = ?, path = ?, files = ? WHERE files IS NULL').run(
      place.place,
      place.real,
      files,
    )
    db.exec('COMMIT')
    if (isOurs(recordedLog(db), place, files)) return undefined
  }
  return secondLog(path, recordedLog(db))
}

function isOurs(recorded: RecordedLog, { place }: Place, files: string): boolean {
  return recorded.place === place && recorded.files === files
}

/**
 * Refuses a ledger whose last payments may lie in a log beside another path: it was moved, or has a second name, and its
 * process did not end by itself.
 * @throws ConfigError naming the log and the fix
 */
export function refuseLogLeftBehind(db: Connection, path: string): void {
  const recorded = recordedLog(db)
  const { place, real } = placeOf(path)
  if (recorded.place === undefined || recorded.path === undefined || recorded.place === place) return
  const log = `${recorded.path}-wal`
  if (sizeOf(log) === 0 || sizeOf(`${real}-wal`) > 0) return
  const old = identityOf(recorded.path)
  // Another ledger stands there now, e.g. the one this is a copy of: the log is its own.
  if (old !== undefined && old !== identityOf(real)) return
  throw new ConfigError(
    `The ledger ${path} was last used as ${recorded.path}, and its latest payments are still in ${log}. Use it by that path, or stop every process that uses it and move ${log} to ${real}-wal; without it the ledger forgets what was spent.`,
  )
}

function secondLog(path: string, recorded: RecordedLog): ConfigError {
  const other = recorded.path ?? path
  const why =
    recorded.place === placeOf(path).place
      ? 'its -wal or -shm file was deleted or replaced under the processes that use it. Stop all of them, then start them again.'
      : `other processes use it as ${other}. Give all of them one path: mount the ledger's directory, not the file, and make no hard link.`
  return new ConfigError(
    `The ledger ${path} is in use with another log, and neither log would know what was spent by the other; nothing was paid: ${why}`,
  )
}

function recordedLog(db: Connection): RecordedLog {
  // A copy is also made of a ledger that no gateway has brought up yet.
  const hasTable = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'ledger_log'").get() !== undefined
  if (!hasTable) return { place: undefined, path: undefined, files: undefined }
  const row = db.prepare('SELECT place, path, files FROM ledger_log').get() ?? {}
  return {
    place: optionalText(row, 'place'),
    path: optionalText(row, 'path'),
    files: optionalText(row, 'files'),
  }
}

interface Place {
  readonly place: string
  readonly real: string
}

/** SQLite puts the log beside what a symbolic link leads to. */
function placeOf(path: string): Place {
  const real = realpathSync(path)
  return { place: `${identityOf(dirname(real)) ?? ''}/${basename(real)}`, real }
}

function filesOf(path: string): string {
  const { real } = placeOf(path)
  return ['-wal', '-shm'].map((suffix) => identityOf(`${real}${suffix}`) ?? 'none').join(' ')
}

/** Whether a log lies beside a ledger: its last process did not end by itself, or one has it open. */
export function hasLog(path: string): boolean {
  return sizeOf(`${realpathSync(path)}-wal`) > 0
}

/** Device and inode of a file; `undefined` when there is none. */
export function identityOf(file: string): string | undefined {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false })
  return found && `${found.dev}:${found.ino}`
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}
