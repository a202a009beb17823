/** Audit files to try out, and a disk that can be made to fail. */
import nodeFs, { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'
import { openAuditFile } from '../../src/io/audit/audit-file.ts'
import type { AuditFileOptions } from '../../src/io/audit/audit-options.ts'
import type { AuditFile } from '../../src/io/audit/audit-writer.ts'
import type { AuditFs } from '../../src/io/audit/audit-tail.ts'

export const NOW = Date.parse('2026-11-21T10:00:00.123Z')

/** A directory for the file's tests, and what they open: closed and removed after each. */
export function auditPlace() {
  const opened: AuditFile[] = []
  let directory = ''
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'tollway-audit-'))
  })
  afterEach(async () => {
    for (const file of opened.splice(0)) await file.close().catch(() => undefined)
    rmSync(directory, { recursive: true })
  })
  return {
    get directory(): string {
      return directory
    },
    get path(): string {
      return join(directory, 'audit.jsonl')
    },
    async open(fs?: AuditFs, more: Partial<AuditFileOptions> = {}): Promise<AuditFile> {
      const path = join(directory, 'audit.jsonl')
      const file = await openAuditFile({ path, clock: { now: () => NOW }, instance: 'ins_test', fs, ...more })
      opened.push(file)
      return file
    },
  }
}

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

/** A disk whose next calls can be replaced, and which counts the syncs. */
export function fragileDisk() {
  const disk = {
    syncs: 0,
    /** Replaces the next writes, in order; `undefined` lets one through. */
    writes: [] as (AuditFs['writeSync'] | undefined)[],
    /** How the next syncs end. */
    syncErrors: [] as (Error | undefined)[],
    /** Called when a sync starts. */
    onSync: (): void => undefined,
    /** How the next renames end. */
    renameErrors: [] as (Error | undefined)[],
    truncateError: undefined as Error | undefined,
    openError: undefined as Error | undefined,
  }
  const fs: AuditFs = {
    openSync: (path, flags, mode) => {
      if (disk.openError) throw disk.openError
      return nodeFs.openSync(path, flags, mode)
    },
    closeSync: (fd) => nodeFs.closeSync(fd),
    fstatSync: (fd) => nodeFs.fstatSync(fd),
    statSync: (path) => nodeFs.statSync(path),
    readSync: (fd, into, offset, length, position) => nodeFs.readSync(fd, into, offset, length, position),
    writeSync: (fd, from, offset, length, position) => {
      const write = disk.writes.shift() ?? nodeFs.writeSync
      return write(fd, from, offset, length, position)
    },
    ftruncateSync: (fd, length) => {
      if (disk.truncateError) throw disk.truncateError
      nodeFs.ftruncateSync(fd, length)
    },
    fsyncSync: (fd) => nodeFs.fsyncSync(fd),
    renameSync: (from, to) => {
      const error = disk.renameErrors.shift()
      if (error) throw error
      nodeFs.renameSync(from, to)
    },
    fdatasync: (fd, done) => {
      disk.syncs += 1
      disk.onSync()
      const error = disk.syncErrors.shift()
      if (error) setImmediate(() => done(error))
      else nodeFs.fdatasync(fd, done)
    },
  }
  return { disk, fs }
}
