/** Solana addresses: 32 bytes in base58. They are case-sensitive, and each has exactly one spelling. */
import { decodeBase58, encodeBase58 } from './base58.ts'

/** Length of an address, a block hash and an ed25519 public key, bytes. */
export const ADDRESS_BYTES = 32

/** 32 bytes in base58 have 32 to 44 characters. */
const SHAPE = /^[1-9A-HJ-NP-Za-km-z]{32,44}$/

/** The 32 bytes of an address or block hash, or `undefined` when the text is not one. */
export function readAddress(text: string): Uint8Array | undefined {
  if (!SHAPE.test(text)) return undefined
  const bytes = decodeBase58(text)
  return bytes?.length === ADDRESS_BYTES ? bytes : undefined
}

/** Whether a text is the base58 of 32 bytes. */
export function isSolanaAddress(text: string): boolean {
  return readAddress(text) !== undefined
}

/**
 * The 32 bytes of an address or block hash that is known to be valid.
 * @throws RangeError when it is not one
 */
export function addressBytes(text: string): Uint8Array {
  const bytes = readAddress(text)
  if (!bytes) throw new RangeError('the text is not 32 bytes in base58')
  return bytes
}

/** @throws RangeError unless there are 32 bytes */
export function addressOf(bytes: Uint8Array): string {
  if (bytes.length !== ADDRESS_BYTES) throw new RangeError('an address has 32 bytes')
  return encodeBase58(bytes)
}
