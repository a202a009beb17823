/**
 * Ed25519 checkpoints (RFC 8032). Anyone who can write the audit file can compose a new chain, but only the holder of this key,
 * which is not a wallet key, can sign its head.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto'
import { ConfigError } from '../../core/errors.ts'
import type { AuditHead } from './audit-record.ts'

/** Signs the head of a chain. */
export interface CheckpointSigner {
  /** 32 bytes, lower-case hex. */
  readonly publicKey: string
  /** Signs a head. @param at ISO 8601 @returns 64 bytes, lower-case hex */
  sign(head: AuditHead, at: string): string
}

/** A signed head, as a record holds it. */
export interface Checkpoint {
  readonly head: AuditHead
  readonly at: string
  readonly publicKey: string
  readonly signature: string
}

/** The DER encoding of an Ed25519 public key, up to its 32 bytes (RFC 8410). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

const PUBLIC_KEY = /^[0-9a-f]{64}$/
const SIGNATURE = /^[0-9a-f]{128}$/

/**
 * Reads a signing key.
 * @param pem a PKCS #8 private key in PEM
 * @throws ConfigError that names the expected format and contains nothing of the key
 */
export function checkpointSigner(pem: string): CheckpointSigner {
  const key = readKey(pem)
  const publicKey = rawPublicKey(createPublicKey(key))
  return {
    publicKey,
    sign: (head, at) => sign(null, signedText(head, at), key).toString('hex'),
  }
}

function readKey(pem: string): KeyObject {
  let key: KeyObject | undefined
  try {
    key = createPrivateKey(pem)
  } catch {
    // The library's error may quote its input.
  }
  if (key?.asymmetricKeyType === 'ed25519') return key
  throw new ConfigError(
    'audit.signing_key does not hold an Ed25519 private key in PEM. Create one with `tollway audit key --new audit-key.pem`.',
  )
}

/** Creates a key pair: the private key as PKCS #8 PEM, the public key as in {@link CheckpointSigner}. */
export function newCheckpointKey(): { readonly pem: string; readonly publicKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: rawPublicKey(publicKey),
  }
}

/** Whether a text is a public key in the format of {@link CheckpointSigner}. */
export function isPublicKey(text: string): boolean {
  return PUBLIC_KEY.test(text)
}

/** Whether a checkpoint has a valid signature of the key that it names. */
export function isSigned({ head, at, publicKey, signature }: Checkpoint): boolean {
  if (!PUBLIC_KEY.test(publicKey) || !SIGNATURE.test(signature)) return false
  try {
    const der = Buffer.concat([SPKI_PREFIX, Buffer.from(publicKey, 'hex')])
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' })
    return verify(null, signedText(head, at), key, Buffer.from(signature, 'hex'))
  } catch {
    return false
  }
}

function rawPublicKey(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).subarray(SPKI_PREFIX.length).toString('hex')
}

/** The signed text. Its first line names its purpose, so that a signature cannot be used for anything else. */
function signedText({ seq, hash }: AuditHead, at: string): Buffer {
  return Buffer.from(`tollway audit checkpoint 1\n${seq}\n${hash}\n${at}\n`, 'utf8')
}
