/** The two records about the chain itself: a checkpoint, and the first record of a file that continues another. */
import type { AuditHead, AuditRecord } from './audit-record.ts'
import { isSigned, type Checkpoint, type CheckpointSigner } from './audit-signer.ts'

/** The type of a record that signs the head of the chain. */
export const CHECKPOINT = 'audit.checkpoint'

/**
 * The type of the first record of a file that continues another. Signed like a checkpoint when there is a key, so that it stays
 * verifiable after the other file is deleted.
 */
export const CONTINUED = 'audit.continued'

/** The type of the record of a file that was deleted as `audit.retain` says. */
export const DROPPED = 'audit.dropped'

/** The fields that name the head of a chain, and sign it when there is a key. */
export function markFields(
  head: AuditHead,
  at: string,
  signer: CheckpointSigner | undefined,
): Record<string, unknown> {
  const position = { at_seq: head.seq, at_hash: head.hash }
  if (!signer) return position
  return { ...position, signed_at: at, key: signer.publicKey, ed25519: signer.sign(head, at) }
}

/** The head that a record follows, by its `prev` and `seq`. */
export function headBefore({ seq, fields }: AuditRecord): AuditHead {
  return { seq: seq - 1, hash: String(fields['prev']) }
}

/** What a checkpoint or continuation proves: the key that validly signed it, if any, or what is wrong with it. */
export type Mark = { readonly signedBy: string | undefined } | { readonly fault: string }

/**
 * Checks a checkpoint or a continuation against its place in the chain; `undefined` for other records.
 * @param publicKey the only key that may have signed it; `undefined` for any
 */
export function readMark(record: AuditRecord, publicKey: string | undefined): Mark | undefined {
  if (record.type !== CHECKPOINT && record.type !== CONTINUED) return undefined
  const { at_seq: seq, at_hash: hash, signed_at: at, key, ed25519: signature } = record.fields
  const head = headBefore(record)
  if (seq !== head.seq || hash !== head.hash) return { fault: 'it names another place in the chain' }
  if (key === undefined && signature === undefined && record.type === CONTINUED)
    return { signedBy: undefined }
  if (typeof at !== 'string' || typeof key !== 'string' || typeof signature !== 'string') {
    return { fault: 'its signature is incomplete' }
  }
  const checkpoint: Checkpoint = { head, at, publicKey: key, signature }
  if (!isSigned(checkpoint)) return { fault: 'its signature is invalid' }
  if (publicKey !== undefined && key !== publicKey) return { fault: `it is signed with another key, ${key}` }
  return { signedBy: key }
}
