/**
 * Rotates an audit file: the full file is renamed to end with the number of its last record, and a new file continues the chain.
 * Whenever a crash happens, the chain continues in the old file or in a new one after the next start.
 */
import { constants, readdirSync, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CONTINUED, markFields } from './audit-marks.ts'
import { composeRecord, type AuditHead } from './audit-record.ts'
import type { CheckpointSigner } from './audit-signer.ts'
import { writeAll, type AuditFs } from './audit-tail.ts'
import { syncDirectory } from '../files/sync-directory.ts'

/** How often a chain is read again because it was rotated meanwhile. The last result is then used as it is. */
const MAX_READS = 5

/** Number of digits at the end of a rotated file's name, so that the order of the names is the order of the chain. */
const DIGITS = 12

/** A rotated file. */
export interface Archive {
  readonly path: string
  /** The number of its last record. */
  readonly lastSeq: number
}

/** The rotated files of an audit file, oldest first. */
export function archivesOf(path: string): Archive[] {
  const prefix = `${basename(path)}.`
  return namesIn(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d{12}$/.test(name.slice(prefix.length)))
    .toSorted()
    .map((name) => ({ path: join(dirname(path), name), lastSeq: Number(name.slice(prefix.length)) }))
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    // Opening the audit file reports what is wrong with the directory.
    if (error instanceof Error && 'code' in error) return []
    throw error
  }
}

/** All remaining files of an audit file's chain, in the order they were written. */
export function chainOf(path: string): string[] {
  return [...archivesOf(path).map((archive) => archive.path), path]
}

/**
 * Reads all files of a chain while a gateway may write it. Reads them again when a rotation meanwhile changed the list of files.
 * @param path the file that is being written
 */
export async function overChain<T>(path: string, read: (files: readonly string[]) => Promise<T>): Promise<T> {
  return await overFiles(() => chainOf(path), read)
}

/**
 * As {@link overChain}, for any list of files.
 * @param list returns the files that exist now
 */
export async function overFiles<T>(
  list: () => readonly string[],
  read: (files: readonly string[]) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    const files = list()
    const result = await read(files).then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    )
    const isLast = attempt === MAX_READS || list().join('\n') === files.join('\n')
    if (isLast && 'error' in result) throw result.error
    if (isLast && 'value' in result) return result.value
  }
}

/**
 * The first record of a file that continues the chain after `head`.
 * @param why why the earlier file ended, when it was not rotated
 */
export function continuation(
  head: AuditHead,
  now: number,
  after: string,
  signer: CheckpointSigner | undefined,
  why?: string,
): ReturnType<typeof composeRecord> {
  const fields = { after: basename(after), why, ...markFields(head, new Date(now).toISOString(), signer) }
  return composeRecord(head, now, CONTINUED, fields)
}

/** A new file, open for writing, that continues the chain. */
export interface NextFile {
  /** Why the renamed files may not survive a power loss; `undefined` when they do. The new file is in place either way. */
  readonly doubt: unknown
  readonly fd: number
  readonly head: AuditHead
  readonly end: number
}

/** A draft that was interrupted is written anew; a link in its place is not followed. */
const DRAFT_FLAGS = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW

/**
 * Renames the file at `path`, which must be durable, and opens the next one in its place, durably.
 * @throws Error as `node:fs` does; the file at `path` is then still the old one
 */
export function startNextFile(
  fs: AuditFs,
  path: string,
  head: AuditHead,
  now: number,
  signer: CheckpointSigner | undefined,
): NextFile {
  const archive = `${path}.${String(head.seq).padStart(DIGITS, '0')}`
  const draft = `${path}.next`
  const first = continuation(head, now, archive, signer)
  const fd = fs.openSync(draft, DRAFT_FLAGS, 0o600)
  try {
    writeAll(fs, fd, first.line, 0)
    fs.fsyncSync(fd)
    fs.renameSync(path, archive)
    try {
      fs.renameSync(draft, path)
    } catch (error) {
      fs.renameSync(archive, path)
      throw error
    }
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
  let doubt: unknown
  try {
    syncDirectory(dirname(path), fs)
  } catch (error) {
    // Too late to undo: other processes already see the new file, and the old one under its new name.
    doubt = error
  }
  return { doubt, fd, head: first.head, end: first.line.length }
}

/**
 * Deletes the oldest rotated files.
 * @param keep how many files to keep
 * @returns the deleted files
 */
export function dropArchives(path: string, keep: number): Archive[] {
  const archives = archivesOf(path)
  const dropped = archives.slice(0, Math.max(0, archives.length - keep))
  for (const archive of dropped) unlinkSync(archive.path)
  return dropped
}

/** The day of an instant, UTC. */
export function dayOf(now: number): string {
  return new Date(now).toISOString().slice(0, 10)
}
