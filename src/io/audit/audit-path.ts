/**
 * What became of an audit file's path while the file is open. logrotate and people move, delete and truncate files: the chain then
 * continues at the path, in a new file whose first record names the last one and says why.
 */
import { constants, readlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import type { AuditHead } from './audit-record.ts'
import { continuation, type NextFile } from './audit-rotate.ts'
import type { CheckpointSigner } from './audit-signer.ts'
import { writeAll, type AuditFs } from './audit-tail.ts'
import { syncDirectory } from '../files/sync-directory.ts'

/**
 * Why the file at the path is not the one that was written: it was `moved` (logrotate with `create` or `nocreate`), `deleted`, or
 * `truncated` in place (logrotate's `copytruncate`).
 */
export type Replaced = 'moved' | 'deleted' | 'truncated'

/**
 * Compares the open file with its path.
 * @param end up to where the file was written
 * @returns `undefined` while the path leads to the file as it was written
 * @throws Error when another program changed the file, or something else with content is at its path
 */
export function whatBecameOf(fs: AuditFs, fd: number, path: string, end: number): Replaced | undefined {
  const own = fs.fstatSync(fd)
  const there = statOf(fs, path)
  if (there?.ino === own.ino && there.dev === own.dev) {
    if (own.size === end) return undefined
    if (own.size === 0) return 'truncated'
    throw new Error('another program changed it; run `tollway audit verify`')
  }
  if (there && there.size > 0) throw new Error('another file is at its path; move that one away')
  if (own.nlink === 0) return 'deleted'
  if (own.size !== end) throw new Error('another program changed it; run `tollway audit verify`')
  return 'moved'
}

/** A chain that continues at its path. */
export interface Continuing {
  readonly fs: AuditFs
  /** The file that was written so far. */
  readonly fd: number
  readonly path: string
  readonly head: AuditHead
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly signer: CheckpointSigner | undefined
}

/**
 * Continues the chain at the path, durably. A moved file is made durable first.
 * @returns the new file; with the same `fd` after `truncated`
 * @throws Error as `node:fs` does; the chain then continues nowhere yet
 */
export function continueAtPath(chain: Continuing, why: Replaced): NextFile {
  const { fs, fd, path, head, now, signer } = chain
  if (why === 'moved') fs.fsyncSync(fd)
  const first = continuation(head, now, why === 'moved' ? nameOf(fd, path) : path, signer, why)
  const next = why === 'truncated' ? fd : fs.openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  try {
    writeAll(fs, next, first.line, 0)
    fs.ftruncateSync(next, first.line.length)
    fs.fsyncSync(next)
    syncDirectory(dirname(path), fs)
  } catch (error) {
    if (why === 'truncated') fs.ftruncateSync(fd, 0)
    else fs.closeSync(next)
    throw error
  }
  return { doubt: undefined, fd: next, head: first.head, end: first.line.length }
}

function statOf(fs: AuditFs, path: string): ReturnType<AuditFs['statSync']> | undefined {
  try {
    return fs.statSync(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** What a moved file is called now, where the system can say so. */
function nameOf(fd: number, path: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return path
  }
}
