/** Copies an audit file while another process may write it. */
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import { basename } from 'node:path'
import { LineCutter, readFile } from './audit-lines.ts'
import { readRecord } from './audit-record.ts'
import { archivesOf, chainOf } from './audit-rotate.ts'
import { verifyAudit, type AuditVerdict } from './audit-verify.ts'

const CHUNK = 1_048_576
const LINE_END = 0x0a

/**
 * Copies the audit file at `path` durably to the new file `target` (mode 0600), up to its last complete record, and its
 * rotated files to the same directory. Then verifies the copies as one chain. Records written meanwhile are not copied.
 * @returns the verdict on the copy; `undefined` when there is no audit file
 * @throws Error as `node:fs` does
 */
export async function copyAudit(path: string, target: string): Promise<AuditVerdict | undefined> {
  if (!copyOne(path, target)) return undefined
  const first = await firstSeq(target)
  // A rotation in between has renamed the file that was just copied: skip it under its new name.
  const archives = archivesOf(path).filter(({ lastSeq }) => first !== undefined && lastSeq < first)
  for (const archive of archives)
    copyOne(archive.path, target + basename(archive.path).slice(basename(path).length))
  return await verifyAudit(chainOf(target))
}

/** The sequence number of the first record; `undefined` for a file without records. */
async function firstSeq(path: string): Promise<number | undefined> {
  const lines = new LineCutter()
  for await (const chunk of readFile(path)) {
    for (const line of lines.cut(chunk)) {
      const record = line && readRecord(line, undefined)
      return typeof record === 'object' ? record.seq : undefined
    }
  }
  return undefined
}

/** Copies one file. @returns false when it does not exist */
function copyOne(path: string, target: string): boolean {
  const from = openExisting(path)
  if (from === undefined) return false
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
  return true
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
