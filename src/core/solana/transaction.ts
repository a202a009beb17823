/** Solana transactions: the signatures in the order of the signers, then the message that they sign. */
import { encodeCompactU16, decodeCompactU16 } from './compact-u16.ts'
import { concatBytes } from './token-account.ts'

/** Length of an ed25519 signature, bytes. */
export const SIGNATURE_BYTES = 64

/** The largest transaction that a node accepts, bytes (one packet). */
export const MAX_TRANSACTION_BYTES = 1232

/** A transaction, fully or partly signed. */
export interface Transaction {
  /** In the order of the signers; 64 zero bytes for a signature that is still missing. */
  readonly signatures: readonly Uint8Array[]
  readonly message: Uint8Array
}

/** @throws RangeError for a signature that does not have 64 bytes */
export function encodeTransaction({ signatures, message }: Transaction): Uint8Array {
  if (signatures.some((signature) => signature.length !== SIGNATURE_BYTES)) {
    throw new RangeError('a signature has 64 bytes')
  }
  return concatBytes([encodeCompactU16(signatures.length), ...signatures, message])
}

/** Splits a transaction into its parts; `undefined` for malformed bytes. */
export function decodeTransaction(bytes: Uint8Array): Transaction | undefined {
  const count = decodeCompactU16(bytes, 0)
  if (!count || bytes.length > MAX_TRANSACTION_BYTES) return undefined
  const end = count.end + count.value * SIGNATURE_BYTES
  if (count.value === 0 || end >= bytes.length) return undefined
  const signatures = Array.from({ length: count.value }, (_, index) => {
    const start = count.end + index * SIGNATURE_BYTES
    return bytes.slice(start, start + SIGNATURE_BYTES)
  })
  return { signatures, message: bytes.slice(end) }
}
