/** The two records that are about the chain itself: a checkpoint, and the first one of a file that follows another. */
import type { AuditHead, AuditRecord } from './audit-record.ts'
import { isSigned, type Checkpoint, type CheckpointSigner } from './audit-signer.ts'

/** A head was signed. */
export const CHECKPOINT = 'audit.checkpoint'

/** This file goes on where another ended; signed like a checkpoint where there is a key, so that it outlives that file. */
export const CONTINUED = 'audit.continued'

/** The fields that tell, and sign, where a chain stands. */
export function markFields(
  head: AuditHead,
  at: string,
  signer: CheckpointSigner | undefined,
): Record<string, unknown> {
  const told = { at_seq: head.seq, at_hash: head.hash }
  if (!signer) return told
  return { ...told, signed_at: at, key: signer.publicKey, ed25519: signer.sign(head, at) }
}

/** The head that the record's `prev` and `seq` say it follows. */
export function headBefore({ seq, fields }: AuditRecord): AuditHead {
  return { seq: seq - 1, hash: String(fields['prev']) }
}

/** What a record of the chain itself proves: `signed` only when its signature fits. */
export type Mark = { readonly signedBy: string | undefined } | { readonly fault: string }

/**
 * Checks a checkpoint or a continuation against the chain it stands in; `undefined` for other records.
 * @param publicKey the only key that may have signed; any when not given
 */
export function readMark(record: AuditRecord, publicKey: string | undefined): Mark | undefined {
  if (record.type !== CHECKPOINT && record.type !== CONTINUED) return undefined
  const { at_seq: seq, at_hash: hash, signed_at: at, key, ed25519: signature } = record.fields
  const head = headBefore(record)
  if (seq !== head.seq || hash !== head.hash)
    return { fault: 'it tells another place of the chain than its own' }
  if (key === undefined && signature === undefined && record.type === CONTINUED)
    return { signedBy: undefined }
  if (typeof at !== 'string' || typeof key !== 'string' || typeof signature !== 'string') {
    return { fault: 'its signature is incomplete' }
  }
  const checkpoint: Checkpoint = { head, at, publicKey: key, signature }
  if (!isSigned(checkpoint)) return { fault: 'its signature does not fit' }
  if (publicKey !== undefined && key !== publicKey) return { fault: `it is signed by another key, ${key}` }
  return { signedBy: key }
}
