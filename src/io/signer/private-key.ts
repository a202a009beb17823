/** Reads private keys. Runs in the signer's worker only (rule 8). */
import { privateKeyToAccount, type PrivateKeyAccount } from 'viem/accounts'
import { wrongKeyAdvice } from './wrong-key.ts'

/** Why a key could not be loaded. The message never contains any part of it. */
export class KeyFault extends Error {
  override readonly name = 'KeyFault'
}

const KEY = /^0x[0-9a-fA-F]{64}$/

/**
 * The signing account of a private key.
 * @param text `0x` and 64 hex digits; one trailing line break is allowed
 * @param place the source, for the message, e.g. `environment variable WALLET_KEY`
 * @throws KeyFault
 */
export function accountOf(text: string, place: string): PrivateKeyAccount {
  const key = text.replace(/\r?\n$/, '')
  if (!isKey(key)) {
    throw new KeyFault(
      `The ${place} does not hold a private key. It must contain 0x and 64 hex digits, nothing else.${wrongKeyAdvice(key)}`,
    )
  }
  try {
    return privateKeyToAccount(key)
  } catch {
    // The library's error may quote its input.
    throw new KeyFault(
      `The ${place} holds a number that is not a valid secp256k1 key (zero, or not below the group order). Use another key.`,
    )
  }
}

function isKey(text: string): text is `0x${string}` {
  return KEY.test(text)
}
