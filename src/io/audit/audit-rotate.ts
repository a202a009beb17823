/**
 * Rotation of an audit file: the full file gets the number of its last record behind its name, and a new one goes on
 * with the chain. Whatever the moment of a crash, either the old file or the next start goes on.
 */
import { readdirSync, unlinkSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { CONTINUED, markFields } from './audit-marks.ts'
import { composeRecord, type AuditHead } from './audit-record.ts'
import type { CheckpointSigner } from './audit-signer.ts'
import { writeAll, type AuditFs } from './audit-tail.ts'
import { syncDirectory } from '../files/sync-directory.ts'

/** A chain that is rotated so often while it is read is taken as it was found. */
const MAX_READS = 5

/** Digits of the number behind the name: in the order of the names lies the order of the chain. */
const DIGITS = 12

/** A file that was put away. */
export interface Archive {
  readonly path: string
  /** The number of its last record. */
  readonly lastSeq: number
}

/** The files that were put away for an audit file, oldest first. */
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
    // Opening the audit file itself says better what is wrong.
    if (error instanceof Error && 'code' in error) return []
    throw error
  }
}

/** All files of an audit file's chain that are still there, in the order they were written. */
export function chainOf(path: string): string[] {
  return [...archivesOf(path).map((archive) => archive.path), path]
}

/**
 * Reads all files of a chain beside the gateway that writes it. A rotation meanwhile puts records into a file that was not on
 * the list: then it is read again.
 * @param path of the file that is being written
 */
export async function overChain<T>(path: string, read: (files: readonly string[]) => Promise<T>): Promise<T> {
  return await overFiles(() => chainOf(path), read)
}

/**
 * {@link overChain} for any files.
 * @param list which files there are now
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

/** The first record of a file that follows `head`. */
export function continuation(
  head: AuditHead,
  now: number,
  after: string,
  signer: CheckpointSigner | undefined,
): ReturnType<typeof composeRecord> {
  const fields = { after: basename(after), ...markFields(head, new Date(now).toISOString(), signer) }
  return composeRecord(head, now, CONTINUED, fields)
}

/** A new file, open for writing, that goes on with the chain. */
export interface NextFile {
  /** Why the names may not survive a power loss; the new file stands in its place all the same. */
  readonly doubt: unknown
  readonly fd: number
  readonly head: AuditHead
  readonly end: number
}

/**
 * Puts the file at `path`, all of it durable, away and opens the next one in its place, durably.
 * @throws Error as `node:fs` does; the file at `path` is still the old one then
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
  const fd = fs.openSync(draft, 'w+', 0o600)
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
    // Too late to go back: whoever looks finds the new file, and the old one under its new name.
    doubt = error
  }
  return { doubt, fd, head: first.head, end: first.line.length }
}

/**
 * Deletes the oldest files that were put away.
 * @param keep how many stay
 * @returns those that went
 */
export function dropArchives(path: string, keep: number): Archive[] {
  const archives = archivesOf(path)
  const dropped = archives.slice(0, Math.max(0, archives.length - keep))
  for (const archive of dropped) unlinkSync(archive.path)
  return dropped
}
