/** Opens an encrypted keystore (Web3 Secret Storage, version 3). Runs in the signer's worker only (rule 8). */
import * as Hex from 'ox/Hex'
import * as Keystore from 'ox/Keystore'
import type { PrivateKeyAccount } from 'viem/accounts'
import { property } from '../../core/property.ts'
import { readKeyFile } from './key-file.ts'
import { accountOf, KeyFault } from './private-key.ts'

/** A keystore is half a kilobyte; wallets add a few fields. */
const MAX_BYTES = 16_384

/**
 * @param path the keystore file, mode 0600 or 0400: the encryption is only as strong as the password
 * @throws KeyFault
 */
export function openKeystore(path: string, password: string): PrivateKeyAccount {
  const key = decryptKeystore(path, password)
  return accountOf(Hex.fromBytes(key), `keystore ${path}`)
}

/**
 * The 32 bytes that a keystore holds: an EVM key, or the seed of an ed25519 key.
 * @param path as for {@link openKeystore}
 * @throws KeyFault
 */
export function decryptKeystore(path: string, password: string): Uint8Array {
  const text = readKeyFile(path, { what: 'keystore', maxBytes: MAX_BYTES })
  if (!/"version"\s*:\s*3\b/.test(text)) {
    throw new KeyFault(
      `${path} is not a version 3 keystore (JSON with "version": 3). Export the key with geth, cast or ethers.`,
    )
  }
  try {
    // In lower case: some wallets write "Crypto", and hex digits of either case.
    const file: unknown = JSON.parse(text.toLowerCase())
    const keystore = read(file)
    // Not by the asynchronous `toKeyAsync`: it ignores the `r` and `p` of the file.
    return Keystore.decrypt(keystore, Keystore.toKey(keystore, { password }), { as: 'Bytes' })
  } catch (error) {
    if (error instanceof UnsupportedKeystore) {
      throw new KeyFault(
        `The keystore ${path} ${error.message}. Export the key again with geth, cast or ethers.`,
      )
    }
    // The library's message may quote its input.
    throw new KeyFault(
      `The keystore ${path} cannot be opened: its password is wrong, or the file is damaged. Check the password reference first.`,
    )
  }
}

/** Encrypted in another way than the wallets in use do it: no password opens it here. */
class UnsupportedKeystore extends Error {}

/** @throws {UnsupportedKeystore} for another cipher or derivation @throws {TypeError} when something is missing */
function read(file: unknown): Keystore.Keystore {
  const crypto = property(file, 'crypto')
  const cipher = String(property(crypto, 'cipher'))
  if (cipher !== 'aes-128-ctr') {
    throw new UnsupportedKeystore(`is encrypted with ${shown(cipher)}, and only aes-128-ctr is supported`)
  }
  const cipherparams = { iv: stringAt(property(crypto, 'cipherparams'), 'iv') }
  const sealed = {
    cipher,
    cipherparams,
    ciphertext: stringAt(crypto, 'ciphertext'),
    mac: stringAt(crypto, 'mac'),
  } as const
  return { crypto: { ...sealed, ...readDerivation(crypto) }, id: '', version: 3 }
}

function readDerivation(crypto: unknown): Pick<Keystore.DeriveOpts, 'kdf' | 'kdfparams'> {
  const kdf = String(property(crypto, 'kdf'))
  const params = property(crypto, 'kdfparams')
  // A longer key begins with the same 32 bytes, and only those are used.
  const common = { salt: stringAt(params, 'salt'), dklen: 32 }
  if (kdf === 'scrypt') {
    const cost = { n: numberAt(params, 'n'), r: numberAt(params, 'r'), p: numberAt(params, 'p') }
    return { kdf, kdfparams: { ...common, ...cost } }
  }
  const prf = kdf === 'pbkdf2' ? String(property(params, 'prf')) : undefined
  if (kdf === 'pbkdf2' && prf === 'hmac-sha256')
    return { kdf, kdfparams: { ...common, prf, c: numberAt(params, 'c') } }
  const method = shown(prf === undefined ? kdf : `${kdf} with ${prf}`)
  throw new UnsupportedKeystore(
    `derives its key by ${method}, and only scrypt and pbkdf2 with hmac-sha256 are supported`,
  )
}

/** A word of the file for a message. What is longer than a name could be something else. */
function shown(word: string): string {
  return /^[a-z0-9 -]{1,40}$/.test(word) ? word : 'something unknown'
}

function stringAt(object: unknown, name: string): string {
  const value = property(object, name)
  if (typeof value !== 'string') throw new TypeError(`no ${name}`)
  return value.replace(/^0x/, '')
}

function numberAt(object: unknown, name: string): number {
  const value = property(object, name)
  if (typeof value !== 'number') throw new TypeError(`no ${name}`)
  return value
}
