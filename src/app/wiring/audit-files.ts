/**
 * The audit files of one configuration. Each file has a single writer, so commands that run while the gateway does write their
 * own files next to the gateway's. Together the files record everything done with the ledger.
 */
import { readdirSync, statSync } from 'node:fs'
import { join, parse } from 'node:path'
import { archivesOf, chainOf, overFiles } from '../../io/audit/audit-rotate.ts'

/** The part between the name and the extension of a file next to the gateway's. */
const BESIDE = /^\.(?:cli(?:-[1-9]\d*)?|reconcile)$/
const ARCHIVED = /\.\d{12}$/

/** The audit file of a command; `n` counts from 1 for commands that run at the same time. */
export function commandAuditPath(path: string, n = 1): string {
  const { dir, name, ext } = parse(path)
  return join(dir, `${name}.cli${n === 1 ? '' : `-${n}`}${ext}`)
}

/** The audit file of `tollway reconcile` while the gateway writes its own. */
export function reconcileAuditPath(path: string): string {
  const { dir, name, ext } = parse(path)
  return join(dir, `${name}.reconcile${ext}`)
}

/**
 * The audit files of a configuration, the gateway's first, without rotated files.
 * @param path `audit.path`
 * @param noted files recorded in the ledger; they are listed even if they were removed
 */
export function auditFilesOf(path: string, noted: readonly string[] = []): string[] {
  const { dir, name, ext } = parse(path)
  const isBeside = (file: string): boolean =>
    file.startsWith(`${name}.`) &&
    file.endsWith(ext) &&
    BESIDE.test(file.slice(name.length, file.length - ext.length))
  const beside = namesIn(dir)
    .map((file) => file.replace(ARCHIVED, ''))
    .filter(isBeside)
    .map((file) => join(dir, file))
  const known = noted.filter((file) => parse(file).dir === dir && isBeside(parse(file).base))
  const others = [...beside.filter(hasRecords), ...known]
  return [...new Set([path, ...others.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1))])]
}

/** Reads all audit files of a configuration, each after its rotated files; see `overFiles`. */
export async function overAuditFiles<T>(
  path: string,
  read: (files: readonly string[]) => Promise<T>,
): Promise<T> {
  return await overFiles(() => auditFilesOf(path).flatMap((file) => chainOf(file)), read)
}

/** Whether a file has records: a command that is refused immediately leaves an empty file. */
function hasRecords(file: string): boolean {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  return size > 0 || archivesOf(file).length > 0
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    // Opening the audit file itself gives a clearer error.
    if (error instanceof Error && 'code' in error) return []
    throw error
  }
}
