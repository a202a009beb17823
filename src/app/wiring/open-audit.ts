/** Opens the audit file as it is configured, and keeps the ledger's note of how far it goes. */
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import { openAuditFile } from '../../io/audit/audit-file.ts'
import { RECORDS_MISSING } from '../../io/audit/audit-verify.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import { checkpointSigner } from '../../io/audit/audit-signer.ts'
import type { Store } from '../../io/store/store.ts'
import type { ResolvedAudit } from '../config/resolve/resolved.ts'

/** A checkpoint is signed at least this often while anything is recorded. */
const CHECKPOINT_MS = 60_000

/**
 * Opens it for writing.
 * @throws ConfigError, TollwayError as `openAuditFile` does
 */
export async function openAudit(audit: ResolvedAudit, clock: Clock, instance: string): Promise<AuditFile> {
  const { signingKey, ...rest } = audit
  const signer = signingKey === undefined ? undefined : checkpointSigner(signingKey)
  return await openAuditFile({ ...rest, clock, instance, signer })
}

/** Holds the audit file against what the ledger noted of it. */
export interface AuditHeads {
  /** Notes how far the file is durable, and signs a checkpoint when one is due. Called with every heartbeat. */
  beat(): Promise<void>
  /** Signs and notes the end. Called when the last record is written, while the store is still open. */
  end(): Promise<void>
}

/**
 * Looks whether the file still has what the ledger knows of, tells when it has not, and goes on noting. A gateway starts
 * all the same: what is missing cannot be brought back by not serving, and the record of it stands in the chain.
 */
export async function watchAuditHead(
  audit: AuditFile,
  path: string,
  store: Store,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<AuditHeads> {
  await tellMissing(audit, path, store, log)
  let checkpointAt = clock.now()
  let noted = -1
  const note = async (): Promise<void> => {
    const { seq, hash } = audit.durableHead()
    if (seq === noted) return
    await store.noteAuditHead({ file: path, seq, hash, at: clock.now() })
    noted = seq
  }
  return {
    async beat() {
      const now = clock.now()
      if (Math.abs(now - checkpointAt) >= CHECKPOINT_MS) {
        checkpointAt = now
        audit.checkpoint()
      }
      await note()
    },
    async end() {
      audit.checkpoint()
      await audit.check()
      await note()
    },
  }
}

async function tellMissing(audit: AuditFile, path: string, store: Store, log: Log): Promise<void> {
  const known = (await store.auditHeads()).find(({ file }) => file === path)
  if (!known) return
  const head = audit.durableHead()
  if (head.seq > known.seq) return
  if (head.seq === known.seq && head.hash === known.hash) return
  const fields = { last_seq: head.seq, noted_seq: known.seq, noted_hash: known.hash, file: path }
  log.error(
    fields,
    'the audit file lacks records that the ledger knows of: run `tollway audit verify --config`',
  )
  await audit.append(RECORDS_MISSING, { noted_seq: known.seq, noted_hash: known.hash }, { durable: true })
}
