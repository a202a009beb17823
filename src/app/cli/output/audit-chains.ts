/** Verifies the audit files of a configuration, each as its own chain, against what the configuration knows of them. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { ConfigError, TollwayError } from '../../../core/errors.ts'
import { archivesOf, overChain } from '../../../io/audit/audit-rotate.ts'
import { checkpointSigner } from '../../../io/audit/audit-signer.ts'
import { verifyAudit, type AuditVerdict } from '../../../io/audit/audit-verify.ts'
import { readLedger } from '../../../io/ledger/open-store.ts'
import type { LedgerReader } from '../../../io/store/ledger-reader.ts'
import type { AuditHeadNote } from '../../../io/store/contracts/audit-heads.ts'
import { auditFilesOf } from '../../wiring/audit-files.ts'
import { loadConfigForReading } from '../../config/load.ts'

/** What a configuration knows about its audit files. */
export interface KnownAudit {
  /** `audit.path`. */
  readonly path: string
  /** Public key of the signing key, if there is one. */
  readonly publicKey: string | undefined
  /** `store`. */
  readonly store: string
}

/** The last position of each audit file as kept in the ledger. */
export interface NotedHeads {
  readonly heads: readonly AuditHeadNote[]
  /** Why the positions could not be read. */
  readonly unread: string | undefined
}

/** One chain and its verdict. */
export interface ProvenChain {
  /** The file that is being written. */
  readonly file: string
  /** That file and the files rotated before it. */
  readonly files: readonly string[]
  readonly verdict: AuditVerdict
  /** Why it was not checked against a ledger; `undefined` if it was, or if no check was requested. */
  readonly notHeld: string | undefined
}

/** @throws ConfigError */
export function knownAudit(file: string, env: Parameters<typeof loadConfigForReading>[1]): KnownAudit {
  const { audit, store } = loadConfigForReading(file, env, ['audit'])
  const publicKey = audit.signingKey === undefined ? undefined : checkpointSigner(audit.signingKey).publicKey
  return { path: audit.path, publicKey, store }
}

/** Reads the positions from the ledger. If that fails, the result says so: the files can still be verified without them. */
export async function notedHeads(store: string): Promise<NotedHeads> {
  if (store === 'memory') {
    return { heads: [], unread: `store: ${store.split(':', 1)[0]} cannot be read from outside the gateway` }
  }
  let ledger: LedgerReader
  try {
    ledger = await readLedger(store)
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof TollwayError)) throw error
    return { heads: [], unread: error.message.replace(/\.$/, '') }
  }
  try {
    return { heads: await ledger.auditHeads(), unread: undefined }
  } finally {
    await ledger.close()
  }
}

/**
 * Verifies all files of a configuration, or one named file.
 * @param named only this file; default all files of the configuration
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
      noted && (noted.unread ?? (heads.length > 0 ? undefined : 'the ledger has no entry for it'))
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
    const why = `the file is missing, but the ledger lists ${head.seq} ${head.seq === 1 ? 'record' : 'records'} in it`
    return { file, files: [file], verdict: { ok: false, file, line: 1, seq: 1, kind: 'truncated', why } }
  }
  return await overChain(file, async (files) => ({
    file,
    files,
    verdict: await verifyAudit(files, { publicKey, heads, complete: heads.length > 0 }),
  }))
}
