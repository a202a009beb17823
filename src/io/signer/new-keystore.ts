/** Makes a wallet: a new key, encrypted at once (Web3 Secret Storage, version 3). Used by a command that then ends. */
import * as Address from 'ox/Address'
import type * as Hex from 'ox/Hex'
import * as Keystore from 'ox/Keystore'
import * as Secp256k1 from 'ox/Secp256k1'

/** A new wallet. The key itself is in nothing but the encrypted text. */
export interface NewKeystore {
  /** JSON of the keystore. */
  readonly text: string
  /** Lower-case address with 0x. */
  readonly address: string
}

/** @param cost scrypt's N; less only in tests */
export function newKeystore(password: string, cost?: number): NewKeystore {
  return sealKeystore(Secp256k1.randomPrivateKey(), password, cost)
}

/**
 * Encrypts a key as geth does: aes-128-ctr, and scrypt with r = 8, p = 1.
 * @param password what the keystore will be opened with
 * @param cost scrypt's N; less only in tests
 */
export function sealKeystore(privateKey: Hex.Hex, password: string, cost = 262_144): NewKeystore {
  const address = Address.fromPublicKey(Secp256k1.getPublicKey({ privateKey })).toLowerCase()
  const [key, options] = Keystore.scrypt({ password, n: cost, r: 8, p: 1 })
  const { crypto, id, version } = Keystore.encrypt(privateKey, key, options)
  return { text: JSON.stringify({ address: address.slice(2), crypto, id, version }), address }
}

/** The address in a keystore, as its file tells it; `undefined` if it does not. */
export function keystoreAddress(text: string): string | undefined {
  const address = /"address"\s*:\s*"(?:0x)?([0-9a-fA-F]{40})"/.exec(text)?.[1]
  return address === undefined ? undefined : `0x${address.toLowerCase()}`
}
