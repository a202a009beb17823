/** Reads the end of an audit file: the head of its chain, and an incomplete line that a crash left. */
import { constants } from 'node:fs'
import { basename } from 'node:path'
import { ConfigError, TollwayError } from '../../core/errors.ts'
import { CONTINUED } from './audit-marks.ts'
import { EMPTY_HEAD, MAX_RECORD_BYTES, readRecord, type AuditHead } from './audit-record.ts'

/** The part of `node:fs` that an audit file uses. Injected, so that tests can let the disk fail. */
export interface AuditFs {
  openSync(path: string, flags: number | string, mode?: number): number
  closeSync(fd: number): void
  fstatSync(fd: number): {
    readonly size: number
    readonly nlink: number
    readonly ino: number
    readonly dev: number
  }
  statSync(path: string): { readonly size: number; readonly ino: number; readonly dev: number }
  readSync(fd: number, into: Uint8Array, offset: number, length: number, position: number): number
  writeSync(fd: number, from: Uint8Array, offset: number, length: number, position: number): number
  ftruncateSync(fd: number, length: number): void
  fsyncSync(fd: number): void
  renameSync(from: string, to: string): void
  fdatasync(fd: number, done: (error: Error | null) => void): void
}

/** The end of an audit file. */
export interface Tail {
  readonly head: AuditHead
  /** The position after the last complete line, bytes. */
  readonly end: number
  /** The number of bytes after it: an incomplete line from a crash. */
  readonly torn: number
}

const CHUNK = 65_536
const LINE_END = 0x0a

/**
 * Finds the end of the chain and checks its last record.
 * @throws ConfigError when the last complete line is not a record, which no crash can cause
 */
export function readTail(fs: AuditFs, fd: number, path: string): Tail {
  const { size } = fs.fstatSync(fd)
  const end = lineEndBefore(fs, fd, size) + 1
  if (end === 0) return { head: EMPTY_HEAD, end: 0, torn: size }
  const start = lineEndBefore(fs, fd, end - 1) + 1
  if (end - start > MAX_RECORD_BYTES) throw changed(path, 'it is longer than any record')
  const line = Buffer.alloc(end - 1 - start)
  readAll(fs, fd, line, start)
  const record = readRecord(line, undefined)
  if (typeof record === 'string') throw changed(path, record)
  if (start === 0 && record.type !== CONTINUED) {
    const fault = readRecord(line, EMPTY_HEAD)
    if (typeof fault === 'string') throw changed(path, fault)
  }
  return { head: { seq: record.seq, hash: record.hash }, end, torn: size - end }
}

/** The position of the last line end before `position`, or -1. */
function lineEndBefore(fs: AuditFs, fd: number, position: number): number {
  const chunk = Buffer.alloc(CHUNK)
  for (let end = position; end > 0; end -= CHUNK) {
    const start = Math.max(0, end - CHUNK)
    const part = chunk.subarray(0, end - start)
    readAll(fs, fd, part, start)
    const at = part.lastIndexOf(LINE_END)
    if (at !== -1) return start + at
  }
  return -1
}

/**
 * Moves an incomplete line durably to a file of its own and truncates the audit file.
 * @param stamp milliseconds since the epoch; part of the new file's name
 * @returns the new file's name, without its directory
 */
export async function cutTornLine(
  fs: AuditFs,
  fd: number,
  path: string,
  tail: Tail,
  stamp: number,
): Promise<string> {
  const side = `${path}.torn-${new Date(stamp).toISOString().replace(/[:.]/g, '-')}-${tail.end}`
  // Overwrites the file of an earlier attempt that was interrupted; a link in its place is not followed.
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW
  const out = fs.openSync(side, flags, 0o600)
  try {
    const chunk = Buffer.alloc(CHUNK)
    for (let done = 0; done < tail.torn; done += CHUNK) {
      const part = chunk.subarray(0, Math.min(CHUNK, tail.torn - done))
      readAll(fs, fd, part, tail.end + done)
      writeAll(fs, out, part, done)
    }
    await sync(fs, out)
  } finally {
    fs.closeSync(out)
  }
  fs.ftruncateSync(fd, tail.end)
  return basename(side)
}

/** Resolves when what was written to `fd` survives a power loss. */
export function sync(fs: AuditFs, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    fs.fdatasync(fd, (error) => (error ? reject(error) : resolve()))
  })
}

/** Writes all of `bytes` at `position`. */
export function writeAll(fs: AuditFs, fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done)
  }
}

function readAll(fs: AuditFs, fd: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length;) {
    const count = fs.readSync(fd, into, done, into.length - done, position + done)
    if (count === 0) throw new Error('the audit file became shorter while it was read')
    done += count
  }
}

function changed(path: string, why: string): ConfigError {
  return new ConfigError(
    `The last record of the audit file ${path} is not what Tollway wrote: ${why}. Another program changed the file. Move it away and keep it as evidence; Tollway then starts a new one.`,
  )
}

/** Why the disk refused, for messages: the system's error code, or else the error's message. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown error'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}

/** The error of a file that cannot be written now. */
export function unavailable(why: string, cause?: unknown): TollwayError {
  return new TollwayError({
    code: 'audit_unavailable',
    message: `The audit file cannot be written: ${why}.`,
    cause,
  })
}
