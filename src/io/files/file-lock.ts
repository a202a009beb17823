/**
 * A lock that one process holds at a time and that the kernel releases when the holder dies, however it dies. With a file that
 * only names a process id, staleness would have to be guessed: two starting processes could do so at the same time, and a
 * restarted container (another host name, the same id) could not do so at all. SQLite's file lock is the one that Node offers.
 */
import { closeSync, openSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqliteCode } from './sqlite-code.ts'

/** A lock that is held. */
export interface FileLock {
  release(): void
  /**
   * Takes the lock again if one of its files was deleted or replaced. Call it from time to time.
   * @throws Error when another process took the lock meanwhile
   */
  tend(): void
}

/** The holder of a lock, as far as it identified itself. */
export interface LockHolder {
  readonly instance: string
  readonly pid: number
  readonly host: string
}

const BUSY = 5

/**
 * Takes the lock file at `path` and creates it (mode 0600) when missing; the file is never deleted by us. People delete lock files
 * (`rm *.lock`), and a lock whose file is gone keeps no process out: there is a second file with another kind of name, `.<name>.held`, and
 * whoever wants the lock needs both.
 * @param path ends with `.lock`
 * @param instance the name of this process, shown to others that find the lock taken
 * @returns the lock, or its holder when it is taken
 * @throws Error of `node:fs` or `node:sqlite` when the file cannot be created or is not a lock file
 */
export function takeLock(path: string, instance: string): FileLock | { readonly heldBy: LockHolder } {
  const held: HeldFile[] = []
  const release = (): void => {
    for (const { db } of held.splice(0)) db.close()
  }
  try {
    for (const one of [path, twinOf(path)]) {
      const file = takeFile(one, instance)
      if ('heldBy' in file) {
        release()
        return file
      }
      held.push(file)
    }
  } catch (error) {
    release()
    throw error
  }
  return {
    release,
    tend() {
      for (const [at, file] of held.entries()) {
        if (idOf(file.path) === file.id) continue
        const again = takeFile(file.path, instance)
        if ('heldBy' in again) {
          const { pid, host } = again.heldBy
          throw new Error(`its lock ${file.path} was deleted, and process ${pid} on ${host} has taken it`)
        }
        held[at] = again
        file.db.close()
      }
    },
  }
}

/** A lock file that is held. */
interface HeldFile {
  readonly path: string
  readonly db: DatabaseSync
  /** Device and inode; another file may be at the path later. */
  readonly id: string | undefined
}

function twinOf(path: string): string {
  return join(dirname(path), `.${basename(path, '.lock')}.held`)
}

function idOf(path: string): string | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  return stat && `${stat.dev}:${stat.ino}`
}

function takeFile(path: string, instance: string): HeldFile | { readonly heldBy: LockHolder } {
  makeFile(path)
  const id = idOf(path)
  const db = new DatabaseSync(path)
  try {
    // The holder is committed before the lock is taken, so that others can read it while the lock is held.
    db.exec('PRAGMA busy_timeout = 0; PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE')
    db.exec('CREATE TABLE IF NOT EXISTS holder (instance TEXT, pid INTEGER, host TEXT)')
    db.exec('DELETE FROM holder')
    db.prepare('INSERT INTO holder VALUES (?, ?, ?)').run(instance, process.pid, hostname())
    db.exec('COMMIT; BEGIN IMMEDIATE')
    return { path, db, id }
  } catch (error) {
    const holder = sqliteCode(error) === BUSY ? readHolder(db) : undefined
    db.close()
    if (holder) return { heldBy: holder }
    throw error
  }
}

/** Opens the file only if it has to create it: closing an existing one would drop this process's locks on it (POSIX). */
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
    // The lock is being taken at this moment.
    return unknown
  }
}

/** Whether another process is writing a file, judged by its lock `<path>.lock`. This may change right after. */
export function isWritten(path: string, instance: string): boolean {
  let lock: ReturnType<typeof takeLock>
  try {
    lock = takeLock(`${path}.lock`, instance)
  } catch {
    // Opening the file itself will give the better error.
    return false
  }
  if ('heldBy' in lock) return true
  lock.release()
  return false
}
