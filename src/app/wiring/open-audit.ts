/** Opens the configured audit file and keeps its last position in the ledger. */
import type { Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import { openAuditFile } from '../../io/audit/audit-file.ts'
import { RECORDS_MISSING } from '../../io/audit/audit-verify.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import { checkpointSigner } from '../../io/audit/audit-signer.ts'
import type { Store } from '../../io/store/store.ts'
import type { ResolvedAudit } from '../config/resolve/resolved.ts'

/** Longest time between two signed checkpoints while records are written. */
const CHECKPOINT_MS = 60_000

/**
 * Opens the audit file for writing.
 * @throws ConfigError, TollwayError see `openAuditFile`
 */
export async function openAudit(audit: ResolvedAudit, clock: Clock, instance: string): Promise<AuditFile> {
  const { signingKey, ...rest } = audit
  const signer = signingKey === undefined ? undefined : checkpointSigner(signingKey)
  return await openAuditFile({ ...rest, clock, instance, signer })
}

/** Compares the audit file with its last position in the ledger. */
export interface AuditHeads {
  /** Updates the durable position, and signs a checkpoint when one is due. Called with every heartbeat. */
  beat(): Promise<void>
  /** Signs and records the final position. Called after the last record, while the store is still open. */
  end(): Promise<void>
}

/**
 * Checks that the file still contains every record known to the ledger, reports missing ones, and keeps the position up to date.
 * The gateway starts anyway: refusing to serve would not bring the records back, and the chain now contains the report.
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
