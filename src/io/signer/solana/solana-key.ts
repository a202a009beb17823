/** Reads ed25519 keys. Runs in the signer's worker only (rule 8). */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { addressOf } from '../../../core/solana/address.ts'
import { decodeBase58 } from '../../../core/solana/base58.ts'
import { KeyFault } from '../private-key.ts'

/** A wallet on Solana. */
export interface SolanaKey {
  /** Its address, base58: the public key itself. */
  readonly address: string
  readonly key: KeyObject
}

const SEED_BYTES = 32
/** Seed and public key, as Solana's tools store them. */
const PAIR_BYTES = 64
/** The bytes before the seed in PKCS #8 (RFC 8410). */
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * Reads a key.
 * @param text a JSON list of 64 bytes (Solana CLI), or the base58 text of 64 bytes (as exported by wallets) or of a 32-byte seed;
 * one trailing line break is allowed
 * @param place the source, for the message, e.g. `environment variable SOLANA_KEY`
 * @throws KeyFault
 */
export function solanaKeyOf(text: string, place: string): SolanaKey {
  const bytes = readList(text) ?? decodeBase58(text.replace(/\r?\n$/, ''))
  if (bytes?.length !== PAIR_BYTES && bytes?.length !== SEED_BYTES) {
    throw new KeyFault(
      `The ${place} does not hold a Solana key. It must contain only the JSON list of 64 bytes that solana-keygen writes, or the base58 text of 64 or 32 bytes.${/^(?:0x)?[0-9a-fA-F]{64}$/.test(text.trim()) ? ' It looks like a key of an EVM network: use a payer of kind: direct.' : ''}`,
    )
  }
  const made = keyOfSeed(bytes.subarray(0, SEED_BYTES))
  if (bytes.length === PAIR_BYTES && addressOf(bytes.subarray(SEED_BYTES)) !== made.address) {
    throw new KeyFault(
      `The ${place} holds a damaged key: its last 32 bytes are not the address of its first 32. Restore the key from its backup.`,
    )
  }
  return made
}

/** The key of a seed. @param seed any 32 bytes */
export function keyOfSeed(seed: Uint8Array): SolanaKey {
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_ED25519, seed]),
    format: 'der',
    type: 'pkcs8',
  })
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return { address: addressOf(spki.subarray(-SEED_BYTES)), key }
}

/** The bytes of a JSON list of numbers from 0 to 255, or `undefined` for anything else. */
function readList(text: string): Uint8Array | undefined {
  if (!/^\s*\[[\d,\s]*\]\s*$/.test(text)) return undefined
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    // The parser's message quotes the text.
    return undefined
  }
  const isByte = (value: unknown): value is number =>
    typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 255
  return Array.isArray(list) && list.every(isByte) ? Uint8Array.from(list) : undefined
}
