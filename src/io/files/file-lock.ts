/**
 * One process at a time: a lock the kernel gives back when its holder dies, however it dies. A file that only
 * names a process id would have to be judged stale, which two starters can do at once and which a restarted container
 * (another host name, the same id) cannot do at all. SQLite's own file lock is the one Node offers.
 */
import { closeSync, openSync } from 'node:fs'
import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { sqliteCode } from './sqlite-code.ts'

/** A lock that is held. */
export interface FileLock {
  release(): void
}

/** The holder of a lock, as far as it identified itself. */
export interface LockHolder {
  readonly instance: string
  readonly pid: number
  readonly host: string
}

const BUSY = 5

/**
 * Takes the lock file at `path`, making it (mode 0600) when missing; it stays there afterwards.
 * @param instance what this process calls itself, for whoever comes in vain
 * @returns the lock, or its holder when another opener has it
 * @throws Error as `node:fs` and `node:sqlite` do when the file cannot be made or is something else
 */
export function takeLock(path: string, instance: string): FileLock | { readonly heldBy: LockHolder } {
  makeFile(path)
  const db = new DatabaseSync(path)
  try {
    // Told first and held second: what is committed can be read by whoever comes in vain.
    db.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE')
    db.exec('CREATE TABLE IF NOT EXISTS holder (instance TEXT, pid INTEGER, host TEXT)')
    db.exec('DELETE FROM holder')
    db.prepare('INSERT INTO holder VALUES (?, ?, ?)').run(instance, process.pid, hostname())
    db.exec('COMMIT; BEGIN IMMEDIATE')
    return { release: () => db.close() }
  } catch (error) {
    const holder = sqliteCode(error) === BUSY ? readHolder(db) : undefined
    db.close()
    if (holder) return { heldBy: holder }
    throw error
  }
}

/** Opens the file only to make it: closing it again would drop the locks this process has on it (POSIX). */
function makeFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error
  }
}

function readHolder(db: DatabaseSync): LockHolder {
  const unknown = { instance: 'unknown', pid: 0, host: 'unknown' }
  try {
    const row = db.prepare('SELECT * FROM holder').get()
    const { instance, pid, host } = row ?? {}
    if (typeof instance !== 'string' || typeof pid !== 'number' || typeof host !== 'string') return unknown
    return { instance, pid, host }
  } catch {
    // It is being taken at this very moment.
    return unknown
  }
}

/** Whether another process writes a file now, by its lock `<path>.lock`. It may end or begin right after. */
export function isWritten(path: string, instance: string): boolean {
  let lock: ReturnType<typeof takeLock>
  try {
    lock = takeLock(`${path}.lock`, instance)
  } catch {
    // Opening the file itself says better what is wrong.
    return false
  }
  if ('heldBy' in lock) return true
  lock.release()
  return false
}
