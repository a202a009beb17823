/** Opens the configured audit file and keeps its last position in the ledger. */
import type { Observer } from '../../core/telemetry/events.ts'
import { silentLog, type Log } from '../../core/log.ts'
import type { Clock } from '../../core/clock.ts'
import { openAuditFile } from '../../io/audit/audit-file.ts'
import { missingRecords } from '../../io/audit/audit-missing.ts'
import { RECORDS_MISSING } from '../../io/audit/audit-verify.ts'
import type { Replaced } from '../../io/audit/audit-path.ts'
import type { AuditFile } from '../../io/audit/audit-writer.ts'
import { checkpointSigner } from '../../io/audit/audit-signer.ts'
import type { Store } from '../../io/store/store.ts'
import type { ResolvedAudit } from '../config/resolve/resolved.ts'

/** Longest time between two signed checkpoints while records are written. */
const CHECKPOINT_MS = 60_000

const ADVICE: Readonly<Record<Exclude<Replaced, 'moved'>, string>> = {
  deleted: 'Its records are lost unless there is a copy.',
  truncated:
    'If logrotate did this, use create instead of copytruncate, which loses records, or leave rotation to Tollway.',
}

/**
 * Opens the audit file for writing.
 * @throws ConfigError, TollwayError see `openAuditFile`
 */
export async function openAudit(
  audit: ResolvedAudit,
  clock: Clock,
  instance: string,
  log: Log = silentLog,
): Promise<AuditFile> {
  const { signingKey, ...rest } = audit
  const onReplaced = (why: Replaced): void => {
    const fields = { file: audit.path, why }
    if (why === 'moved') log.warn(fields, 'the audit file was moved; its chain continues in a new file')
    else log.error(fields, `the audit file was ${why}; its chain continues in a new file. ${ADVICE[why]}`)
  }
  const signer = signingKey === undefined ? undefined : checkpointSigner(signingKey)
  return await openAuditFile({ ...rest, clock, instance, signer, onReplaced })
}

/** Compares the audit file with its last position in the ledger. */
export interface AuditHeads {
  /** Updates the durable position soon: a payment was recorded. What comes meanwhile shares one update. */
  soon(): void
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
  let running: Promise<void> | undefined
  let isAsked = false
  const noteAll = async (): Promise<void> => {
    while (isAsked) {
      isAsked = false
      // Only what survives a power loss is noted: the ledger must never know of more than the file holds.
      await audit.check()
      await note()
    }
  }
  return {
    soon() {
      isAsked = true
      // A failure shows where the ledger is written next, and the heartbeat notes the position.
      running ??= noteAll()
        .catch(() => undefined)
        .finally(() => {
          running = undefined
        })
    },
    async beat() {
      audit.tend()
      const now = clock.now()
      if (Math.abs(now - checkpointAt) >= CHECKPOINT_MS) {
        checkpointAt = now
        audit.checkpoint()
      }
      await note()
    },
    async end() {
      await running
      audit.checkpoint()
      await audit.check()
      await note()
    },
  }
}

async function tellMissing(audit: AuditFile, path: string, store: Store, log: Log): Promise<void> {
  const known = (await store.auditHeads()).find(({ file }) => file === path)
  if (!known) return
  const missing = await missingRecords(path, known)
  if (missing === undefined) return
  const noted = { noted_seq: known.seq, noted_hash: known.hash }
  log.error(
    { last_seq: audit.durableHead().seq, ...noted, missing, file: path },
    `the audit file lacks records that the ledger knows of (${missing}): run \`tollway audit verify --config\``,
  )
  await audit.append(RECORDS_MISSING, { ...noted, missing }, { durable: true })
}

/** Whether the position is worth noting at once: money moved, or may have. */
export function movesMoney(event: Parameters<Observer>[0]): boolean {
  if (event.type === 'request') return event.summary.charge !== undefined
  return event.type === 'charge' && event.charge.state !== 'held' && event.charge.state !== 'authorized'
}
