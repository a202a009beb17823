/** `tollway backup`: ledger and audit files as they are now, in a directory that is there whole or not at all. */
import { createHash, randomBytes } from 'node:crypto'
import nodeFs, {
  closeSync,
  createReadStream,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join, parse, resolve } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { ConfigError } from '../../core/errors.ts'
import { copyAudit } from '../../io/audit/audit-copy.ts'
import { readTail } from '../../io/audit/audit-tail.ts'
import type { AuditVerdict } from '../../io/audit/audit-verify.ts'
import { copyLedger, type LedgerCopy } from '../../io/store/sqlite/backup.ts'
import { auditFilesOf } from '../wiring/audit-files.ts'
import type { ResolvedConfig } from '../config/resolve/resolved.ts'
import { syncDirectory } from '../../io/files/sync-directory.ts'

/** The names in a backup, whatever the files are called where they are used. */
export const BACKUP_NAMES = { ledger: 'tollway.db', audit: 'audit.jsonl', facts: 'backup.json' } as const

/** What a backup holds; its `backup.json` says the same. */
export interface Backup {
  /** Absolute. */
  readonly directory: string
  /** When it was begun, ISO 8601. */
  readonly at: string
  readonly ledger: LedgerCopy & { readonly sha256: string }
  /** `undefined` when there is no audit file yet. */
  readonly audit: AuditBackup | undefined
  /** The audit files of commands, by their name in the backup. */
  readonly commands: Readonly<Record<string, AuditBackup>>
}

/** What is told of the copy of an audit file. */
export interface AuditBackup {
  readonly verdict: AuditVerdict
  readonly sha256: string
  /** The ledger knows of every record up to this number; of later ones, also beyond this backup, it may not. */
  readonly knownUntil: number
}

/**
 * Copies ledger and audit files into a new directory, beside a running gateway or without one. The ledger comes first: the
 * audit file of a backup knows at least of everything its ledger knows.
 * @throws ConfigError when there is nothing to copy or the directory cannot be made; TollwayError `store_unavailable`
 */
export async function backUp(
  config: Pick<ResolvedConfig, 'store' | 'audit'>,
  directory: string,
  clock: Clock,
): Promise<Backup> {
  const target = resolve(directory)
  const source = ledgerOf(config.store)
  refuseUsed(target)
  const draft = `${target}.part-${randomBytes(6).toString('hex')}`
  mkdirSync(draft, { mode: 0o700 })
  try {
    const at = new Date(clock.now()).toISOString()
    const files = auditFilesOf(config.audit.path).map((path) => ({
      path,
      name: nameInBackup(path, config.audit.path),
      knownUntil: lastRecord(path),
    }))
    const ledger = copyLedger(source, join(draft, BACKUP_NAMES.ledger))
    const sha256 = async (name: string): Promise<string> => await digest(join(draft, name))
    const copies = new Map<string, AuditBackup>()
    for (const { path, name, knownUntil } of files) {
      const verdict = await copyAudit(path, join(draft, name))
      if (verdict) copies.set(name, { verdict, sha256: await sha256(name), knownUntil })
    }
    const audit = copies.get(BACKUP_NAMES.audit)
    copies.delete(BACKUP_NAMES.audit)
    const backup: Backup = {
      directory: target,
      at,
      ledger: { ...ledger, sha256: await sha256(BACKUP_NAMES.ledger) },
      audit,
      commands: Object.fromEntries(copies),
    }
    const { directory: _where, ...facts } = backup
    const path = join(draft, BACKUP_NAMES.facts)
    writeFileSync(path, `${JSON.stringify(facts, undefined, 2)}\n`, { mode: 0o600, flush: true })
    syncDirectory(draft)
    renameSync(draft, target)
    syncDirectory(dirname(target))
    return backup
  } catch (error) {
    rmSync(draft, { recursive: true, force: true })
    throw error
  }
}

/** `audit.jsonl`, and e.g. `audit.cli.jsonl` for what stands beside it. */
function nameInBackup(path: string, own: string): string {
  const [file, gateways] = [parse(path).name, parse(own).name]
  const { name, ext } = parse(BACKUP_NAMES.audit)
  return `${name}${file.slice(gateways.length)}${ext}`
}

/** The number of the last whole record; 0 where there is none, or none to be believed. */
function lastRecord(path: string): number {
  let fd: number | undefined
  try {
    fd = openSync(path, 'r')
    return readTail(nodeFs, fd, path).head.seq
  } catch {
    return 0
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}

function ledgerOf(store: string): string {
  if (store.startsWith('sqlite:')) return store.slice('sqlite:'.length)
  throw new ConfigError(
    store === 'memory'
      ? 'store: memory is gone with its gateway, so there is nothing to back up. Use sqlite:./tollway.db.'
      : "store: only a SQLite ledger is backed up here. Use your database's own backup.",
  )
}

function refuseUsed(target: string): void {
  if (!statSync(dirname(target), { throwIfNoEntry: false })?.isDirectory()) {
    throw new ConfigError(`The directory ${dirname(target)} does not exist. Create it first.`)
  }
  if (existsSync(target)) {
    throw new ConfigError(
      `${target} is there already. Name a new directory: a backup never replaces another.`,
    )
  }
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) if (Buffer.isBuffer(chunk)) hash.update(chunk)
  return hash.digest('hex')
}
