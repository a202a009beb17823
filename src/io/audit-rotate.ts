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
    syncDirectory(fs, dirname(path))
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
  return { fd, head: first.head, end: first.line.length }
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

function syncDirectory(fs: AuditFs, path: string): void {
  const fd = fs.openSync(path, 'r')
  try {
    fs.fsyncSync(fd)
  } finally {
    fs.closeSync(fd)
  }
}
