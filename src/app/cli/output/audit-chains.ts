/** Proves the audit files of a configuration, each as a chain of its own, against what the configuration knows of them. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError } from '../../../core/errors.ts'
import { archivesOf, overChain } from '../../../io/audit/audit-rotate.ts'
import { checkpointSigner } from '../../../io/audit/audit-signer.ts'
import { verifyAudit, type AuditVerdict } from '../../../io/audit/audit-verify.ts'
import { readSqliteLedger } from '../../../io/store/sqlite/read.ts'
import type { AuditHeadNote } from '../../../io/store/contracts/audit-heads.ts'
import { auditFilesOf } from '../../wiring/audit-files.ts'
import { loadConfigForReading } from '../../config/load.ts'

/** What a configuration knows of its audit files. */
export interface KnownAudit {
  /** `audit.path`. */
  readonly path: string
  /** Of the signing key, when there is one. */
  readonly publicKey: string | undefined
  /** `store`. */
  readonly store: string
}

/** How far the ledger saw audit files. */
export interface NotedHeads {
  readonly heads: readonly AuditHeadNote[]
  /** Why nothing could be read. */
  readonly unread: string | undefined
}

/** One chain and what is proven of it. */
export interface ProvenChain {
  /** The file that is being written. */
  readonly file: string
  /** With those that were put away before it. */
  readonly files: readonly string[]
  readonly verdict: AuditVerdict
  /** Why it was not held against a ledger; `undefined` when it was, or when nobody asked for that. */
  readonly notHeld: string | undefined
}

/** @throws ConfigError */
export function knownAudit(file: string, env: Parameters<typeof loadConfigForReading>[1]): KnownAudit {
  const { audit, store } = loadConfigForReading(file, env, ['audit'])
  const publicKey = audit.signingKey === undefined ? undefined : checkpointSigner(audit.signingKey).publicKey
  return { path: audit.path, publicKey, store }
}

/** Reads the ledger's notes. A ledger that cannot be read is told: the files still prove what they can by themselves. */
export async function notedHeads(store: string): Promise<NotedHeads> {
  if (!store.startsWith('sqlite:')) {
    return { heads: [], unread: `store: ${store.split(':', 1)[0]} cannot be read from outside the gateway` }
  }
  let ledger: ReturnType<typeof readSqliteLedger>
  try {
    ledger = readSqliteLedger(store.slice('sqlite:'.length))
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return { heads: [], unread: error.message.replace(/\.$/, '') }
  }
  try {
    return { heads: await ledger.auditHeads(), unread: undefined }
  } finally {
    ledger.close()
  }
}

/**
 * Proves the files of a configuration, or one file that was named.
 * @param named one file; all of the configuration without it
 * @throws ConfigError when there is no such file; Error as `node:fs` does
 */
export async function proveChains(
  known: KnownAudit | undefined,
  named: string | undefined,
  publicKey: string | undefined,
): Promise<ProvenChain[]> {
  const noted = known && (await notedHeads(known.store))
  const files =
    named === undefined && known
      ? auditFilesOf(
          known.path,
          noted?.heads.map(({ file }) => file),
        )
      : [named ?? '']
  const proven: ProvenChain[] = []
  for (const file of files) {
    const heads = noted?.heads.filter((head) => resolve(head.file) === resolve(file)) ?? []
    const notHeld =
      noted && (noted.unread ?? (heads.length > 0 ? undefined : 'the ledger knows nothing of it'))
    proven.push({ ...(await proveChain(file, heads, publicKey)), notHeld })
  }
  return proven
}

async function proveChain(
  file: string,
  heads: readonly AuditHeadNote[],
  publicKey: string | undefined,
): Promise<Omit<ProvenChain, 'notHeld'>> {
  const [head] = heads
  if (head && head.seq > 0 && !existsSync(file) && archivesOf(file).length === 0) {
    const why = `it is gone, and ${head.seq} ${head.seq === 1 ? 'record was' : 'records were'} noted`
    return { file, files: [file], verdict: { ok: false, file, line: 1, seq: 1, kind: 'truncated', why } }
  }
  return await overChain(file, async (files) => ({
    file,
    files,
    verdict: await verifyAudit(files, { publicKey, heads }),
  }))
}
