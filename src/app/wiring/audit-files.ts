/**
 * The audit files of one configuration. A file has one writer, so beside the gateway's there are those of commands that ran
 * while it did: together they tell all that was done with this ledger.
 */
import { readdirSync, statSync } from 'node:fs'
import { join, parse } from 'node:path'
import { archivesOf, chainOf, overFiles } from '../../io/audit/audit-rotate.ts'

/** What stands between name and extension of the files beside the gateway's. */
const BESIDE = /^\.(?:cli(?:-[1-9]\d*)?|reconcile)$/
const ARCHIVED = /\.\d{12}$/

/** Where commands record what they do; `n` from 1, for those that run at the same time. */
export function commandAuditPath(path: string, n = 1): string {
  const { dir, name, ext } = parse(path)
  return join(dir, `${name}.cli${n === 1 ? '' : `-${n}`}${ext}`)
}

/** Where `tollway reconcile` records what it finds while the gateway writes its own file. */
export function reconcileAuditPath(path: string): string {
  const { dir, name, ext } = parse(path)
  return join(dir, `${name}.reconcile${ext}`)
}

/**
 * The audit files of a configuration, the gateway's first, without those that were put away.
 * @param path `audit.path`
 * @param noted files that the ledger knows of: one that was removed is listed all the same
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

/** Reads all audit files of a configuration, those that were put away before each; see `overFiles`. */
export async function overAuditFiles<T>(
  path: string,
  read: (files: readonly string[]) => Promise<T>,
): Promise<T> {
  return await overFiles(() => auditFilesOf(path).flatMap((file) => chainOf(file)), read)
}

/** A command that was refused before it did anything leaves an empty file. */
function hasRecords(file: string): boolean {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  return size > 0 || archivesOf(file).length > 0
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch (error) {
    // Reading the audit file itself says better what is wrong.
    if (error instanceof Error && 'code' in error) return []
    throw error
  }
}
