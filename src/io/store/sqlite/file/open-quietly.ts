import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'

/**
 * Opens a database for a short look that leaves no file behind. Beside a database that no process has open, an ordinary reading
 * connection makes `-wal` and `-shm` and cannot remove them. Where there is a log, it is read like any other.
 */
export function openQuietly(path: string): DatabaseSync {
  const url = pathToFileURL(resolve(path))
  const hasLog = (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0
  // SQLite neither locks nor watches the file then: not for more than a look.
  if (!hasLog) url.searchParams.set('immutable', '1')
  return new DatabaseSync(url, { readOnly: true })
}
