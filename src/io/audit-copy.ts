/** Copies an audit file beside whoever writes it. */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { verifyAudit, type AuditVerdict } from './audit-verify.ts'

const CHUNK = 1_048_576
const LINE_END = 0x0a

/**
 * Copies the audit file at `path` to the new file `target` (mode 0600), durably, up to its last whole record, and
 * verifies the copy. Records written meanwhile are not in it.
 * @returns what the copy proves; `undefined` when there is no audit file
 * @throws Error as `node:fs` does
 */
export async function copyAudit(path: string, target: string): Promise<AuditVerdict | undefined> {
  const from = openExisting(path)
  if (from === undefined) return undefined
  try {
    const to = openSync(target, 'wx', 0o600)
    try {
      copyLines(from, to)
      fsyncSync(to)
    } finally {
      closeSync(to)
    }
  } finally {
    closeSync(from)
  }
  return await verifyAudit(target)
}

function openExisting(path: string): number | undefined {
  try {
    return openSync(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

function copyLines(from: number, to: number): void {
  const { size } = fstatSync(from)
  const chunk = Buffer.alloc(CHUNK)
  let end = 0
  for (let at = 0; at < size;) {
    const count = readSync(from, chunk, 0, Math.min(CHUNK, size - at), at)
    if (count === 0) break
    for (let done = 0; done < count;) done += writeSync(to, chunk, done, count - done, at + done)
    const lineEnd = chunk.subarray(0, count).lastIndexOf(LINE_END)
    if (lineEnd !== -1) end = at + lineEnd + 1
    at += count
  }
  ftruncateSync(to, end)
}
