/** `tollway backup`: copies the ledger and the audit files into a directory that is created completely or not at all. */
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

/** File names inside a backup, whatever the originals are called. */
export const BACKUP_NAMES = { ledger: 'tollway.db', audit: 'audit.jsonl', facts: 'backup.json' } as const

/** The contents of a backup; `backup.json` holds the same. */
export interface Backup {
  /** Absolute path. */
  readonly directory: string
  /** Start of the backup, ISO 8601. */
  readonly at: string
  readonly ledger: LedgerCopy & { readonly sha256: string }
  /** `undefined` if there is no audit file yet. */
  readonly audit: AuditBackup | undefined
  /** The audit files of commands, by file name in the backup. */
  readonly commands: Readonly<Record<string, AuditBackup>>
}

/** The verdict on the copy of an audit file. */
export interface AuditBackup {
  readonly verdict: AuditVerdict
  readonly sha256: string
  /** The ledger contains every record up to this number; later ones, also beyond this backup, may be missing from it. */
  readonly knownUntil: number
}

/**
 * Copies the ledger and the audit files into a new directory, with or without a running gateway. The ledger is copied first,
 * so the audit files of a backup contain at least everything that its ledger contains.
 * @throws ConfigError if there is nothing to copy or the directory cannot be created; TollwayError `store_unavailable`
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

/** `audit.jsonl`, and for example `audit.cli.jsonl` for the files next to it. */
function nameInBackup(path: string, own: string): string {
  const [file, gateways] = [parse(path).name, parse(own).name]
  const { name, ext } = parse(BACKUP_NAMES.audit)
  return `${name}${file.slice(gateways.length)}${ext}`
}

/** The number of the last intact record; 0 if there is none, or if the file cannot be trusted. */
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
      ? 'store: memory is lost when the gateway stops, so there is nothing to back up. Use sqlite:./tollway.db.'
      : "store: tollway backup copies only SQLite ledgers. Use your database's own backup.",
  )
}

function refuseUsed(target: string): void {
  if (!statSync(dirname(target), { throwIfNoEntry: false })?.isDirectory()) {
    throw new ConfigError(`The directory ${dirname(target)} does not exist. Create it first.`)
  }
  if (existsSync(target)) {
    throw new ConfigError(
      `${target} already exists. Choose a new directory: a backup never replaces another.`,
    )
  }
}

async function digest(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) if (Buffer.isBuffer(chunk)) hash.update(chunk)
  return hash.digest('hex')
}
