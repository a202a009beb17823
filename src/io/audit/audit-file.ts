/** Opens the audit file: one record per line, in the order of the calls, each chained to the previous one by its hash. */
import nodeFs, { constants } from 'node:fs'
import { dirname } from 'node:path'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import type { AuditFileOptions } from './audit-options.ts'
import type { AuditHead } from './audit-record.ts'
import { archivesOf, continuation, dayOf } from './audit-rotate.ts'
import { cutTornLine, readTail, reasonOf, sync, writeAll, type AuditFs, type Tail } from './audit-tail.ts'
import { AuditFile } from './audit-writer.ts'
import { takeLock, type FileLock, type LockHolder } from '../files/file-lock.ts'
import { syncDirectory } from '../files/sync-directory.ts'

/**
 * Opens an audit file and continues its chain. A line that a crash left incomplete is moved to `<path>.torn-…`, and the chain
 * continues with a record `audit.repaired`.
 * @throws ConfigError when the last record was changed by another program, or another process is writing the file
 * @throws TollwayError `audit_unavailable` when the file cannot be written
 */
export async function openAuditFile(options: AuditFileOptions): Promise<AuditFile> {
  const { path, clock, fs = nodeFs } = options
  const lock = lockFor(options)
  let fd: number | undefined
  try {
    fd = fs.openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
    let tail = readTail(fs, fd, path)
    // A new file survives a power loss only once its directory is synced.
    if (tail.end === 0) syncDirectory(dirname(path), fs)
    const side = tail.torn === 0 ? undefined : await cutTornLine(fs, fd, path, tail, clock.now())
    if (tail.end === 0) tail = (await continueArchive(options, fs, fd)) ?? tail
    const file = new AuditFile({ options, fs, fd, lock, tail, day: dayOf(clock.now()) })
    if (side !== undefined) {
      await file.append('audit.repaired', { bytes: tail.torn, moved_to: side }, { durable: true })
    }
    return file
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd)
    lock.release()
    throw cannotOpen(error, path)
  }
}

/** Finishes a rotation that a crash interrupted: the full file was renamed, but the next one was not started. */
async function continueArchive(
  options: AuditFileOptions,
  fs: AuditFs,
  fd: number,
): Promise<Tail | undefined> {
  const archive = archivesOf(options.path).at(-1)
  if (!archive) return undefined
  const old = fs.openSync(archive.path, 'r')
  let head: AuditHead
  try {
    head = readTail(fs, old, archive.path).head
  } finally {
    fs.closeSync(old)
  }
  const first = continuation(head, options.clock.now(), archive.path, options.signer)
  writeAll(fs, fd, first.line, 0)
  await sync(fs, fd)
  return { head: first.head, end: first.line.length, torn: 0 }
}

function lockFor({ path, instance }: AuditFileOptions): FileLock {
  const lockPath = `${path}.lock`
  let lock: ReturnType<typeof takeLock>
  try {
    lock = takeLock(lockPath, instance)
  } catch (error) {
    throw cannotOpen(error, lockPath)
  }
  if (!('heldBy' in lock)) return lock
  throw new ConfigError(heldMessage(path, lock.heldBy))
}

function heldMessage(path: string, { pid, host, instance }: LockHolder): string {
  return `The audit file ${path} is being written by process ${pid} on ${host} (${instance}). Stop that gateway, or give this one its own audit.path: an audit file has one writer.`
}

/**
 * Looks whether {@link openAuditFile} could open a file, and changes nothing. A file that does not exist is looked at by its
 * directory.
 * @returns who writes the file now and what to do, if anyone does
 * @throws ConfigError, TollwayError as {@link openAuditFile}
 */
export function inspectAuditFile(path: string): string | undefined {
  const lockPath = `${path}.lock`
  let fd: number | undefined
  try {
    nodeFs.accessSync(dirname(path), constants.W_OK | constants.X_OK)
    if (nodeFs.existsSync(path)) {
      nodeFs.accessSync(path, constants.W_OK)
      fd = nodeFs.openSync(path, 'r')
      readTail(nodeFs, fd, path)
    }
    // Without a lock file no one has ever written there, and none is made.
    const lock = nodeFs.existsSync(lockPath) ? takeLock(lockPath, 'check') : undefined
    if (lock && 'heldBy' in lock) return heldMessage(path, lock.heldBy)
    lock?.release()
    return undefined
  } catch (error) {
    throw cannotOpen(error, path)
  } finally {
    if (fd !== undefined) nodeFs.closeSync(fd)
  }
}

function cannotOpen(error: unknown, path: string): unknown {
  if (error instanceof ConfigError || error instanceof TollwayError) return error
  return new TollwayError({
    code: 'audit_unavailable',
    message: `The audit file ${path} cannot be opened (${reasonOf(error)}).`,
    advice: ['Create its directory and allow Tollway to write there, or change audit.path.'],
    cause: error,
  })
}
